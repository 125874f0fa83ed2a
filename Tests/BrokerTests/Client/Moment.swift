import LinuxIO
import Synchronization

/// Something that happens once; tasks and threads wait for it.
final class Moment: Sendable {
    private struct State {
        var hasHappened = false
        var tasks: [CheckedContinuation<Void, Never>] = []
    }

    private let state = Mutex(State())
    private let thread = Monitor(false)

    func happen() {
        let tasks = state.withLock { state in
            state.hasHappened = true
            defer { state.tasks = [] }
            return state.tasks
        }
        for task in tasks { task.resume() }
        thread.update { $0 = true }
    }

    func wait() async {
        await withCheckedContinuation { continuation in
            let hasHappened = state.withLock { state in
                if !state.hasHappened { state.tasks.append(continuation) }
                return state.hasHappened
            }
            if hasHappened { continuation.resume() }
        }
    }

    /// For a script's thread; blocks it.
    func block() { thread.wait { $0 ? () : nil } }
}
