/// Whose history is asked for.
public enum HistoryQuery: Hashable, Sendable {
    case message(MessageID)
    /// Every message with this header.
    case header(Header)
}

/// One thing that happened to a message, as the log still knows it.
public struct HistoryEvent: Hashable, Sendable {
    /// The numbers on the wire; never reused for another meaning.
    public enum Kind: UInt8, Sendable, CaseIterable {
        case published = 1
        /// Handed to a consumer; the detail is who.
        case delivered = 2
        case acknowledged = 3
        /// The detail is the error.
        case failed = 4
        case released = 5
        /// The consumer ended without a verdict; the detail is how.
        case lost = 6
        /// A dead letter; the detail is the reason, and the last error.
        case died = 7
        case redriven = 8
        case purged = 9
        /// The detail is its new deliver-at.
        case rescheduled = 10
        case cancelled = 11
    }

    public let message: MessageID
    public let kind: Kind
    /// To 10 ms; nil for what was logged while no history was kept.
    public let at: WallTime?
    public let topic: TopicName
    /// Nil for what concerns them all.
    public let subscription: String?
    public let detail: String

    public init(
        message: MessageID, kind: Kind, at: WallTime?, topic: TopicName, subscription: String?, detail: String
    ) {
        self.message = message
        self.kind = kind
        self.at = at
        self.topic = topic
        self.subscription = subscription
        self.detail = detail
    }
}

/// What the log knows, oldest first.
public struct MessageHistory: Hashable, Sendable {
    public var events: [HistoryEvent]
    /// The limit was reached: later events are left out.
    public var hasMore: Bool
    public init(events: [HistoryEvent] = [], hasMore: Bool = false) {
        self.events = events
        self.hasMore = hasMore
    }
}

extension MessageBroker {
    /// Where messages went, from the log: as far back as its segments and the setting `history` reach.
    /// - Parameter limit: Events at most; 1 to 10,000.
    public func history(of query: HistoryQuery, limit: UInt32 = 1_000) async throws(BrokerError) -> MessageHistory {
        switch try await perform(.history(query, limit: limit)) {
        case .history(let history): return history
        case .refused(let error): throw error
        default: throw BrokerError(.responseMalformed, "the response does not belong to the request")
        }
    }
}

extension ByteWriter {
    mutating func historyQuery(_ query: HistoryQuery) {
        switch query {
        case .message(let id):
            u8(0)
            u64(id.rawValue)
        case .header(let header):
            u8(1)
            text(header.key)
            text(header.value)
        }
    }

    mutating func history(_ history: MessageHistory) {
        u32(UInt32(history.events.count))
        for event in history.events {
            u64(event.message.rawValue)
            u8(event.kind.rawValue)
            u8(event.at == nil ? 0 : 1)
            if let at = event.at { i64(at.milliseconds) }
            text(event.topic.text)
            optionalText(event.subscription)
            text(event.detail)
        }
        u8(history.hasMore ? 1 : 0)
    }
}

extension ByteReader {
    mutating func historyQuery() throws(Malformed) -> HistoryQuery {
        let at = offset
        switch try u8("query") {
        case 0: return .message(MessageID(rawValue: try u64("message id")))
        case 1: return .header(Header(try text("header key"), try text("header value")))
        case let other: throw Malformed(offset: at, what: "a query is 0 or 1, not \(other)")
        }
    }

    mutating func history() throws(Malformed) -> MessageHistory {
        var events: [HistoryEvent] = []
        for _ in 0..<(try count("events", itemBytes: 16)) {
            let id = MessageID(rawValue: try u64("message id"))
            let place = offset
            let number = try u8("event")
            guard let kind = HistoryEvent.Kind(rawValue: number) else {
                throw Malformed(
                    offset: place, what: "an event is 1 to \(HistoryEvent.Kind.allCases.count), not \(number)")
            }
            let at = try flag("has a time") ? WallTime(milliseconds: try i64("at")) : nil
            events.append(
                HistoryEvent(
                    message: id, kind: kind, at: at, topic: try topic(), subscription: try optionalText("subscription"),
                    detail: try text("detail")))
        }
        return MessageHistory(events: events, hasMore: try flag("has more"))
    }
}
