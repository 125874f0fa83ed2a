import LinuxIO

/// One connection of the load generator: a socket, a dialect, and what is not answered yet.
final class LoadConnection {
    let role: Role
    let descriptor: Descriptor
    let dialect: any Dialect
    private let plan: Plan
    private let ledger: Ledger
    private let producer: Int
    private var nextTopic: Int
    private var input: [UInt8] = []
    private var output: [UInt8] = []
    private var sent = 0
    private var now: Int64 = 0
    /// When each unconfirmed publish was due, in microseconds, by number modulo the array's size; -1: confirmed.
    private var dueAt: [Int64]
    private(set) var published = 0
    private(set) var confirmed = 0
    /// Number of the oldest publish that is not confirmed, or of the next one.
    private(set) var oldest = 0
    var confirmLatencies = LatencyHistogram()
    var deliveryLatencies = LatencyHistogram()
    var interest = Poller.Interest.read
    /// How many bytes one read takes; little for a consumer that is slow on purpose.
    var readBytes = 128 << 10

    /// Connects and says what opens the dialect.
    /// - Parameters:
    ///   - producer: Its number in the bodies.
    ///   - unconfirmedMax: A power of two.
    init(
        _ role: Role, _ dialect: any Dialect, to endpoint: Endpoint, plan: Plan, ledger: Ledger, producer: Int = 0,
        unconfirmedMax: Int = 1
    ) throws {
        self.role = role
        self.dialect = dialect
        self.plan = plan
        self.ledger = ledger
        self.producer = producer
        descriptor = try Socket.connect(to: endpoint)
        nextTopic = producer % plan.topics
        dueAt = [Int64](repeating: -1, count: unconfirmedMax)
        try descriptor.setNonBlocking()
        dialect.open(&output)
    }

    var unconfirmed: Int { published - confirmed }

    /// Adds publishes up to the window.
    func fill(window: Int, now: Int64) throws {
        while unconfirmed < window { try publish(due: now) }
    }

    func publish(due: Int64) throws {
        let slot = published & (dueAt.count - 1)
        guard published - oldest < dueAt.count else {
            throw BenchError("publish \(oldest) is not confirmed, \(published) are sent")
        }
        dueAt[slot] = due
        dialect.publish(
            Payload.Label(producer: producer, number: published, due: due), topic: nextTopic, &output)
        nextTopic = nextTopic + 1 == plan.topics ? 0 : nextTopic + 1
        published += 1
    }

    /// The dialect read the confirmation of the publish with this number.
    func confirm(_ number: Int) {
        let slot = number & (dueAt.count - 1)
        precondition(number < published && dueAt[slot] >= 0, "publish \(number) was confirmed twice")
        confirmLatencies.add(now - dueAt[slot])
        dueAt[slot] = -1
        confirmed += 1
        while isConfirmed(oldest) { oldest += 1 }
    }

    /// - Parameter number: Not below ``oldest``; false for a publish that was not sent yet.
    func isConfirmed(_ number: Int) -> Bool { number < published && dueAt[number & (dueAt.count - 1)] < 0 }

    /// The dialect read a delivery with this body.
    func take(_ input: [UInt8], _ body: Range<Int>) {
        guard case .consumer(let subscription, _) = role else { return }
        let label = plan.payload.label(in: input, body)
        if let label { deliveryLatencies.add(now - label.due) }
        ledger.add(label, subscription: subscription, now: now)
    }

    /// What was due before and is not confirmed counts with the time that it has waited.
    func countUnconfirmed(now: Int64) {
        for due in dueAt where due >= 0 { confirmLatencies.add(now - due) }
    }

    /// - Returns: Whether all of the output is gone.
    func flush() throws -> Bool {
        while sent < output.count {
            guard let count = try descriptor.write(output, from: sent) else { return false }
            sent += count
        }
        output.removeAll(keepingCapacity: true)
        sent = 0
        return true
    }

    /// Reads what is there and acts on it.
    func read(now: Int64) throws {
        self.now = now
        guard let count = try descriptor.read(into: &input, capacity: readBytes) else { return }
        guard count > 0 else { throw BenchError("the server closed a connection") }
        let end = try dialect.read(input, from: 0, self, &output)
        if end == input.count { input.removeAll(keepingCapacity: true) } else { input.removeFirst(end) }
    }
}
