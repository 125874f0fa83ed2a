private import LinuxIO

/// A thread for work that blocks, such as SQLite's: one piece after the other, in order, away from the threads that
/// Swift's tasks share.
public final class BlockingThread: Sendable {
    private struct Queue {
        var pieces: [@Sendable () -> Void] = []
        var isClosed = false
    }

    private let queue: Monitor<Queue>

    /// - Parameter name: At most 15 bytes; shown by `top -H`.
    public init(name: String) {
        let queue = Monitor(Queue())
        self.queue = queue
        _ = SystemThread(name: name) {
            SystemThread.detachCurrent()
            while let pieces = queue.wait({ Self.take(from: &$0) }), !pieces.isEmpty {
                for piece in pieces { piece() }
            }
        }
    }

    /// The thread ends after the work that it has.
    deinit { queue.update { $0.isClosed = true } }

    /// Runs `body` on the thread; returns or throws what it does. A cancelled task still waits for its piece.
    public func run<Value: Sendable, Failure: Error>(
        _ body: @escaping @Sendable () throws(Failure) -> Value
    ) async throws(Failure) -> Value {
        let result: Result<Value, Failure> = await withCheckedContinuation { continuation in
            queue.update { $0.pieces.append { continuation.resume(returning: Result(catching: body)) } }
        }
        return try result.get()
    }

    /// - Returns: Nil to go on waiting; empty when the thread is to end.
    private static func take(from queue: inout Queue) -> [@Sendable () -> Void]? {
        if queue.pieces.isEmpty { return queue.isClosed ? [] : nil }
        defer { queue.pieces = [] }
        return queue.pieces
    }
}
