import LinuxIO

/// Drives all connections of a workload from one thread.
final class Generator {
    private let workload: Workload
    private let plan: Plan
    private let ledger: Ledger
    private let server: ProcessFigures
    private var poller: Poller
    private var producers: [LoadConnection] = []
    private var connections: [LoadConnection] = []
    private var idle: [LoadConnection] = []
    private var slow: LoadConnection?
    private var large: LoadConnection?
    private var isPublishing = false
    private var scheduled = 0
    private var scheduleStart: Int64 = 0
    private var nextDisturbance: Int64 = 0
    private var result = RunResult()

    init(_ workload: Workload, server: ProcessFigures) throws {
        self.workload = workload
        self.server = server
        plan = workload.plan
        ledger = Ledger(subscriptions: workload.subscriptions)
        poller = try Poller()
    }

    func run() throws -> RunResult {
        server.forgetPeak()
        if workload.producers > 0 && workload.isStored { _ = try perform(.declare) }
        let start = Clocks.monotonicMicroseconds()
        try connect()
        if workload.messages == nil { try spin(seconds: workload.seconds / 5) }
        try measure()
        try finish()
        result.firstDeliverySeconds = ledger.firstAt.map { Double($0 - start) / 1e6 }
        result.serverPeakMiB = server.peakMiB()
        for connection in connections { poller.remove(connection.descriptor.number) }
        connections = []
        if workload.consumers == 0 && workload.isStored { result.held = try holds(result.confirmed) }
        if !workload.keeps && workload.isStored { _ = try perform(.remove) }
        return result
    }

    // MARK: Connections

    @discardableResult
    private func add(_ role: Role, producer: Int = 0, unconfirmedMax: Int = 1) throws -> LoadConnection {
        let connection = try LoadConnection(
            role, workload.dialect.make(plan, role, index: connections.count), to: workload.endpoint, plan: plan,
            ledger: ledger, producer: producer, unconfirmedMax: unconfirmedMax)
        try poller.add(connection.descriptor.number, token: UInt64(connections.count), interest: .read)
        connections.append(connection)
        try flush(connections.count - 1)
        return connection
    }

    private func connect() throws {
        if workload.idleConnections > 0 {
            let before = server.residentKiB()
            for _ in 0..<workload.idleConnections {
                let connection = try LoadConnection(
                    .producer, workload.dialect.make(plan, .producer, index: 0), to: workload.endpoint, plan: plan,
                    ledger: ledger)
                _ = try connection.flush()
                idle.append(connection)
            }
            try wait(seconds: 30, "the idle connections") { try self.idle.allSatisfy { try self.isAnswered($0) } }
            result.idleKiB = (server.residentKiB() - before) / Double(workload.idleConnections)
        }
        for subscription in 0..<workload.subscriptions {
            for _ in 0..<workload.consumers {
                try add(.consumer(subscription: subscription, credit: workload.window))
            }
        }
        var unconfirmedMax = 1024
        while unconfirmedMax < 64 * workload.window { unconfirmedMax *= 2 }
        if workload.rate != nil { unconfirmedMax = 1 << 18 }
        for index in 0..<workload.producers {
            producers.append(try add(.producer, producer: index, unconfirmedMax: unconfirmedMax))
        }
        try disturb()
        try wait(seconds: 30, "the handshakes") { self.connections.allSatisfy { $0.dialect.isReady } }
    }

    private func isAnswered(_ connection: LoadConnection) throws -> Bool {
        if !connection.dialect.isReady { try connection.read(now: 0) }
        return connection.dialect.isReady
    }

    /// Does the task of a role on a connection of its own.
    /// - Returns: The depth.
    private func perform(_ role: Role) throws -> Int {
        let connection = try add(role)
        try wait(seconds: 60, "\(role)") { connection.dialect.isReady }
        poller.remove(connection.descriptor.number)
        connections.removeLast()
        return connection.dialect.depth
    }

    /// Servers may count behind; what they hold in the end counts.
    private func holds(_ wanted: Int) throws -> Int {
        let end = Clocks.monotonicMicroseconds() + 5_000_000
        var held = try perform(.depth)
        while held != wanted && Clocks.monotonicMicroseconds() < end { held = try perform(.depth) }
        return held
    }

    private func disturb() throws {
        let count = connections.count
        switch workload.disturbance {
        case .none: return
        case .slowConsumer:
            var other = Workload(dialect: workload.dialect, endpoint: workload.endpoint, label: workload.label + "slow")
            other.producers = 2
            other.window = 128
            other.messages = 100_000
            other.seconds = 30
            other.keeps = true
            _ = try Generator(other, server: ProcessFigures(identifiers: [])).run()
            let role = Role.consumer(subscription: 0, credit: 10_000)
            let connection = try LoadConnection(
                role, workload.dialect.make(other.plan, role, index: count), to: workload.endpoint, plan: other.plan,
                ledger: Ledger(subscriptions: 1))
            _ = try connection.flush()
            connection.readBytes = 4096
            slow = connection
        case .largeBody(let bytes):
            let plan = Plan(
                label: workload.label + "large", topics: 1, subscriptions: 1, payload: Payload(bytes: bytes))
            let connection = try LoadConnection(
                .producer, workload.dialect.make(plan, .producer, index: count), to: workload.endpoint, plan: plan,
                ledger: ledger, unconfirmedMax: 1)
            try poller.add(connection.descriptor.number, token: UInt64(count), interest: .read)
            connections.append(connection)
            try flush(count)
            large = connection
        }
    }

    // MARK: The loop

    private func flush(_ index: Int) throws {
        let connection = connections[index]
        let interest: Poller.Interest = try connection.flush() ? .read : [.read, .write]
        if interest != connection.interest {
            connection.interest = interest
            try poller.modify(connection.descriptor.number, token: UInt64(index), interest: interest)
        }
    }

    /// Publishes what the window or the schedule wants on one connection.
    private func fill(_ connection: LoadConnection, now: Int64) throws {
        guard isPublishing, workload.rate == nil, case .producer = connection.role, connection !== large else { return }
        var window = workload.window
        if let messages = workload.messages {
            let share = messages / producers.count
            window = min(window, share - connection.published + connection.unconfirmed)
        }
        try connection.fill(window: window, now: now)
    }

    private func publishScheduled(now: Int64) throws {
        guard isPublishing, let rate = workload.rate else { return }
        while true {
            let due = scheduleStart + Int64(scheduled) * 1_000_000 / Int64(rate)
            if due > now { return }
            let index = scheduled % producers.count
            try producers[index].publish(due: due)
            scheduled += 1
            try flush(connections.count - producers.count - (large == nil ? 0 : 1) + index)
        }
    }

    private func turn() throws {
        var now = Clocks.monotonicMicroseconds()
        try publishScheduled(now: now)
        if now >= nextDisturbance && isPublishing {
            try slow?.read(now: now)
            _ = try slow?.flush()
            if let large, large.unconfirmed == 0 {
                try large.publish(due: now)
                try flush(connections.count - 1)
            }
            nextDisturbance = now + (slow == nil ? 1_000_000 : 10_000)
        }
        // A schedule is finer than the poller's milliseconds; others may have the core meanwhile.
        let isScheduled = isPublishing && workload.rate != nil
        let events = try poller.wait(milliseconds: isScheduled ? 0 : slow == nil ? 100 : 5)
        if events.isEmpty && isScheduled { Clocks.yield() }
        for event in events {
            let index = Int(event.token)
            if event.isReadable {
                now = Clocks.monotonicMicroseconds()
                try connections[index].read(now: now)
                try fill(connections[index], now: now)
            }
            try flush(index)
        }
    }

    private func spin(seconds: Double) throws {
        let now = Clocks.monotonicMicroseconds()
        let end = now + Int64(seconds * 1e6)
        if !isPublishing {
            isPublishing = true
            scheduleStart = now
            for (index, connection) in connections.enumerated() {
                try fill(connection, now: now)
                try flush(index)
            }
        }
        while Clocks.monotonicMicroseconds() < end && !isComplete { try turn() }
    }

    private func wait(seconds: Double, _ what: String, until holds: () throws -> Bool) throws {
        let end = Clocks.monotonicMicroseconds() + Int64(seconds * 1e6)
        while try !holds() {
            guard Clocks.monotonicMicroseconds() < end else {
                throw BenchError("\(what) did not end in \(Int(seconds)) s")
            }
            try turn()
        }
    }

    // MARK: Figures

    private var confirmed: Int { producers.reduce(0) { $0 + $1.confirmed } }
    private var published: Int { producers.reduce(0) { $0 + $1.published } }

    private var isComplete: Bool {
        guard let messages = workload.messages else { return false }
        return producers.isEmpty ? ledger.unique >= messages : confirmed >= messages / producers.count * producers.count
    }

    private func measure() throws {
        for connection in connections {
            connection.confirmLatencies = LatencyHistogram()
            connection.deliveryLatencies = LatencyHistogram()
        }
        let confirmedBefore = producers.map(\.confirmed)
        let uniqueBefore = ledger.unique
        let cpu = server.cpuSeconds()
        let own = Clocks.processMicroseconds()
        let start = Clocks.monotonicMicroseconds()
        try spin(seconds: workload.seconds)
        let end = Clocks.monotonicMicroseconds()
        result.seconds = Double(end - start) / 1e6
        result.serverCPUSeconds = server.cpuSeconds() - cpu
        result.generatorCPUShare = Double(Clocks.processMicroseconds() - own) / Double(end - start)
        let shares = zip(producers, confirmedBefore).map { $0.confirmed - $1 }.sorted()
        result.messages =
            workload.consumers > 0
            ? (ledger.unique - uniqueBefore) / workload.subscriptions : shares.reduce(0, +)
        result.perSecond = Double(result.messages) / result.seconds
        result.serverCPUPerMillion = result.serverCPUSeconds / Double(max(result.messages, 1)) * 1e6
        if shares.count > 1 && workload.rate == nil {
            result.slowestShare = Double(shares[0]) / Double(max(shares[shares.count / 2], 1))
        }
        var (confirm, delivery) = (LatencyHistogram(), LatencyHistogram())
        for connection in connections where connection !== large {
            if workload.rate != nil { connection.countUnconfirmed(now: end) }
            confirm.merge(connection.confirmLatencies)
            delivery.merge(connection.deliveryLatencies)
        }
        if confirm.total > 0 { result.confirm = RunResult.Latencies(confirm) }
        if delivery.total > 0 { result.delivery = RunResult.Latencies(delivery) }
    }

    /// Publishes no more, and waits for what is under way.
    private func finish() throws {
        isPublishing = false
        let isDrain = producers.isEmpty
        if !isDrain {
            try wait(seconds: 30, "the confirmations") { self.confirmed == self.published }
        }
        result.published = published
        result.confirmed = confirmed
        if workload.consumers > 0 && !isDrain {
            let wanted = published * workload.subscriptions
            let end = Clocks.monotonicMicroseconds() + 30_000_000
            while ledger.unique < wanted && Clocks.monotonicMicroseconds() < end { try turn() }
            result.missing = wanted - ledger.unique
        } else if isDrain, let messages = workload.messages {
            result.missing = messages - ledger.unique
        }
        result.delivered = ledger.delivered
        result.duplicates = ledger.duplicates
        result.damaged = ledger.damaged
    }
}
