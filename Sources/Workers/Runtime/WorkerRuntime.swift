public import BrokerProtocol
private import LinuxIO
private import Synchronization

/// Runs the workers of some roles against a broker: subscribes, keeps the slots busy, extends leases, settles, and
/// connects again when the broker was gone.
public final class WorkerRuntime: Sendable {
    let configuration: RuntimeConfiguration
    let routes: [SubscriptionName: Route]
    let starts: [SubscriptionName: StartPosition]
    let connect: @Sendable () async throws(BrokerError) -> any MessageBroker
    let observe: @Sendable (RuntimeEvent) -> Void
    let status: @Sendable (String) -> Void
    let clock: RuntimeClock
    let wall: @Sendable () -> WallTime
    let random: @Sendable (ClosedRange<Int64>) -> Int64
    let messages: AsyncStream<Message>
    let inbox: AsyncStream<Message>.Continuation
    private let published = Mutex(RuntimeCounters())

    /// What reaches the dispatcher.
    enum Message: Sendable {
        case input(RuntimeState.Input)
        case opened(BrokerLink)
        /// From the lease thread, every two seconds.
        case pulse
        /// The broker answered to the question of a pulse, or is gone.
        case answered(RuntimeState.Input)
    }

    /// - Parameters:
    ///   - connect: Makes one connection; called again after each loss.
    ///   - observe: Told what happens, in order; must not block.
    ///   - status: Told one line for people, at once when the state of the runtime changes, else every two seconds.
    ///   - clock: For timeouts, the drain and the waits between connections. Leases have the machine's own clock.
    ///   - wallClock: For snoozes and pauses until a time; the machine's own unless a test gives another one.
    ///   - random: For the waits between connections and after refusals, in milliseconds.
    public init(
        roles: [Role], configuration: RuntimeConfiguration,
        connect: @escaping @Sendable () async throws(BrokerError) -> any MessageBroker,
        observe: @escaping @Sendable (RuntimeEvent) -> Void = { _ in },
        status: @escaping @Sendable (String) -> Void = { _ in },
        clock: any Clock<Duration> = ContinuousClock(), wallClock: (@Sendable () -> WallTime)? = nil,
        random: @escaping @Sendable (ClosedRange<Int64>) -> Int64 = { Int64.random(in: $0) }
    ) {
        precondition(configuration.slots > 0 && configuration.prefetch >= 0, "a runtime has at least one slot")
        var routes: [SubscriptionName: Route] = [:]
        var starts: [SubscriptionName: StartPosition] = [:]
        for role in roles {
            routes.merge(role.routes) { _, _ in preconditionFailure("two roles are named \(role.name)") }
            for name in role.subscriptions { starts[name] = role.start }
        }
        precondition(!routes.isEmpty, "a runtime has at least one worker")
        self.configuration = configuration
        self.routes = routes
        self.starts = starts
        self.connect = connect
        self.observe = observe
        self.status = status
        self.clock = RuntimeClock(clock)
        wall = wallClock ?? { WallTime(milliseconds: Clocks.wallMilliseconds()) }
        self.random = random
        (messages, inbox) = AsyncStream.makeStream()
    }

    /// Works until a drain has ended. Call once.
    /// - Throws: ``RuntimeError`` when only a new process can help; what was in work is drained then, too.
    public func run() async throws(RuntimeError) {
        let inbox = inbox
        let keeper = LeaseKeeper(
            pulse: { inbox.yield(.pulse) }, lost: { inbox.yield(.input(.leasesLost($0))) })
        var dispatcher = Dispatcher(self, keeper)
        keeper.start()
        dispatcher.take(.input(.start))
        for await message in messages {
            dispatcher.take(message)
            if let ending = dispatcher.ending {
                keeper.stop()
                inbox.finish()
                await dispatcher.close()
                return try ending.get()
            }
        }
    }

    /// Takes no more deliveries, gives back the waiting ones, waits for the handlers until the drain's deadline,
    /// cancels them, gives back what remains; then ``run()`` returns. A second call cancels at once. From any thread.
    public func drain() { inbox.yield(.input(.drain)) }

    public var counters: RuntimeCounters { published.withLock { $0 } }

    func publish(_ counters: RuntimeCounters) { published.withLock { $0 = counters } }
}

/// Carries out what the ``RuntimeState`` asks for. Lives inside one call of ``WorkerRuntime/run()``.
private struct Dispatcher {
    private let runtime: WorkerRuntime
    private let keeper: LeaseKeeper
    private var state: RuntimeState
    private var link: BrokerLink?
    private var handlers: [Ticket: Task<Void, Never>] = [:]
    private var alarm: (time: Duration, task: Task<Void, Never>)?
    private var isPinging = false
    private var statusShown = (text: "", kind: "")
    private(set) var ending: Result<Void, RuntimeError>?

    init(_ runtime: WorkerRuntime, _ keeper: LeaseKeeper) {
        self.runtime = runtime
        self.keeper = keeper
        state = RuntimeState(
            configuration: runtime.configuration,
            subscriptions: runtime.starts.keys.sorted { $0.description < $1.description }, wall: runtime.wall,
            random: runtime.random)
    }

    mutating func take(_ message: WorkerRuntime.Message) {
        switch message {
        case .input(let input):
            if case .finished(let ticket, _) = input { handlers[ticket] = nil }
            turn(input)
        case .opened(let opened):
            guard opened.generation == state.generation else {
                Task { await opened.close() }
                return
            }
            link = opened
            keeper.use(opened.broker)
            turn(.connected(generation: opened.generation))
            opened.start({ [inbox = runtime.inbox] in inbox.yield(.input($0)) }, clock: runtime.clock)
        case .pulse:
            ping()
            turn(.tick)
            showStatus(always: true)
        case .answered(let input):
            isPinging = false
            turn(input)
        }
    }

    private mutating func turn(_ input: RuntimeState.Input) {
        for action in state.handle(input, now: runtime.clock.now()) { perform(action) }
        runtime.publish(state.counters)
        setAlarm()
        showStatus(always: false)
    }

    private mutating func perform(_ action: RuntimeState.Action) {
        let inbox = runtime.inbox
        switch action {
        case .connect(let generation): connect(generation)
        case .disconnect:
            keeper.use(nil)
            if let link, ending == nil, state.phase != .ended {
                Task { await link.close() }
                self.link = nil
            }
        case .setCredit(let subscription, let credit): link?.setCredit(subscription, credit)
        case .unsubscribe: link?.unsubscribe()
        case .keepLease(let lease, let milliseconds): keeper.keep(lease, milliseconds: milliseconds)
        case .forgetLease(let lease): keeper.forget(lease)
        case .run(let ticket, let delivery):
            let route = runtime.routes[delivery.subscription] ?? Route()
            let timeout = runtime.configuration.attemptTimeout
            handlers[ticket] = Task {
                inbox.yield(.input(.finished(ticket, await route.handle(delivery, timeout: timeout))))
            }
        case .cancel(let ticket): handlers[ticket]?.cancel()
        case .settle(let ticket, let settling):
            guard let link else {
                inbox.yield(.input(.settled(ticket, BrokerLink.lost)))
                return
            }
            Task { inbox.yield(.input(.settled(ticket, await link.settle(settling)))) }
        case .pause(let subscription, let until, let generation):
            let link = link
            Task {
                let error: BrokerError? =
                    if let link { await link.pause(subscription, until: until) } else { BrokerLink.lost }
                inbox.yield(.input(.paused(subscription, until: until, generation: generation, error)))
            }
        case .report(let event): runtime.observe(event)
        case .end(let error): ending = error.map { .failure($0) } ?? .success(())
        }
    }

    private func connect(_ generation: Int) {
        let (runtime, credits) = (runtime, state.credits.credit)
        Task {
            do throws(BrokerError) {
                let link = try await BrokerLink.open(
                    runtime.connect, generation: generation, credits: credits, starts: runtime.starts,
                    leaseMilliseconds: runtime.configuration.leaseMilliseconds)
                if case .terminated = runtime.inbox.yield(.opened(link)) { await link.close() }
            } catch {
                runtime.inbox.yield(.input(.connectFailed(generation: generation, error)))
            }
        }
    }

    /// Asks the broker for a sign of life, one question at a time.
    private mutating func ping() {
        guard let link, !isPinging else { return }
        isPinging = true
        Task { [inbox = runtime.inbox] in inbox.yield(.answered(await link.ping())) }
    }

    /// Wakes the dispatcher when the state's next deadline comes. An alarm that is early does no harm.
    private mutating func setAlarm() {
        let now = runtime.clock.now()
        if let alarm, alarm.time <= now { self.alarm = nil }
        guard let deadline = state.nextDeadline else { return }
        if let alarm, alarm.time <= deadline { return }
        alarm?.task.cancel()
        let task = Task { [clock = runtime.clock, inbox = runtime.inbox] in
            do { try await clock.sleep(deadline) } catch { return }
            inbox.yield(.input(.tick))
        }
        alarm = (deadline, task)
    }

    private mutating func showStatus(always: Bool) {
        // Only numbers change then; they are told with the pulse.
        if !always && state.isWorking && statusShown.kind == "working" { return }
        let text = state.text
        let kind = state.isWorking ? "working" : text
        if text == statusShown.text || (!always && kind == statusShown.kind) { return }
        statusShown = (text, kind)
        runtime.status(text)
    }

    /// Ends what belongs to the dispatcher; handlers that ignore their cancellation go on.
    consuming func close() async {
        alarm?.task.cancel()
        await link?.close()
    }
}
