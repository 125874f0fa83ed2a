import TestSupport
import BrokerProtocol
import LinuxIO

/// Starts, kills and starts again; at the end drains everything.
struct KillRun {
    private(set) var history = History()
    private(set) var remains = Remains()
    private(set) var failures: [String] = []
    /// How the traced lives ended, and what was written.
    private(set) var endings: [(ending: ChildProcess.Ending, text: String)] = []
    private let path: String
    private let socket: String
    private var dice: Dice
    private var starts = 0
    private var killsInRecovery = 0

    private static let driverCount = 4

    init(path: String, socket: String, seed: UInt64) {
        self.path = path
        self.socket = socket
        dice = Dice(seed: seed)
    }

    var summary: String {
        "\(killsInRecovery) more while recovering, \(history.operationCount) requests, \(history.events.count) events"
    }

    /// What ends a life.
    enum Death {
        /// SIGKILL that many events and milliseconds after the start.
        case random
        /// A tracer, at a system call. It gets the program and its arguments.
        case traced([String])
    }

    mutating func run(_ deaths: [Death]) throws {
        let arena = Arena(url: "unix://\(socket)", driverCount: Self.driverCount)
        for _ in 0..<Self.driverCount {
            let seed = dice.next()
            _ = SystemThread(name: "driver") {
                SystemThread.detachCurrent()
                SystemThread.blockBrokenPipeSignal()
                Driver.run(arena, seed: seed)
            }
        }
        defer { arena.finish() }
        for death in deaths where arena.failures.isEmpty {
            switch death {
            case .random: try cycle(arena)
            case .traced(let tracer): try cycle(arena, tracer)
            }
        }
        failures = arena.failures
        history = arena.history
        try drain()
    }

    /// One life: recovery, which may be killed as well, work, death.
    private mutating func cycle(_ arena: Arena) throws {
        while dice.percent(25) {
            let child = try start().child
            try wait(milliseconds: Int64(dice.number(0...12)), for: child)
            try kill(child)
            killsInRecovery += 1
        }
        let (child, manager) = try start()
        try ready(child, manager)
        arena.open(try survey())
        if !arena.waitForEvents(dice.number(1...150), thenMilliseconds: Int64(dice.number(0...60))) {
            arena.note(failure: "nothing happened any more")
        }
        try kill(child)
        try arena.close()
    }

    /// One life under a tracer that ends it, maybe before it is ready.
    private mutating func cycle(_ arena: Arena, _ tracer: [String]) throws {
        let (child, manager) = try start(tracer)
        if (try? ready(child, manager)) != nil, let survey = try? survey() {
            arena.open(survey)
            endings.append((try child.waitUntilEnded(), child.text))
            try arena.close()
        } else {
            endings.append((try child.waitUntilEnded(), child.text))
        }
    }

    private mutating func start(_ tracer: [String] = []) throws -> (child: ChildProcess, manager: Manager) {
        starts += 1
        let manager = try Manager(path: "\(path)/notify-\(starts)")
        let child = try ChildProcess(
            tracer + [ServiceHouse.program, "--config", path + "/brokerd.conf", "--listen", "unix://\(socket)"],
            environment: ["NOTIFY_SOCKET": manager.path], whenEnded: { manager.noteEnd() })
        return (child, manager)
    }

    private func ready(_ child: ChildProcess, _ manager: Manager) throws {
        do {
            _ = try manager.waitUntil("READY=1") { $0.contains { $0.text.contains("READY=1") } ? true : nil }
        } catch {
            throw Late("READY=1; \(error); it wrote:\n\(child.text)")
        }
    }

    /// Lets the process run for that long; it must not end by itself.
    private func wait(milliseconds: Int64, for child: ChildProcess) throws {
        if let ending = child.waitUntilEnded(milliseconds: milliseconds) {
            throw Late("a recovery: it ended with \(ending) and wrote:\n\(child.text)")
        }
    }

    private func kill(_ child: ChildProcess) throws {
        child.send(9)
        let ending = try child.waitUntilEnded()
        if ending != .killed(by: 9) { throw Late("the kill: it ended with \(ending) and wrote:\n\(child.text)") }
    }

    private func survey() throws -> History.Survey {
        let wire = try Wire.open("unix://\(socket)")
        // All of them are there before the first message.
        for name in Scene.subscriptions + [Scene.taken] {
            guard let subscription = SubscriptionName(name) else { continue }
            guard case .done = try wire.ask(.subscriptionCreate(subscription, .beginning)) else { throw Late(name) }
        }
        return try Self.survey(by: wire)
    }

    private static func survey(by wire: Wire) throws -> History.Survey {
        guard case .topics(let topics) = try wire.ask(.topicList) else { throw Late("the topics") }
        return Scene.survey(topics)
    }

    // MARK: End

    /// The last life: one client takes and acknowledges everything that is left.
    private mutating func drain() throws {
        var (child, manager) = try start()
        try ready(child, manager)
        history.events.append(.started(try survey()))
        let wire = try Wire.open("unix://\(socket)")
        for (index, name) in Scene.subscriptions.enumerated() {
            guard let subscription = SubscriptionName(name) else { continue }
            _ = try wire.ask(
                .subscribe(
                    consumer: ConsumerID(rawValue: UInt32(index + 1)), subscription: subscription, credit: 1_000,
                    start: .beginning, leaseMilliseconds: nil))
        }
        while try takeOne(wire) {}
        while try Self.survey(by: wire).subscriptions.values.contains(where: { $0.live > $0.dead }) {
            guard case .deliveries(let deliveries)? = try wire.nextPush() else { throw Late("a delivery") }
            try acknowledge(deliveries, wire)
        }
        remains.survey = try Self.survey(by: wire)
        remains.letters = try Self.letters(of: Scene.subscriptions, wire)
        // A recovery of what was recovered finds the same.
        for _ in 0..<2 {
            try kill(child)
            (child, manager) = try start()
            try ready(child, manager)
            let again = try survey()
            if again != remains.survey { failures.append("a second recovery counts \(again), not \(remains.survey)") }
        }
        try kill(child)
    }

    private mutating func acknowledge(_ deliveries: [Delivery], _ wire: Wire) throws {
        let seen = deliveries.map { Scene.seen($0, by: 0) }
        for delivery in seen { history.events.append(.delivered(delivery)) }
        let settles = seen.map { History.Settle(lease: $0.lease, verdict: .ack) }
        let operation = history.invoke(.init(kind: .settle, connection: 0, settles: settles))
        let response = try wire.ask(.settle(deliveries.map { Settlement($0.lease, .ack) }))
        guard case .settled(let results) = response else { throw Late("the answer to an ack") }
        history.events.append(.answered(operation, .settled(results.map { $0 == nil })))
    }

    private mutating func takeOne(_ wire: Wire) throws -> Bool {
        guard let name = SubscriptionName(Scene.taken) else { return false }
        let operation = history.invoke(.init(kind: .take(Scene.taken), connection: 0))
        guard case .popped(let delivery) = try wire.ask(.pop([name], timeoutMilliseconds: 0, acknowledges: true)) else {
            throw Late("the answer to a pop")
        }
        history.events.append(.answered(operation, .taken(delivery.map { Scene.seen($0, by: 0) })))
        return delivery != nil
    }

    static func letters(of subscriptions: [String], _ wire: Wire) throws -> [History.DeadLetter] {
        var letters: [History.DeadLetter] = []
        for name in subscriptions {
            guard let subscription = SubscriptionName(name) else { continue }
            var from = MessageID(rawValue: 0)
            while true {
                let response = try wire.ask(.deadList(subscription, from: from, limit: 1_000))
                guard case .deadLetters(let page) = response else { throw Late("the dead letters") }
                guard let last = page.last else { break }
                letters += page.map { letter in
                    History.DeadLetter(
                        subscription: letter.subscription.description, id: letter.id.rawValue,
                        attempts: letter.attempts, reason: letter.reason, number: Scene.number(in: letter.body),
                        fingerprint: History.fingerprint(letter.body))
                }
                from = MessageID(rawValue: last.id.rawValue + 1)
            }
        }
        return letters
    }
}
