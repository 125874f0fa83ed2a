import BrokerProtocol

/// How a delivery is settled: the verdict, with publishes as one commit.
struct Settling: Hashable, Sendable {
    let lease: LeaseID
    let verdict: Verdict
    let publishes: [OutgoingMessage]
    let ending: Ending

    private init(_ lease: LeaseID, _ verdict: Verdict, _ ending: Ending, publishes: [OutgoingMessage] = []) {
        self.lease = lease
        self.verdict = verdict
        self.publishes = publishes
        self.ending = ending
    }

    /// A pause of the queue is settled as what follows it: the delivery is given back.
    /// - Parameters:
    ///   - error: The text of a failure that has none of its own, at most 1 KiB of it.
    ///   - wall: The wall clock now.
    init(lease: LeaseID, _ outcome: Outcome, error: String? = nil, wall: WallTime) {
        switch outcome {
        case .done(let publications):
            self.init(
                lease, .ack, .done(published: publications.count), publishes: publications.map(\.message))
        case .fail(let text, let after):
            let error = ErrorText.bounded(text ?? error ?? "the worker failed the attempt")
            let milliseconds = after.map { max(0, $0.milliseconds) }
            self.init(lease, .fail(error: error, afterMilliseconds: milliseconds), .failed(error: error))
        case .snooze(let time):
            let milliseconds = time.milliseconds(now: wall)
            self.init(lease, .release(afterMilliseconds: milliseconds), .snoozed(.milliseconds(milliseconds)))
        case .pauseQueue(let time, _): self.init(lease, .release(), .pausedQueue(until: time.wall(now: wall)))
        case .reject(let reason):
            let reason = ErrorText.bounded(reason)
            self.init(lease, .reject(reason: reason), .rejected(reason: reason))
        case .release: self.init(lease, .release(), .released)
        }
    }

    /// Given back, to come again after the wait.
    init(lease: LeaseID, releaseAfter wait: Duration) {
        self.init(lease, .release(afterMilliseconds: wait.milliseconds), .released)
    }
}
