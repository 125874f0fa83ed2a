import BrokerProtocol
import LinuxIO

/// The thread of one connection: it alone touches the socket and the session.
struct SocketLoop: ~Copyable {
    /// How long the broker may take to close its side after we closed ours.
    private static let goodbyeMilliseconds: Int64 = 2_000
    private static let socketToken: UInt64 = 1
    private static let wakerToken: UInt64 = 2

    private let name: String
    private let mailbox: Mailbox
    private let now: @Sendable () -> Int64
    private let descriptor: Descriptor
    private var poller: Poller
    private var session: ClientSession<Mailbox.Waiter, Inbox>
    private var isBlocked = false
    /// When the wait for the broker's goodbye ends; nil while the connection is in use.
    private var closesAt: Int64?
    private var saidGoodbye = false
    private var closers: [CheckedContinuation<Void, Never>] = []

    /// - Parameters:
    ///   - name: The broker's URL, for messages.
    ///   - descriptor: A connected stream socket.
    init(
        name: String, descriptor: consuming Descriptor, poller: consuming Poller, hello: Request, answer: Answer,
        mailbox: Mailbox, now: @escaping @Sendable () -> Int64
    ) throws(SystemError) {
        self.name = name
        self.mailbox = mailbox
        self.now = now
        self.descriptor = descriptor
        self.poller = poller
        session = ClientSession(hello: hello, waiter: .answer(answer), now: now())
        try self.descriptor.setNonBlocking()
        try self.poller.add(self.descriptor.number, token: Self.socketToken, interest: .read)
        try self.poller.add(mailbox.wakerNumber, token: Self.wakerToken, interest: .read)
    }

    /// Serves the connection until it ends; then every waiter and every stream knows.
    consuming func run() {
        var reason: BrokerError?
        while reason == nil {
            do throws(BrokerError) {
                reason = try turn()
            } catch {
                reason = lost(error.message)
            }
        }
        end(reason ?? lost("unknown"))
    }

    private func lost(_ cause: String) -> BrokerError {
        var text = "the connection to \(name) is lost: \(cause)"
        if let words = session.lastWords { text += "; the broker said \(words)" }
        return BrokerError(.connectionLost, text)
    }

    /// One round: what was asked, what can be written, what has come, what is due.
    /// - Returns: Why the connection is over; nil when it goes on.
    private mutating func turn() throws(BrokerError) -> BrokerError? {
        for letter in mailbox.take() { open(letter) }
        try write()
        if let closesAt, now() >= closesAt { return Self.closed }
        let events: [Poller.Event]
        do throws(SystemError) {
            let wait = min(session.deadline, closesAt ?? .max) - now()
            events = try poller.wait(milliseconds: Int32(clamping: max(0, wait)))
        } catch {
            throw BrokerError(.connectionLost, error.description)
        }
        for event in events where event.token == Self.socketToken {
            if event.isWritable, isBlocked { try unblock() }
            if event.isReadable, try readAvailable() {
                return closesAt == nil ? lost("the broker closed it") : Self.closed
            }
        }
        try session.keepAlive(now: now())
        return nil
    }

    static let closed = BrokerError(.closed, "this side closed the connection before the answer came")

    private mutating func open(_ letter: Mailbox.Letter) {
        switch letter {
        case .request(let frame, let waiter, let consumer):
            session.send(frame, waiter: waiter, purpose: consumer.map { .unsubscribe($0) } ?? .plain)
        case .subscribe(let frame, let consumer, let inbox, let answer):
            session.subscribe(frame, consumer: consumer, outlet: inbox, waiter: .answer(answer))
        case .abandon(let consumer, let unread):
            session.abandon(consumer)
            session.release(unread)
        case .close(let continuation):
            if let continuation { closers.append(continuation) }
            if closesAt == nil { closesAt = now() + Self.goodbyeMilliseconds }
            mailbox.refuse(BrokerError(.closed, "the connection to \(name) was closed"))
        }
    }

    // MARK: Socket

    private mutating func write() throws(BrokerError) {
        if session.unwrittenCount > 0 && !isBlocked {
            do throws(SystemError) {
                var isBlocked = false
                try session.flush(now: now()) { bytes, offset throws(SystemError) in
                    guard let count = try descriptor.write(bytes, from: offset) else {
                        isBlocked = true
                        return 0
                    }
                    isBlocked = offset + count < bytes.count
                    return count
                }
                if isBlocked { try setBlocked(true) }
            } catch {
                // The broker has gone. Its last words may lie in our receive buffer.
                _ = try readAvailable()
                throw BrokerError(.connectionLost, error.description)
            }
            mailbox.note(unwrittenBytes: session.unwrittenCount)
        }
        if closesAt != nil && session.unwrittenCount == 0 && !saidGoodbye {
            Socket.shutDownWriting(descriptor)
            saidGoodbye = true
        }
    }

    private mutating func setBlocked(_ blocked: Bool) throws(SystemError) {
        isBlocked = blocked
        try poller.modify(
            descriptor.number, token: Self.socketToken, interest: blocked ? [.read, .write] : .read)
    }

    private mutating func unblock() throws(BrokerError) {
        do throws(SystemError) {
            try setBlocked(false)
        } catch {
            throw BrokerError(.connectionLost, error.description)
        }
    }

    /// Reads what is there and hands it on.
    /// - Returns: True at the end of the stream.
    private mutating func readAvailable() throws(BrokerError) -> Bool {
        let count: Int?
        do throws(SystemError) {
            count = try session.fill(now: now()) { buffer throws(SystemError) in
                try descriptor.read(into: &buffer, capacity: 1 << 17)
            }
        } catch {
            throw BrokerError(.connectionLost, error.description)
        }
        var events: [ClientSession<Mailbox.Waiter, Inbox>.Event] = []
        do throws(BrokerError) {
            try session.takeEvents(into: &events)
        } catch {
            for event in events { hand(event) }
            throw error
        }
        for event in events { hand(event) }
        return count == 0
    }

    // MARK: Outcomes

    private mutating func hand(_ event: ClientSession<Mailbox.Waiter, Inbox>.Event) {
        switch event {
        case .answered(.answer(let answer), let response):
            let isWanted = answer.fill(.success(response))
            if !isWanted, case .popped(let delivery?) = response { session.release([delivery.lease]) }
            if !isWanted, case .fetched(let deliveries) = response { session.release(deliveries.map(\.lease)) }
        case .answered(.leases(let leases, let lost), let response):
            switch response {
            case .settled(let results) where results.count == leases.count:
                lost(zip(leases, results).filter { $0.1 != nil }.map(\.0))
            default: lost(leases)
            }
        case .delivered(let inbox, let deliveries): session.release(inbox.add(deliveries).map(\.lease))
        case .ended(let inbox, let error): inbox.end(error, keepsUnread: error == nil)
        }
    }

    private mutating func end(_ reason: BrokerError) {
        mailbox.refuse(reason)
        // What was posted before the refusal is treated as if it had been sent.
        for letter in mailbox.take() { open(letter) }
        let (waiters, inboxes) = session.takeAll()
        for case .answer(let answer) in waiters { answer.fill(.failure(reason)) }
        let isOrderly = reason.code == .closed
        for inbox in inboxes { inbox.end(isOrderly ? nil : reason, keepsUnread: false) }
        for closer in closers { closer.resume() }
    }
}
