/// Which dead letters of a subscription a redrive or a purge touches: all that is given must hold. Nothing given: all.
public struct DeadSelection: Hashable, Sendable {
    /// Empty: whatever else holds decides. At most 10,000; one that is no dead letter refuses the whole.
    public var ids: [MessageID] = []
    /// Empty: any.
    public var reasons: Set<DeadReason> = []
    /// A part of the last error or of the reason, letter by letter.
    public var errorContains: String?
    /// Each of them a header of the message.
    public var headers: [Header] = []
    public var orderingKey: String?
    /// Dead at this time or later.
    public var diedFrom: WallTime?
    /// Dead before this time.
    public var diedBefore: WallTime?
    /// The first so many in the order of ids; 0: all.
    public var limit: UInt64 = 0
    /// Count, and change nothing.
    public var isDryRun = false

    public static let idsMax = 10_000

    public init(ids: [MessageID] = []) { self.ids = ids }

    /// Whether all but ids and headers hold.
    /// - Parameter text: The reason with its words.
    package func admits(
        _ reason: DeadReason?, text: String?, lastError: String?, orderingKey: String?, deadAt: WallTime
    ) -> Bool {
        if !reasons.isEmpty && !(reason.map(reasons.contains) ?? false) { return false }
        if let key = self.orderingKey, key != orderingKey { return false }
        if let diedFrom, deadAt < diedFrom { return false }
        if let diedBefore, deadAt >= diedBefore { return false }
        guard let errorContains else { return true }
        return lastError.holds(errorContains) || text.holds(errorContains)
    }

    /// Whether a letter that was read is chosen, the limit aside.
    package func admits(_ letter: DeadLetter) -> Bool {
        (ids.isEmpty || ids.contains(letter.id)) && letter.headers.hold(headers)
            && admits(
                letter.code, text: letter.reason, lastError: letter.lastError, orderingKey: letter.orderingKey,
                deadAt: letter.deadAt)
    }
}

extension DeadSelection: ExpressibleByArrayLiteral {
    public init(arrayLiteral elements: MessageID...) { ids = elements }
}

extension String? {
    /// Whether these bytes stand somewhere in the text.
    package func holds(_ part: String) -> Bool { self?.utf8.firstRange(of: part.utf8) != nil || part.isEmpty }
}

extension [Header] {
    /// Whether each of the wanted ones is among them.
    package func hold(_ wanted: [Header]) -> Bool { wanted.allSatisfy(contains) }
}

/// A redrive with a rate: it goes on by itself, over restarts, until it is done or cancelled.
public struct DeadJob: Hashable, Sendable {
    /// Grows with each redrive and purge; names the job.
    public let id: UInt64
    public let subscription: SubscriptionName
    public let selection: DeadSelection
    /// Messages in a second.
    public let rate: UInt32
    public let startedAt: WallTime
    /// How many it has redriven.
    public let moved: UInt64

    public init(
        id: UInt64, subscription: SubscriptionName, selection: DeadSelection, rate: UInt32, startedAt: WallTime,
        moved: UInt64
    ) {
        self.id = id
        self.subscription = subscription
        self.selection = selection
        self.rate = rate
        self.startedAt = startedAt
        self.moved = moved
    }
}
