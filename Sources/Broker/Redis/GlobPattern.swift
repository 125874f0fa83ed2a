import BrokerProtocol

/// Redis's patterns: `*`, `?`, `[abc]`, `[^a-z]`, and `\` before a byte that is meant as it is. Without recursion: a
/// star that fits too little takes one byte more, and only the last star is remembered, so the time is pattern times
/// text.
struct GlobPattern: Sendable {
    private enum Part: Sendable {
        case star
        case any
        case byte(UInt8)
        case bytes(Set<UInt8>, isNegated: Bool)
    }

    private var parts: [Part] = []

    init(_ pattern: [UInt8]) {
        var at = 0
        while at < pattern.count {
            let byte = pattern[at]
            at += 1
            switch byte {
            case UInt8(ascii: "*"):
                if case .star? = parts.last { continue }
                parts.append(.star)
            case UInt8(ascii: "?"): parts.append(.any)
            case UInt8(ascii: "["): parts.append(Self.set(pattern, &at))
            case UInt8(ascii: "\\") where at < pattern.count:
                parts.append(.byte(pattern[at]))
                at += 1
            default: parts.append(.byte(byte))
            }
        }
    }

    /// A set that is never closed ends with the pattern.
    private static func set(_ pattern: [UInt8], _ at: inout Int) -> Part {
        let isNegated = at < pattern.count && pattern[at] == UInt8(ascii: "^")
        if isNegated { at += 1 }
        var bytes: Set<UInt8> = []
        while at < pattern.count, pattern[at] != UInt8(ascii: "]") {
            if pattern[at] == UInt8(ascii: "\\"), at + 1 < pattern.count {
                bytes.insert(pattern[at + 1])
                at += 2
            } else if at + 2 < pattern.count, pattern[at + 1] == UInt8(ascii: "-") {
                let (first, last) = (min(pattern[at], pattern[at + 2]), max(pattern[at], pattern[at + 2]))
                bytes.formUnion(first...last)
                at += 3
            } else {
                bytes.insert(pattern[at])
                at += 1
            }
        }
        at += 1
        return .bytes(bytes, isNegated: isNegated)
    }

    func matches(_ text: some Collection<UInt8>) -> Bool {
        let text = Array(text)
        var (part, at) = (0, 0)
        var star: (part: Int, at: Int)?
        while at < text.count {
            if part < parts.count, case .star = parts[part] {
                star = (part, at)
                part += 1
            } else if part < parts.count, Self.fits(parts[part], text[at]) {
                part += 1
                at += 1
            } else if let last = star {
                star = (last.part, last.at + 1)
                part = last.part + 1
                at = last.at + 1
            } else {
                return false
            }
        }
        return parts[part...].allSatisfy { if case .star = $0 { true } else { false } }
    }

    private static func fits(_ part: Part, _ byte: UInt8) -> Bool {
        switch part {
        case .star: false
        case .any: true
        case .byte(let wanted): wanted == byte
        case .bytes(let bytes, let isNegated): bytes.contains(byte) != isNegated
        }
    }
}
