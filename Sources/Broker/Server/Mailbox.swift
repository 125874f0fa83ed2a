import BrokerProtocol
import LinuxIO

/// What other threads ask of the loop.
enum LoopMessage: Sendable {
    case open(SessionID, LocalSession)
    case request(Origin, Request)
    case close(SessionID)
    case configure(BrokerConfiguration, @Sendable (Result<Void, BrokerError>) -> Void)
    /// Stop: no new connections, no deliveries; end when the leases are settled or the time is over.
    case drain(milliseconds: Int64)
}

/// The loop's door for other threads.
final class Mailbox: Sendable {
    private struct Contents {
        var messages: [LoopMessage] = []
        var isClosed = false
    }

    private let contents = Monitor(Contents())
    let waker: Waker

    init() throws(SystemError) { waker = try Waker() }

    /// - Returns: False when the loop has ended.
    func post(_ message: LoopMessage) -> Bool {
        let (isPosted, isFirst) = contents.with { contents in
            if contents.isClosed { return (false, false) }
            contents.messages.append(message)
            return (true, contents.messages.count == 1)
        }
        if isFirst { waker.wake() }
        return isPosted
    }

    func take() -> [LoopMessage] {
        contents.with { contents in
            let messages = contents.messages
            contents.messages = []
            return messages
        }
    }

    /// Nothing is accepted from here on.
    func close() -> [LoopMessage] {
        contents.with { contents in
            contents.isClosed = true
            let messages = contents.messages
            contents.messages = []
            return messages
        }
    }
}
