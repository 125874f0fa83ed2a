/// Why a subscription gave up on a message. The number is that of the wire and the log, and never changes.
public enum DeadReason: UInt8, Hashable, Sendable, CaseIterable {
    /// A consumer said so, in its own words.
    case rejected = 1
    /// `attempts_max` attempts failed.
    case attempts = 2
    /// `poison_deaths_max` consumers ended without a verdict.
    case poison = 3
    /// It was not delivered before its *expires-at*.
    case expired = 4
    /// The next try would have come later than `retry_age_max` after the publish.
    case age = 5
    /// Its topic was full and made room.
    case overflow = 6

    /// As it stands in dead letters and on command lines.
    public var name: String { String(describing: self) }

    public init?(name: String) {
        guard let reason = Self.allCases.first(where: { $0.name == name }) else { return nil }
        self = reason
    }

    /// The reason as a sentence: its name, with the words of whoever gave it up after a colon.
    public func text(_ words: String?) -> String { words.map { "\(name): \($0)" } ?? name }
}
