public import BrokerProtocol

/// What happens in a runtime, for logs and metrics.
public enum RuntimeEvent: Hashable, Sendable {
    /// Every subscription of the runtime is subscribed for the first time.
    case ready
    /// Subscribed again after the broker was gone.
    case reconnected
    /// The broker cannot be reached or refuses; the try with this number starts after the wait.
    case brokerGone(BrokerError, nextTry: Int, wait: Duration)
    /// A handler starts.
    case started(Attempt)
    /// The broker has taken the outcome of an attempt.
    case settled(Attempt, Ending, duration: Duration)
    /// The outcome of an attempt does not count: its lease or its connection is lost. The event comes again.
    case dropped(Attempt, reason: String, duration: Duration)
    /// The broker refused a pause, or for a time a publication (its topic is full or paused): nothing of the outcome
    /// was done, and the event is given back to come again after the wait, no attempt counted.
    case postponed(Attempt, BrokerError, wait: Duration)
    /// The broker's disk is full: the same outcome is tried again after the wait, its lease kept.
    case waitsForDisk(Attempt, BrokerError, wait: Duration)
    /// The broker holds up the deliveries of a subscription, as a worker asked.
    case queuePaused(SubscriptionName, until: WallTime, reason: String)
    /// The time of an attempt is over; its task is cancelled.
    case timedOut(Attempt)
    /// The lease of a delivery is lost; its handler, if it runs, is cancelled.
    case leaseLost(Attempt)
    /// A cancelled handler did not return in time: its slot is replaced. With the number of such handlers.
    case stuck(Attempt, count: Int)
    case draining(running: Int)
    /// The drain's time is over or it was asked for twice: the running handlers are cancelled.
    case cancelling(running: Int)
    case drained
}

/// How a settled attempt ended.
public enum Ending: Hashable, Sendable {
    case done(published: Int)
    case failed(error: String)
    case snoozed(Duration)
    /// Given back behind the pause of its subscription.
    case pausedQueue(until: WallTime)
    case released
    case rejected(reason: String)

    public var name: String {
        switch self {
        case .done: "done"
        case .failed: "failed"
        case .snoozed: "snoozed"
        case .pausedQueue: "paused_queue"
        case .released: "released"
        case .rejected: "rejected"
        }
    }
}

/// Why a runtime ended other than by a drain.
public enum RuntimeError: Error, Hashable, Sendable, CustomStringConvertible {
    /// So many handlers ignored their cancellation; only a new process gets rid of them.
    case stuckHandlers(Int)

    public var description: String {
        switch self {
        case .stuckHandlers(let count): "\(count) handlers ignored their cancellation; restart the process"
        }
    }
}

/// A runtime in numbers. All but the levels grow only.
public struct RuntimeCounters: Hashable, Sendable {
    /// Turns of the dispatcher; it turns at least every two seconds, so one that stands still is stuck.
    public var turns: UInt64 = 0
    /// Answers from the broker and finished attempts to reach it; the runtime asks at least every two seconds.
    public var brokerAnswers: UInt64 = 0
    public var started: UInt64 = 0
    public var done: UInt64 = 0
    public var failed: UInt64 = 0
    public var snoozed: UInt64 = 0
    public var pausedQueue: UInt64 = 0
    public var released: UInt64 = 0
    public var rejected: UInt64 = 0
    /// Outcomes that the broker refused for a time.
    public var postponed: UInt64 = 0
    public var dropped: UInt64 = 0
    public var leasesLost: UInt64 = 0
    public var timeouts: UInt64 = 0
    /// Levels: handlers and settlements in work, deliveries that wait for a slot, handlers that ignore cancellation.
    public var busy = 0
    public var waiting = 0
    public var stuck = 0
    public var isConnected = false
    public init() {}
}
