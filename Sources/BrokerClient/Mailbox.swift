import BrokerProtocol
import LinuxIO
import Synchronization

/// What tasks and threads ask of a connection's thread. Bounded in bytes.
final class Mailbox: Sendable {
    enum Waiter {
        case answer(Answer)
        /// Wants only the leases that were not extended.
        case leases([LeaseID], lost: @Sendable ([LeaseID]) -> Void)
    }

    enum Letter {
        case request(frame: [UInt8], Waiter?, unsubscribes: ConsumerID?)
        case subscribe(frame: [UInt8], ConsumerID, Inbox, Answer)
        /// Nobody reads the consumer's stream any more.
        case abandon(ConsumerID, unread: [LeaseID])
        case close(CheckedContinuation<Void, Never>?)

        var byteCount: Int {
            switch self {
            case .request(let frame, _, _), .subscribe(let frame, _, _, _): frame.count
            case .abandon, .close: 0
            }
        }
    }

    /// From this many unwritten bytes on a request waits before it is sent.
    static let unwrittenBytesMax = 16 << 20

    private struct State {
        var letters: [Letter] = []
        /// Bytes in `letters`.
        var letterBytes = 0
        /// Bytes that the thread has taken and not written.
        var unwrittenBytes = 0
        var blocked: [CheckedContinuation<Void, Never>] = []
        var end: BrokerError?
        var isFull: Bool { letterBytes + unwrittenBytes >= Mailbox.unwrittenBytesMax && end == nil }
    }

    private let state = Mutex(State())
    private let waker: Waker

    init() throws(SystemError) { waker = try Waker() }

    var wakerNumber: Int32 { waker.number }

    var hasRoom: Bool { state.withLock { !$0.isFull } }

    /// Waits until there is room for another request, or the connection has ended.
    func waitForRoom() async {
        while !hasRoom {
            await withCheckedContinuation { continuation in
                let isFull = state.withLock { state in
                    if state.isFull { state.blocked.append(continuation) }
                    return state.isFull
                }
                if !isFull { continuation.resume() }
            }
        }
    }

    /// Hands a letter to the thread; never waits.
    /// - Returns: The reason when the connection has ended; the letter is dropped then.
    func post(_ letter: Letter) -> BrokerError? {
        let (end, isFirst) = state.withLock { state -> (BrokerError?, Bool) in
            if let end = state.end { return (end, false) }
            state.letters.append(letter)
            state.letterBytes += letter.byteCount
            return (nil, state.letters.count == 1)
        }
        if isFirst { waker.wake() }
        return end
    }

    // MARK: The thread's side

    /// Takes everything that was posted.
    func take() -> [Letter] {
        waker.clear()
        return state.withLock { state in
            defer {
                state.letters = []
                state.unwrittenBytes += state.letterBytes
                state.letterBytes = 0
            }
            return state.letters
        }
    }

    /// Lets waiting requests in when there is room.
    func note(unwrittenBytes: Int) {
        let freed = state.withLock { state -> [CheckedContinuation<Void, Never>] in
            state.unwrittenBytes = unwrittenBytes
            guard !state.blocked.isEmpty, !state.isFull else { return [] }
            defer { state.blocked = [] }
            return state.blocked
        }
        for continuation in freed { continuation.resume() }
    }

    /// Refuses everything from now on with the first reason given.
    func refuse(_ reason: BrokerError) {
        let freed = state.withLock { state -> [CheckedContinuation<Void, Never>] in
            if state.end == nil { state.end = reason }
            defer { state.blocked = [] }
            return state.blocked
        }
        for continuation in freed { continuation.resume() }
    }
}
