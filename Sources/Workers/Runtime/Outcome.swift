public import BrokerProtocol

/// How a worker ends an attempt. What a handler throws becomes one of these in ``Worker/verdict(for:_:)``.
public enum Outcome: Hashable, Sendable {
    /// The work is done: the event is acknowledged and the publications are published in one commit, all or nothing.
    ///
    /// When the broker refuses a publication for a time (`TOPIC_PAUSED`, `TOPIC_FULL`, `DELAYED_LIMIT`, …), nothing is
    /// done and the event comes again later, without counting an attempt; any other refusal fails the attempt. On a
    /// full disk the same commit is tried again.
    case done(publishing: [Publication])
    /// The attempt failed, and counts: the event comes again after this time, or after the subscription's backoff. It
    /// is a dead letter after the last attempt.
    ///
    /// The text, at most 1 KiB of it, is the next attempt's ``Attempt/lastError``; nil: that of the thrown error.
    case fail(String? = nil, after: Duration? = nil)
    /// Not now: the event comes again at this time, and no attempt is counted. A time that has passed means at once.
    case snooze(Time)
    /// Nothing of this queue can be done now, because what all its events need is down: the broker is asked to hold up
    /// the deliveries of this subscription, to every worker, until this time, then the event is given back without
    /// counting an attempt. Deliveries that wait for a slot here are given back, too.
    ///
    /// The pause is durable and ends by itself; `brokerctl resume` ends it earlier, and a later pause of the
    /// subscription replaces it. When the broker refuses it, the event is given back with a backoff. A time that has
    /// passed pauses nothing. The reason, or else the text of the thrown error, stands in the log.
    case pauseQueue(Time, because: String? = nil)
    /// Never: a dead letter at once, with this reason, at most 1 KiB of it.
    case reject(String)
    /// Given back at once, without counting an attempt.
    case release

    /// A moment of the wall clock, or so long from when the handler ends.
    public enum Time: Hashable, Sendable {
        case at(WallTime)
        case after(Duration)

        func wall(now: WallTime) -> WallTime {
            switch self {
            case .at(let time): time
            case .after(let span): now.adding(milliseconds: span.milliseconds)
            }
        }

        /// From now on; not below zero.
        func milliseconds(now: WallTime) -> Int64 {
            switch self {
            case .at(let time):
                max(0, time.milliseconds.subtractingReportingOverflow(now.milliseconds).partialValue)
            case .after(let span): max(0, span.milliseconds)
            }
        }
    }

    /// The work is done and leads to no other event.
    public static var done: Outcome { .done(publishing: []) }

    /// The attempt failed with the text of the thrown error; the subscription's backoff decides when it comes again.
    public static var fail: Outcome { .fail() }

    /// Comes again at this time, without counting an attempt.
    public static func snooze(until time: WallTime) -> Outcome { .snooze(.at(time)) }

    /// Comes again so much later, without counting an attempt.
    public static func snooze(for span: Duration) -> Outcome { .snooze(.after(span)) }

    /// Holds up this subscription's deliveries until this time; see ``pauseQueue(_:because:)``.
    public static func pauseQueue(until time: WallTime, because reason: String? = nil) -> Outcome {
        .pauseQueue(.at(time), because: reason)
    }

    /// Holds up this subscription's deliveries so long; see ``pauseQueue(_:because:)``.
    public static func pauseQueue(for span: Duration, because reason: String? = nil) -> Outcome {
        .pauseQueue(.after(span), because: reason)
    }

    /// True when the event needs no other attempt.
    var isFinal: Bool {
        switch self {
        case .done, .reject: true
        case .fail, .snooze, .pauseQueue, .release: false
        }
    }
}
