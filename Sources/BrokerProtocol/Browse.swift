/// Where a message stands in a subscription that owes it a verdict.
public enum MessageState: UInt8, Hashable, Sendable, CaseIterable {
    case ready = 1
    /// Waits for its deliver-at or its next try.
    case delayed = 2
    case leased = 4
    /// Ready, but its ordering key is not free, or its consumer is busy.
    case held = 8
    case dead = 16
    /// Held because a dead letter parks its ordering key.
    case parked = 32

    public var name: String { String(describing: self) }

    public init?(name: String) {
        guard let state = Self.allCases.first(where: { $0.name == name }) else { return nil }
        self = state
    }
}

/// Which messages of a subscription to show: all that is given must hold.
public struct BrowseQuery: Hashable, Sendable {
    /// Empty: all.
    public var states: Set<MessageState> = []
    /// Each of them a header of the message.
    public var headers: [Header] = []
    public var orderingKey: String?
    /// A part of the last error, letter by letter; of dead letters also of the reason.
    public var errorContains: String?
    public var priority: UInt8?
    /// Published at this time or later.
    public var publishedFrom: WallTime?
    /// Published before this time.
    public var publishedBefore: WallTime?
    /// The first message that is looked at.
    public var from = MessageID(rawValue: 0)
    /// At most 1,000 count.
    public var limit: UInt32 = 100
    /// Without it bodies are empty.
    public var wantsBodies = false

    public init() {}
}

/// A message as a subscription sees it.
public struct BrowsedMessage: Hashable, Sendable {
    /// Its attempts and deliveries so far; without consumer and lease.
    public let message: Delivery
    public let state: MessageState
    /// Of a delayed message: when it is ready.
    public let readyAt: WallTime?
    /// Of a leased message: who has it.
    public let holder: String?
    /// Of a leased message: how long the lease still runs; nil when it lasts until it is settled.
    public let leaseMilliseconds: Int64?
    public let death: Death?

    public struct Death: Hashable, Sendable {
        /// Nil: a reason that this version does not know.
        public let code: DeadReason?
        public let reason: String
        public let at: WallTime

        public init(code: DeadReason?, reason: String, at: WallTime) {
            self.code = code
            self.reason = reason
            self.at = at
        }
    }

    public init(
        message: Delivery, state: MessageState, readyAt: WallTime? = nil, holder: String? = nil,
        leaseMilliseconds: Int64? = nil, death: Death? = nil
    ) {
        self.message = message
        self.state = state
        self.readyAt = readyAt
        self.holder = holder
        self.leaseMilliseconds = leaseMilliseconds
        self.death = death
    }
}

/// One answer to a ``BrowseQuery``.
public struct BrowsePage: Hashable, Sendable {
    public let messages: [BrowsedMessage]
    /// Where to go on, also behind a page that found nothing; nil at the end.
    public let next: MessageID?

    public init(messages: [BrowsedMessage], next: MessageID?) {
        self.messages = messages
        self.next = next
    }
}
