import BrokerProtocol
import Synchronization

/// The deliveries of one consumer between the socket's thread and the tasks that read them. The credit bounds it.
final class Inbox: Sendable {
    private typealias Reader = (id: UInt64, continuation: CheckedContinuation<Delivery?, any Error>)

    private enum End {
        case none
        /// What was not read before is still handed out.
        case orderly
        case failed(BrokerError)
    }

    private struct State {
        var unread: [Delivery] = []
        /// How many of `unread` were handed out.
        var readCount = 0
        var readers: [Reader] = []
        var nextReader: UInt64 = 0
        var end = End.none
        var isAbandoned = false

        mutating func takeUnread() -> Delivery? {
            guard readCount < unread.count else { return nil }
            defer {
                readCount += 1
                if readCount == unread.count {
                    unread.removeAll(keepingCapacity: true)
                    readCount = 0
                }
            }
            return unread[readCount]
        }
    }

    private let state = Mutex(State())

    /// - Returns: The deliveries that nobody will read.
    func add(_ deliveries: [Delivery]) -> [Delivery] {
        let (refused, served) = state.withLock { state -> ([Delivery], [(Reader, Delivery)]) in
            if state.isAbandoned { return (deliveries, []) }
            let served = Array(zip(state.readers, deliveries))
            state.readers.removeFirst(served.count)
            state.unread.append(contentsOf: deliveries.dropFirst(served.count))
            return ([], served)
        }
        for (reader, delivery) in served { reader.continuation.resume(returning: delivery) }
        return refused
    }

    /// No more deliveries come. With an error the unread ones are forgotten: their leases are gone.
    func end(_ error: BrokerError?, keepsUnread: Bool) {
        let readers = state.withLock { state -> [Reader] in
            if !keepsUnread {
                state.unread = []
                state.readCount = 0
            }
            state.end = error.map { .failed($0) } ?? .orderly
            defer { state.readers = [] }
            return state.readers
        }
        for reader in readers {
            if let error {
                reader.continuation.resume(throwing: error)
            } else {
                reader.continuation.resume(returning: nil)
            }
        }
    }

    /// Nobody reads any more.
    /// - Returns: What was delivered and not read.
    func abandon() -> [Delivery] {
        state.withLock { state in
            state.isAbandoned = true
            defer { state.unread = [] }
            return Array(state.unread.dropFirst(state.readCount))
        }
    }

    /// The next delivery; nil at the orderly end, or when this task is cancelled.
    func next() async throws -> Delivery? {
        let id = state.withLock { state in
            state.nextReader += 1
            return state.nextReader
        }
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                let now = state.withLock { state -> Result<Delivery?, BrokerError>? in
                    if Task.isCancelled { return .success(nil) }
                    if let delivery = state.takeUnread() { return .success(delivery) }
                    switch state.end {
                    case .orderly: return .success(nil)
                    case .failed(let error): return .failure(error)
                    case .none:
                        state.readers.append((id, continuation))
                        return nil
                    }
                }
                if let now { continuation.resume(with: now.mapError { $0 }) }
            }
        } onCancel: {
            let reader = state.withLock { state -> Reader? in
                state.readers.firstIndex { $0.id == id }.map { state.readers.remove(at: $0) }
            }
            reader?.continuation.resume(returning: nil)
        }
    }
}
