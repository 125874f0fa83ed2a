import BrokerProtocol

/// Names one delivery inside a runtime.
struct Ticket: Hashable, Comparable, Sendable {
    let number: UInt64
    static func < (left: Self, right: Self) -> Bool { left.number < right.number }
}

/// The runtime as a machine without I/O: which delivery runs, how it is settled, how a drain proceeds, when to reach
/// for the broker again. What happens comes in with the time, what to do goes out.
///
/// Exactly one settlement leaves for a delivery: it is in ``held`` from its arrival to the answer to its settlement,
/// and only its stage decides what a result may still do.
struct RuntimeState {
    enum Input: Sendable {
        case start
        /// All subscriptions of this connection are subscribed.
        case connected(generation: Int)
        case connectFailed(generation: Int, BrokerError)
        case delivered(generation: Int, Delivery)
        /// A stream of deliveries ended without an error: the broker shuts down or the subscription is deleted.
        case streamEnded(generation: Int)
        case connectionLost(generation: Int, BrokerError)
        /// The consumers are gone and no delivery of them is under way.
        case unsubscribed(generation: Int)
        case finished(Ticket, Ruling)
        /// The answer to a settlement.
        case settled(Ticket, BrokerError?)
        /// The answer to a pause.
        case paused(SubscriptionName, until: WallTime, generation: Int, BrokerError?)
        case leasesLost([LeaseID])
        /// The broker answered to something that changes nothing here.
        case answered
        case drain
        /// Time has passed.
        case tick
    }

    enum Action: Hashable, Sendable {
        /// Connect and subscribe everything, each with the credit of ``RuntimeState/credits``.
        case connect(generation: Int)
        case disconnect
        case setCredit(SubscriptionName, Int)
        case unsubscribe
        case keepLease(LeaseID, milliseconds: Int64)
        case forgetLease(LeaseID)
        case run(Ticket, Delivery)
        case cancel(Ticket)
        case settle(Ticket, Settling)
        case pause(SubscriptionName, until: WallTime, generation: Int)
        case report(RuntimeEvent)
        case end(RuntimeError?)
    }

    enum Phase: Hashable {
        case running
        case draining(until: Duration)
        /// The handlers are cancelled; the end comes at this time whatever they do.
        case cancelling(until: Duration)
        case ended
    }

    enum Link: Hashable {
        /// The number of the try that starts at this time.
        case down(nextTry: Int, at: Duration)
        /// Given up at this time.
        case connecting(currentTry: Int, until: Duration)
        case up
        /// The broker sends no more deliveries: settle what is in hand, then reconnect.
        case ending
        /// For good.
        case closed
    }

    let configuration: RuntimeConfiguration
    let wall: @Sendable () -> WallTime
    let random: @Sendable (ClosedRange<Int64>) -> Int64
    var phase = Phase.running
    var link = Link.closed
    var generation = 0
    var credits: CreditPlan
    /// In the order of arrival.
    var held: [Held] = []
    /// Handlers that ignored their cancellation and run on without a slot.
    var stuck: Set<Ticket> = []
    var counters = RuntimeCounters()
    var actions: [Action] = []
    private var nextTicket: UInt64 = 0
    private var wasReady = false
    private var isUnsubscribed = false
    private var failure: RuntimeError?

    init(
        configuration: RuntimeConfiguration, subscriptions: [SubscriptionName],
        wall: @escaping @Sendable () -> WallTime = { WallTime(milliseconds: 0) },
        random: @escaping @Sendable (ClosedRange<Int64>) -> Int64
    ) {
        self.configuration = configuration
        self.wall = wall
        self.random = random
        credits = CreditPlan(
            budget: configuration.slots + configuration.prefetch, subscriptions: subscriptions)
    }

    /// - Returns: What to do, in this order.
    mutating func handle(_ input: Input, now: Duration) -> [Action] {
        if phase == .ended { return [] }
        apply(input, now)
        advance(now)
        dispatch(now)
        endWhenDone(now)
        counters.turns += 1
        counters.busy = busy
        counters.waiting = held.count { $0.stage == .waiting }
        counters.stuck = stuck.count
        counters.isConnected = link == .up
        defer { actions = [] }
        return actions
    }

    private mutating func apply(_ input: Input, _ now: Duration) {
        switch input {
        case .start: connect(currentTry: 1, now)
        case .connected(let generation): connected(generation)
        case .connectFailed(let generation, let error):
            guard case .connecting(let currentTry, _) = link, generation == self.generation else { return }
            reach(again: currentTry + 1, after: error, now)
        case .delivered(let generation, let delivery): delivered(generation, delivery)
        case .streamEnded(let generation):
            guard generation == self.generation, link == .up, phase == .running else { return }
            link = .ending
            releaseWaiting()
        case .connectionLost(let generation, let error): connectionLost(generation, error, now)
        case .unsubscribed(let generation):
            guard generation == self.generation else { return }
            isUnsubscribed = true
            releaseWaiting()
        case .finished(let ticket, let ruling): finished(ticket, ruling, now)
        case .settled(let ticket, let error): settled(ticket, error, now)
        case .paused(let subscription, let until, let generation, let error):
            paused(subscription, until: until, generation: generation, error, now)
        case .leasesLost(let leases): leasesLost(leases, now)
        case .answered: counters.brokerAnswers += 1
        case .drain: drain(now)
        case .tick:
            // A wait between two tries is no standstill; a try that never ends is one.
            if case .down = link { counters.brokerAnswers += 1 }
        }
    }

    /// When ``Input/tick`` is due at the latest; nil when only an event can change anything. Asked after every event.
    var nextDeadline: Duration? {
        var next: Duration?
        func note(_ time: Duration) { next = min(next ?? time, time) }
        switch phase {
        case .running, .ended: break
        case .draining(let until), .cancelling(let until): note(until)
        }
        switch link {
        case .down(_, let time), .connecting(_, let time): note(time)
        case .up, .ending, .closed: break
        }
        for item in held { if let deadline = item.deadline { note(deadline) } }
        return next
    }

    /// Slots in use: a delivery keeps its slot until the broker has answered to its settlement.
    var busy: Int { held.count { $0.stage != .waiting } }

    // MARK: The connection

    private mutating func connect(currentTry: Int, _ now: Duration) {
        generation += 1
        link = .connecting(currentTry: currentTry, until: now + configuration.connectTimeout)
        credits = CreditPlan(budget: credits.budget, subscriptions: credits.order)
        actions.append(.connect(generation: generation))
    }

    /// Full jitter: <https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/>.
    private mutating func reach(again nextTry: Int, after error: BrokerError, _ now: Duration) {
        counters.brokerAnswers += 1
        let base = configuration.reconnectBase.milliseconds
        let (product, overflow) = base.multipliedReportingOverflow(by: Int64(1) << min(nextTry, 40))
        let cap = configuration.reconnectCap.milliseconds
        let wait = Duration.milliseconds(random(0...max(0, overflow ? cap : min(cap, product))))
        link = .down(nextTry: nextTry, at: now + wait)
        actions.append(.report(.brokerGone(error, nextTry: nextTry, wait: wait)))
    }

    private mutating func connected(_ generation: Int) {
        guard case .connecting = link, generation == self.generation else { return }
        counters.brokerAnswers += 1
        link = .up
        actions.append(.report(wasReady ? .reconnected : .ready))
        wasReady = true
    }

    mutating func connectionLost(_ generation: Int, _ error: BrokerError, _ now: Duration) {
        guard generation == self.generation, link == .up || link == .ending else { return }
        actions.append(.disconnect)
        held.removeAll { $0.stage == .waiting }
        for ticket in held.map(\.ticket) {
            guard let index = index(of: ticket), case .refused = held[index].stage else { continue }
            drop(index, error.description, now)
        }
        if phase == .running { reach(again: 1, after: error, now) } else { link = .closed }
    }

    /// Leases end with their connection.
    func isConnected(_ item: Held) -> Bool {
        item.generation == generation && (link == .up || link == .ending)
    }

    // MARK: Deliveries

    private mutating func delivered(_ generation: Int, _ delivery: Delivery) {
        guard generation == self.generation, link == .up || link == .ending else { return }
        let ticket = Ticket(number: nextTicket)
        nextTicket += 1
        counters.brokerAnswers += 1
        held.append(Held(ticket: ticket, delivery, generation: generation))
        actions.append(.keepLease(delivery.lease, milliseconds: delivery.leaseMilliseconds))
        guard phase == .running, link == .up else {
            if isUnsubscribed || link == .ending { releaseWaiting() }
            return
        }
        if credits.order.count == 1 { return }
        var counts: [SubscriptionName: Int] = [:]
        for item in held { counts[item.delivery.subscription, default: 0] += 1 }
        for (subscription, credit) in credits.delivered(delivery.subscription, held: counts) {
            actions.append(.setCredit(subscription, credit))
        }
    }

    /// Gives free slots to the oldest waiting deliveries. One whose earlier delivery is still in a handler here waits
    /// for that handler: a process never works twice on the same message.
    private mutating func dispatch(_ now: Duration) {
        guard phase == .running, link == .up else { return }
        var free = configuration.slots - busy
        for index in held.indices where free > 0 && held[index].stage == .waiting {
            let delivery = held[index].delivery
            let isInHandler = held.contains {
                $0.isInHandler && $0.delivery.id == delivery.id && $0.delivery.subscription == delivery.subscription
            }
            if isInHandler || isBeingPaused(delivery.subscription) { continue }
            held[index].stage = .running(deadline: now + configuration.attemptTimeout)
            held[index].startedAt = now
            free -= 1
            counters.started += 1
            actions.append(.report(.started(attempt(held[index]))))
            actions.append(.run(held[index].ticket, delivery))
        }
    }

    mutating func releaseWaiting(where isMeant: (SubscriptionName) -> Bool = { _ in true }) {
        for index in held.indices where held[index].stage == .waiting {
            let delivery = held[index].delivery
            if isMeant(delivery.subscription) { settle(index, Settling(lease: delivery.lease, .release, wall: wall())) }
        }
    }

    func attempt(_ item: Held) -> Attempt { Attempt(item.delivery, timeout: configuration.attemptTimeout) }

    // MARK: Drain

    private mutating func drain(_ now: Duration) {
        switch phase {
        case .running: beginDrain(now)
        case .draining: cancelAll(now)
        case .cancelling, .ended: break
        }
    }

    private mutating func beginDrain(_ now: Duration) {
        phase = .draining(until: now + configuration.drainTimeout)
        actions.append(.report(.draining(running: held.count(where: \.isInHandler))))
        switch link {
        case .up, .ending: actions.append(.unsubscribe)
        case .connecting, .down, .closed:
            generation += 1
            link = .closed
        }
    }

    private mutating func cancelAll(_ now: Duration) {
        let running = held.indices.filter { index in
            if case .running = held[index].stage { true } else { false }
        }
        phase = .cancelling(until: now + configuration.cancellationGrace * 2)
        actions.append(.report(.cancelling(running: running.count)))
        for index in running { cancel(index, .drain, now) }
    }

    mutating func cancel(_ index: Int, _ cause: Held.Cause, _ now: Duration) {
        held[index].stage = .cancelled(cause, until: now + configuration.cancellationGrace)
        actions.append(.cancel(held[index].ticket))
    }

    /// What the time asks for.
    private mutating func advance(_ now: Duration) {
        advanceLink(now)
        let due = held.filter { item in item.deadline.map { $0 <= now } ?? false }.map(\.ticket)
        for ticket in due {
            guard let index = index(of: ticket) else { continue }
            switch held[index].stage {
            case .running:
                counters.timeouts += 1
                actions.append(.report(.timedOut(attempt(held[index]))))
                cancel(index, .timeout, now)
            case .cancelled(let cause, _): writeOff(index, cause, now)
            case .refused(let settling, _): settle(index, settling)
            case .waiting, .pausing, .settling: break
            }
        }
        if case .draining(let until) = phase, until <= now { cancelAll(now) }
        if case .cancelling(let until) = phase, until <= now { return end() }
        if stuck.count > configuration.stuckHandlersMax, failure == nil {
            failure = .stuckHandlers(stuck.count)
            if phase == .running { beginDrain(now) }
        }
    }

    private mutating func advanceLink(_ now: Duration) {
        switch link {
        case .down(let nextTry, let time) where time <= now: connect(currentTry: nextTry, now)
        case .connecting(let currentTry, let time) where time <= now:
            generation += 1  // An answer that comes after all finds its try given up.
            let span = SettingText.span(milliseconds: configuration.connectTimeout.milliseconds)
            reach(again: currentTry + 1, after: BrokerError(.connectionRefused, "no answer within \(span)"), now)
        case .down, .connecting, .up, .ending, .closed: break
        }
    }

    private mutating func endWhenDone(_ now: Duration) {
        guard held.isEmpty else { return }
        switch phase {
        case .running:
            if link != .ending { return }
            connectionLost(generation, BrokerError(.shuttingDown, "the broker ended the deliveries"), now)
        case .draining, .cancelling:
            // Until then, what is given back would be delivered here again.
            if isUnsubscribed || link == .closed { end() }
        case .ended: break
        }
    }

    private mutating func end() {
        phase = .ended
        actions += [.disconnect, .report(.drained), .end(failure)]
    }
}
