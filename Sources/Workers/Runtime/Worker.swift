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

    /// What becomes of the event when `handle` threw. The error's text goes to the broker with a
    /// ``Outcome/fail(_:after:)`` that has none of its own.
    func verdict(for error: any Error, _ attempt: Attempt) -> Outcome
}

extension Worker {
    /// A cancelled handler gives its event back; every other error fails the attempt.
    public func verdict(for error: any Error, _ attempt: Attempt) -> Outcome {
        error is CancellationError ? .release : .fail
    }
}
