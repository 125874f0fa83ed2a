/// What can be paused: a topic, or one subscription of it. Written `topic` or `topic@name`; unlike in a subscription's
/// name, a bare topic means the topic.
public enum PauseTarget: Hashable, Sendable, CustomStringConvertible {
    case topic(TopicName)
    case subscription(SubscriptionName)

    /// - Returns: Nil when the text is neither a topic's nor a subscription's name.
    public init?(_ text: String) {
        if text.contains("@") {
            guard let name = SubscriptionName(text) else { return nil }
            self = .subscription(name)
        } else {
            guard let name = TopicName(text) else { return nil }
            self = .topic(name)
        }
    }

    public var description: String {
        switch self {
        case .topic(let name): name.text
        case .subscription(let name): "\(name.topic.text)@\(name.name)"
        }
    }
}

/// What a pause holds up.
public enum PauseScope: UInt8, Hashable, Sendable, CaseIterable {
    /// Publishes; of a topic only.
    case intake = 1
    /// New deliveries; what is leased can be settled.
    case delivery = 2
    case both = 3

    package var holdsIntake: Bool { self != .delivery }
    package var holdsDelivery: Bool { self != .intake }
}
