import BrokerProtocol

/// What a fetch has taken so far, and how much more one answer holds.
final class FetchedPage {
    private var count = 0
    /// Of bodies and headers.
    private var contentBytes = 0
    private var wireBytes = 16
    private let bytesMax: Int
    private let frameBytesMax: Int

    /// - Parameter bytesMax: Of bodies and headers; 0: no limit but the frame's.
    init(bytesMax: UInt32, frameBytesMax: Int) {
        self.bytesMax = bytesMax == 0 ? .max : Int(bytesMax)
        self.frameBytesMax = frameBytesMax
    }

    /// Fields of a delivery that have a fixed size, and the counts of the others.
    private static let fixedBytes = 80

    /// Counts one more message, when it fits; the first one always.
    func admits(_ entry: MessageEntry, of name: SubscriptionName, _ slot: Slot?, key: String?) -> Bool {
        let content = contentBytes + Int(entry.contentBytes)
        let nameBytes = name.topic.text.utf8.count + name.name.utf8.count
        let text = (slot?.lastError?.utf8.count ?? 0) + (key?.utf8.count ?? 0) + nameBytes
        let wire = wireBytes + Int(entry.contentBytes) + text + Self.fixedBytes
        guard count == 0 || (content <= bytesMax && wire <= frameBytesMax) else { return false }
        count += 1
        contentBytes = content
        wireBytes = wire
        return true
    }
}

extension BrokerState {
    static let fetchMessagesMax: UInt32 = 10_000

    /// Takes messages of the first subscription that has one, or waits for that.
    func fetch(_ fetch: Fetch, _ session: Session, origin: Origin, now: Now) throws(BrokerError) {
        guard (1...100).contains(fetch.subscriptions.count) else {
            throw BrokerError(.batchTooLarge, "a fetch names 1 to 100 subscriptions")
        }
        guard (1...Self.fetchMessagesMax).contains(fetch.messagesMax) else {
            throw BrokerError(
                .settingInvalid, "a fetch takes 1 to \(Self.fetchMessagesMax) messages, not \(fetch.messagesMax)")
        }
        if let lease = fetch.leaseMilliseconds, !(100...Lease.millisecondsMax).contains(lease) {
            throw BrokerError(.settingInvalid, "a lease is 100 ms to 12 h, not \(lease) ms")
        }
        if isDraining { throw Self.draining }
        if session.holdCount >= limits.leasesPerConnectionMax {
            throw BrokerError(
                .leaseLimit,
                "the connection's leases and waits are \(limits.leasesPerConnectionMax), the limit leases_max")
        }
        var sources: [Source] = []
        for name in fetch.subscriptions { sources.append(try ensureSource(name, start: .beginning)) }
        for source in sources where source.waiting.isEmpty {
            let notices = take(fetch, from: source, session, waiting: 0, now: now)
            if notices.isEmpty { continue }
            emit(.answerFetch(origin, notices))
            return
        }
        if fetch.waitMilliseconds == 0 {
            respond(origin, .fetched([]))
            return
        }
        let pop = WaitingPop(
            number: nextPop, origin: origin, sources: sources, acknowledges: fetch.acknowledges,
            fetch: fetch)
        wait(pop, session, timeoutMilliseconds: fetch.waitMilliseconds, now: now)
    }

    /// As many messages as are ready and fit.
    /// - Parameter waiting: How many of the session's waits end with these messages.
    func take(
        _ fetch: Fetch, from source: Source, _ session: Session, waiting: Int, now: Now
    ) -> [Notice] {
        let page = FetchedPage(bytesMax: fetch.bytesMax, frameBytesMax: limits.frameBytesMax)
        var notices: [Notice] = []
        var attempts: [Attempt] = []
        var passedOver: [Subscription] = []
        while notices.count < Int(fetch.messagesMax),
            session.holdCount - waiting < limits.leasesPerConnectionMax,
            let notice = source.takeInTurn({ subscription in
                let notice = take(
                    from: subscription, session, nil, acknowledges: fetch.acknowledges,
                    leaseMilliseconds: fetch.leaseMilliseconds, fetched: page, now: now)
                if let notice {
                    attempts.append(Attempt(subscription: subscription, session: session, message: notice.id))
                } else if subscription.pattern != nil {
                    passedOver.append(subscription)
                }
                return notice
            })
        {
            notices.append(notice)
        }
        if !fetch.acknowledges { noteAttempts(attempts) }
        // A member whose next message did not fit has its turn again.
        if !notices.isEmpty { passedOver.forEach(markDirty) }
        return notices
    }
}
