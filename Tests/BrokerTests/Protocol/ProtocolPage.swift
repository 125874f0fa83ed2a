import Foundation

/// docs/PROTOCOL.md as the tests read it: its vectors, its malformed input, its tables.
struct ProtocolPage {
    enum Direction: String { case client, broker }

    /// A block that starts with ```` ```vector name=… direction=… [mode=decode] ````.
    struct Vector {
        let name: String
        let direction: Direction
        /// The bytes are read, but written in another way.
        let isDecodeOnly: Bool
        let bytes: [UInt8]
    }

    /// A block that starts with ```` ```malformed ```` and has a line `! code correlation sentence`.
    struct Malformed {
        let name: String
        let direction: Direction
        let code: UInt16
        let correlation: UInt32
        let sentence: String
        let bytes: [UInt8]
    }

    struct Unreadable: Error {
        let line: Int
        let what: String
    }

    private(set) var vectors: [Vector] = []
    private(set) var malformed: [Malformed] = []
    let lines: [String]

    static let shipped = Result { try ProtocolPage() }

    private init() throws {
        var root = URL(filePath: #filePath)
        for _ in 0..<4 { root.deleteLastPathComponent() }
        try self.init(text: String(contentsOf: root.appending(path: "docs/PROTOCOL.md"), encoding: .utf8))
    }

    init(text: String) throws {
        lines = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        var index = 0
        while index < lines.count {
            let head = lines[index].split(separator: " ").map(String.init)
            if head.first == "```vector" || head.first == "```malformed" {
                let end = lines[index...].firstIndex(of: "```") ?? lines.count
                try read(head, Array(lines[(index + 1)..<end]), line: index + 1)
                index = end
            } else if lines[index].hasPrefix("```") {
                index = lines[(index + 1)...].firstIndex(of: "```") ?? lines.count
            }
            index += 1
        }
    }

    private mutating func read(_ head: [String], _ body: [String], line: Int) throws {
        var attributes: [String: String] = [:]
        for word in head.dropFirst() {
            let parts = word.split(separator: "=", maxSplits: 1).map(String.init)
            guard parts.count == 2 else { throw Unreadable(line: line, what: word) }
            attributes[parts[0]] = parts[1]
        }
        guard let name = attributes["name"], let direction = attributes["direction"].flatMap(Direction.init) else {
            throw Unreadable(line: line, what: "a name and a direction are missing")
        }
        let bytes = try hex(body.filter { !$0.hasPrefix("!") }, line: line)
        if head[0] == "```vector" {
            let isDecodeOnly = attributes["mode"] == "decode"
            vectors.append(Vector(name: name, direction: direction, isDecodeOnly: isDecodeOnly, bytes: bytes))
            return
        }
        let words = body.first?.split(separator: " ", maxSplits: 3).map(String.init) ?? []
        guard words.count == 4, words[0] == "!", let code = UInt16(words[1]), let correlation = UInt32(words[2]) else {
            throw Unreadable(line: line + 1, what: "not `! code correlation sentence`")
        }
        malformed.append(
            Malformed(
                name: name, direction: direction, code: code, correlation: correlation, sentence: words[3],
                bytes: bytes))
    }

    private func hex(_ lines: [String], line: Int) throws -> [UInt8] {
        try lines.flatMap { text in
            try text.prefix { $0 != "#" }.split(separator: " ").map { pair in
                guard pair.count == 2, let byte = UInt8(pair, radix: 16) else {
                    throw Unreadable(line: line, what: "\(pair) is not a byte in hex")
                }
                return byte
            }
        }
    }

    /// The cells of each table row.
    var rows: [[String]] {
        lines.filter { $0.hasPrefix("|") }.map { line in
            line.split(separator: "|").map { $0.trimmingCharacters(in: .whitespaces) }
        }
    }
}
