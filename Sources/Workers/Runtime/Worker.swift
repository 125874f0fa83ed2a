public import BrokerProtocol

/// Handles the events of one kind. Register it with a ``Role``.
///
/// A message is delivered at least once: after a crash, a lost lease or a lost connection `handle` runs again for the
/// same event, so what it does must be idempotent; ``Attempt/stableID`` is the key for that.
public protocol Worker<Input>: Sendable {
    associatedtype Input: Event

    /// Does the work of one event. Work that blocks its thread belongs on a ``BlockingThread``.
    ///
    /// The task is cancelled when the attempt's time is over, when its lease is lost, and at the end of a drain.
    func handle(_ event: Input, _ attempt: Attempt) async throws -> Outcome

    /// What becomes of the event when `handle` threw. The error's text goes to the broker with a retry.
    func verdict(for error: any Error, _ attempt: Attempt) -> Outcome
}

extension Worker {
    /// A cancelled handler gives its event back; every other error is worth a retry.
    public func verdict(for error: any Error, _ attempt: Attempt) -> Outcome {
        error is CancellationError ? .release : .retry()
    }
}

/// How a worker ends an attempt.
public enum Outcome: Hashable, Sendable {
    /// The work is done: the event is acknowledged and the publications are published in one atomic commit.
    case done(publishing: [Publication] = [])
    /// Counts as an attempt; again after this time, or after the subscription's backoff. Dead-lettered after the
    /// last attempt.
    case retry(after: Duration? = nil)
    /// Not now: again after this time, without counting an attempt.
    case snooze(Duration)
    /// Never: to the dead letters at once, with this reason.
    case dead(String)
    /// Given back at once, without counting an attempt.
    case release
}

/// What is known about one delivery of an event.
public struct Attempt: Hashable, Sendable {
    public let id: MessageID
    public let subscription: SubscriptionName
    /// 1 for the first attempt.
    public let number: UInt32
    /// How often the event came back from the dead letters.
    public let redrives: UInt32
    public let publishedAt: WallTime
    /// Why the attempt before failed.
    public let lastError: String?
    public let headers: [Header]
    /// How long the handler may run, from its start; then its task is cancelled.
    public let timeout: Duration

    public init(
        id: MessageID, subscription: SubscriptionName, number: UInt32 = 1, redrives: UInt32 = 0,
        publishedAt: WallTime = WallTime(milliseconds: 0), lastError: String? = nil, headers: [Header] = [],
        timeout: Duration = .seconds(30)
    ) {
        self.id = id
        self.subscription = subscription
        self.number = number
        self.redrives = redrives
        self.publishedAt = publishedAt
        self.lastError = lastError
        self.headers = headers
        self.timeout = timeout
    }

    /// `<topic>-<message id>`: the same in every attempt at the event and after every redrive, and no other event's
    /// in the life of the broker's data directory. For idempotency keys and inbox rows.
    public var stableID: String { "\(subscription.topic)-\(id)" }

    public func header(_ key: String) -> String? { headers.first { $0.key == key }?.value }
}
