import BrokerProtocol
import Synchronization

/// Where one answer is waited for. It is filled once: by the answer, by the end of the connection, or by the
/// cancellation of the task that waits.
final class Answer: Sendable {
    typealias Outcome = Result<Response, BrokerError>

    private enum State {
        case waited([CheckedContinuation<Outcome, Never>])
        case filled(Outcome)
    }

    static let cancelled = BrokerError(
        .closed, "the task that waited was cancelled; the request stays sent and its answer is dropped")

    private let state = Mutex(State.waited([]))

    /// - Returns: False when it was filled before; the outcome is dropped then.
    @discardableResult
    func fill(_ outcome: Outcome) -> Bool {
        let continuations = state.withLock { state -> [CheckedContinuation<Outcome, Never>]? in
            guard case .waited(let continuations) = state else { return nil }
            state = .filled(outcome)
            return continuations
        }
        for continuation in continuations ?? [] { continuation.resume(returning: outcome) }
        return continuations != nil
    }

    /// Waits until it is filled.
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
                switch state {
                case .filled(let outcome): return outcome
                case .waited(let others):
                    state = .waited(others + [continuation])
                    return nil
                }
            }
            if let early { continuation.resume(returning: early) }
        }
    }
}
