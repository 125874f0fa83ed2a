import BrokerProtocol
import Synchronization

/// Where one answer is waited for. It is filled once: by the answer, by the end of the connection, or by the
/// cancellation of the task that waits.
final class Answer: Sendable {
    typealias Outcome = Result<Response, BrokerError>

    private enum State {
        case empty
        case waited(CheckedContinuation<Outcome, Never>)
        case filled(Outcome)
        case taken
    }

    static let cancelled = BrokerError(
        .closed, "the task that waited was cancelled; the request stays sent and its answer is dropped")

    private let state = Mutex(State.empty)

    /// - Returns: False when it was filled before; the outcome is dropped then.
    @discardableResult
    func fill(_ outcome: Outcome) -> Bool {
        let (isFirst, continuation) = state.withLock { state -> (Bool, CheckedContinuation<Outcome, Never>?) in
            switch state {
            case .empty:
                state = .filled(outcome)
                return (true, nil)
            case .waited(let continuation):
                state = .taken
                return (true, continuation)
            case .filled, .taken: return (false, nil)
            }
        }
        continuation?.resume(returning: outcome)
        return isFirst
    }

    /// Waits until it is filled. Call once.
    /// - Parameter isCancellable: Whether the cancellation of this task ends the wait with ``cancelled``.
    func outcome(isCancellable: Bool) async -> Outcome {
        if !isCancellable { return await wait() }
        return await withTaskCancellationHandler {
            await wait()
        } onCancel: {
            fill(.failure(Self.cancelled))
        }
    }

    private func wait() async -> Outcome {
        await withCheckedContinuation { continuation in
            let early = state.withLock { state -> Outcome? in
                guard case .filled(let outcome) = state else {
                    state = .waited(continuation)
                    return nil
                }
                state = .taken
                return outcome
            }
            if let early { continuation.resume(returning: early) }
        }
    }
}
