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
    case retried(error: String)
    case snoozed(Duration)
    case released
    case dead(reason: String)

    public var name: String {
        switch self {
        case .done: "done"
        case .retried: "retried"
        case .snoozed: "snoozed"
        case .released: "released"
        case .dead: "dead"
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
    public var retried: UInt64 = 0
    public var snoozed: UInt64 = 0
    public var released: UInt64 = 0
    public var dead: UInt64 = 0
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
