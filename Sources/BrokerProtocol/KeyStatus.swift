/// An ordering key of a subscription that is not free.
public struct KeyStatus: Hashable, Sendable {
    public enum State: UInt8, Hashable, Sendable, CaseIterable {
        /// A message of the key is leased.
        case inFlight = 0
        /// A message of the key waits for its next try.
        case waiting = 1
        /// Held until its dead letter is redriven or purged, or the key is released.
        case parked = 2
        /// Waits for a token of `key_rate`, or for the consumer that it stays with.
        case limited = 3
    }

    public let key: String
    public let state: State
    /// The message that holds the key, or the dead letter that parks it; 0 when there is none.
    public let owner: MessageID
    /// Messages that wait behind it, and were met so far.
    public let held: UInt64

    public init(key: String, state: State, owner: MessageID, held: UInt64) {
        self.key = key
        self.state = state
        self.owner = owner
        self.held = held
    }
}

extension ByteWriter {
    mutating func keyStatus(_ status: KeyStatus) {
        text(status.key)
        u8(status.state.rawValue)
        u64(status.owner.rawValue)
        u64(status.held)
    }

    mutating func keyList(_ name: SubscriptionName, _ after: String, _ limit: UInt32, _ parkedOnly: Bool) {
        subscription(name)
        text(after)
        u32(limit)
        u8(parkedOnly ? 1 : 0)
    }

    mutating func keyRelease(_ name: SubscriptionName, _ keys: [String]) {
        subscription(name)
        u32(UInt32(keys.count))
        for key in keys { text(key) }
    }
}

extension ByteReader {
    mutating func keyStatuses() throws(Malformed) -> [KeyStatus] {
        var statuses: [KeyStatus] = []
        for _ in 0..<(try count("keys", itemBytes: 19)) {
            let key = try text("key")
            let at = offset
            let number = try u8("state")
            guard let state = KeyStatus.State(rawValue: number) else {
                throw Malformed(offset: at, what: "a key's state is 0 to 3, not \(number)")
            }
            statuses.append(
                KeyStatus(
                    key: key, state: state, owner: MessageID(rawValue: try u64("owner")), held: try u64("held")))
        }
        return statuses
    }

    mutating func keyList() throws(Malformed) -> Request {
        .keyList(
            try subscription(), after: try text("after"), limit: try u32("limit"), parkedOnly: try flag("parked only"))
    }

    mutating func keyRelease() throws(Malformed) -> Request {
        let name = try subscription()
        var keys: [String] = []
        for _ in 0..<(try count("keys", itemBytes: 2)) { keys.append(try text("key")) }
        return .keyRelease(name, keys)
    }

    /// 1 to 100.
    mutating func weight() throws(Malformed) -> UInt8 {
        let at = offset
        let weight = try u8("weight")
        guard (1...100).contains(weight) else {
            throw Malformed(offset: at, what: "a weight is 1 to 100, not \(weight)")
        }
        return weight
    }
}

extension MessageBroker {
    /// Ordering keys that a message holds or parks, by their text.
    /// - Parameters:
    ///   - after: The keys behind this text.
    ///   - limit: At most 1,000 come in one answer.
    public func keys(
        of subscription: SubscriptionName, after: String = "", limit: UInt32 = 1_000, parkedOnly: Bool = false
    ) async throws(BrokerError) -> [KeyStatus] {
        let response = try await perform(
            .keyList(subscription, after: after, limit: limit, parkedOnly: parkedOnly))
        if case .keys(let keys) = response { return keys }
        if case .refused(let error) = response { throw error }
        throw BrokerError(.responseMalformed, "the response does not belong to the request")
    }

    /// Lets the messages of parked keys go on; the dead letters stay.
    /// - Parameter keys: None: all that are parked. Those that are not stay as they are.
    /// - Returns: How many were parked.
    @discardableResult
    public func releaseKeys(
        _ keys: [String] = [], of subscription: SubscriptionName
    ) async throws(BrokerError) -> UInt64 {
        try await count(.keyRelease(subscription, keys))
    }
}
