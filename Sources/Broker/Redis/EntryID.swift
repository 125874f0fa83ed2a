import BrokerProtocol

/// The id of a stream's entry, `TIME-NUMBER`. Ours are the message's publish time in milliseconds and its id; only the
/// second part is needed to find a message.
struct EntryID: Hashable, Comparable, Sendable {
    let time: UInt64
    let number: UInt64

    static let first = EntryID(time: 0, number: 0)
    static let last = EntryID(time: .max, number: .max)

    init(time: UInt64, number: UInt64) {
        self.time = time
        self.number = number
    }

    init(_ message: PublishedMessage) {
        self.init(StreamPosition(time: message.publishedAt, message: message.id))
    }

    init(_ position: StreamPosition) {
        time = UInt64(max(position.time.milliseconds, 0))
        number = position.message.rawValue
    }

    /// Reads `TIME` or `TIME-NUMBER`.
    /// - Parameter number: What is meant when it is missing.
    init?(_ argument: some Collection<UInt8>, number missing: UInt64 = 0) {
        let parts = argument.split(separator: UInt8(ascii: "-"), maxSplits: 1, omittingEmptySubsequences: false)
        guard let time = Self.unsigned(parts[0]) else { return nil }
        self.time = time
        if parts.count == 1 {
            number = missing
        } else {
            guard let number = Self.unsigned(parts[1]) else { return nil }
            self.number = number
        }
    }

    private static func unsigned(_ digits: some Collection<UInt8>) -> UInt64? {
        guard !digits.isEmpty, digits.allSatisfy({ 48...57 ~= $0 }) else { return nil }
        return UInt64(String(decoding: digits, as: UTF8.self))
    }

    var text: String { "\(time)-\(number)" }
    var message: MessageID { MessageID(rawValue: number) }

    static func < (left: Self, right: Self) -> Bool { (left.time, left.number) < (right.time, right.number) }

    fileprivate var wallTime: WallTime { WallTime(milliseconds: Int64(clamping: time)) }
}

/// One end of a range as a client writes it: an id, or `(` and an id that is not included.
struct StreamEnd {
    let id: EntryID
    var isOpen = false
}

/// Ids of ours are found by their second part, which grows also when the clock is set back; made-up ones, such as
/// `TIME-0`, by their time.
extension BrokerState {
    private func isOurs(_ id: EntryID) -> Bool {
        guard (1...nextMessage).contains(id.number) else { return false }
        guard let entry = messages[id.message] else { return true }
        return entry.publishedAt == id.wallTime
    }

    /// The message of an entry; nil when no message has exactly this id now.
    func message(of id: EntryID) -> MessageID? {
        guard let entry = messages[id.message],
            EntryID(StreamPosition(time: entry.publishedAt, message: id.message)) == id
        else { return nil }
        return id.message
    }

    func lowerBound(_ end: StreamEnd) -> StreamBound { end.isOpen ? bound(after: end.id) : lowerBound(end.id) }

    func upperBound(_ end: StreamEnd) -> StreamBound { end.isOpen ? bound(before: end.id) : upperBound(end.id) }

    private func lowerBound(_ id: EntryID) -> StreamBound {
        if isOurs(id) || id.time == 0 { return .message(id.message) }
        // The last number of a millisecond, or one that no message has yet: what comes is of a later one.
        return .time(id.number > nextMessage ? id.wallTime.adding(milliseconds: 1) : id.wallTime)
    }

    /// The first one behind this id.
    func bound(after id: EntryID) -> StreamBound {
        if id == .first { return .message(id.message) }
        return isOurs(id) ? .message(MessageID(rawValue: id.number + 1)) : lowerBound(id)
    }

    /// The last one before this id.
    func bound(before id: EntryID) -> StreamBound {
        if isOurs(id) { return .message(MessageID(rawValue: id.number - 1)) }
        return id.number == .max ? .time(id.wallTime) : upperBound(EntryID(time: id.time, number: 0))
    }

    private func upperBound(_ id: EntryID) -> StreamBound {
        if isOurs(id) { return .message(id.message) }
        return .time(id.number == 0 ? id.wallTime.adding(milliseconds: -1) : id.wallTime)
    }

    /// The youngest message that lies at or before this id.
    func lastMessage(through id: EntryID) -> MessageID {
        isOurs(id) || id.time == 0 ? id.message : MessageID(rawValue: 0)
    }

    func contains(_ id: MessageID, from: StreamBound, through: StreamBound?) -> Bool {
        guard let time = messages[id]?.publishedAt else { return false }
        switch from {
        case .message(let first) where id < first: return false
        case .time(let earliest) where time < earliest: return false
        default: break
        }
        switch through {
        case .message(let last)? where id > last: return false
        case .time(let latest)? where time > latest: return false
        default: return true
        }
    }
}
