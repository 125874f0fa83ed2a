/// A topic's name: 1 to 255 bytes of printable UTF-8 without space, control characters or `@`.
public struct TopicName: Hashable, Sendable, Comparable, CustomStringConvertible {
    public let text: String

    /// - Returns: Nil when the text breaks the rule above.
    public init?(_ text: String) {
        guard (1...255).contains(text.utf8.count), text.unicodeScalars.allSatisfy(isNameScalar) else { return nil }
        self.text = text
    }

    public var description: String { text }
    public static func < (left: Self, right: Self) -> Bool { left.text < right.text }
}

/// A reader of a topic, written `topic@name`; a bare topic means the subscription `default`.
/// The part after `@` follows the rule of topic names.
public struct SubscriptionName: Hashable, Sendable, CustomStringConvertible {
    public static let defaultName = "default"
    public let topic: TopicName
    public let name: String

    public init(topic: TopicName, name: String = defaultName) {
        precondition(TopicName(name) != nil, "a subscription's name follows the rule of topic names")
        self.topic = topic
        self.name = name
    }

    public init?(_ text: String) {
        let parts = text.split(separator: "@", maxSplits: 1, omittingEmptySubsequences: false)
        guard let first = parts.first, let topic = TopicName(String(first)) else { return nil }
        let name = parts.count == 2 ? String(parts[1]) : Self.defaultName
        guard TopicName(name) != nil else { return nil }
        self.topic = topic
        self.name = name
    }

    public var isDefault: Bool { name == Self.defaultName }
    public var description: String { isDefault ? topic.text : "\(topic.text)@\(name)" }
}

private func isNameScalar(_ scalar: Unicode.Scalar) -> Bool {
    // Nearly all names are ASCII; looking up a category is slow.
    if scalar.isASCII { return (0x21...0x7E).contains(scalar.value) && scalar != "@" }
    switch scalar.properties.generalCategory {
    case .control, .format, .surrogate, .privateUse, .unassigned, .lineSeparator, .paragraphSeparator,
        .spaceSeparator:
        return false
    default: return true
    }
}

/// The identity of a message; grows in publish order within one broker's data directory.
public struct MessageID: Hashable, Comparable, Sendable, CustomStringConvertible {
    public let rawValue: UInt64
    public init(rawValue: UInt64) { self.rawValue = rawValue }
    public var description: String { String(rawValue) }
    public static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
}

/// The fencing token of one delivery; never used twice in the life of a data directory.
public struct LeaseID: Hashable, Comparable, Sendable, CustomStringConvertible {
    public let rawValue: UInt64
    public init(rawValue: UInt64) { self.rawValue = rawValue }
    public var description: String { String(rawValue) }
    public static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
}

/// A consumer of one connection; the client chooses the number.
public struct ConsumerID: Hashable, Comparable, Sendable {
    public let rawValue: UInt32
    public init(rawValue: UInt32) { self.rawValue = rawValue }
    public static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
}

/// Milliseconds since 1970-01-01 UTC.
public struct WallTime: Hashable, Comparable, Sendable {
    public let milliseconds: Int64
    public init(milliseconds: Int64) { self.milliseconds = milliseconds }
    public static func < (left: Self, right: Self) -> Bool { left.milliseconds < right.milliseconds }
    public func adding(milliseconds: Int64) -> WallTime {
        let (sum, overflow) = self.milliseconds.addingReportingOverflow(milliseconds)
        return WallTime(milliseconds: overflow ? .max : sum)
    }
}
