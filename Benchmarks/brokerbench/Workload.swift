import BrokerProtocol
import LinuxIO

/// What one run does.
struct Workload {
    let name: String
    let producers: Int
    var consumers = 0
    /// Unconfirmed publishes of a producer, and deliveries that a consumer holds.
    let window: Int
    var topics = 1
    var bodyBytes = 256
    /// Publishes a second over all producers, on schedule whatever the answers do; nil: as fast as the window lets.
    var rate: Int?

    struct Result {
        var messages = 0
        var seconds = 0.0
        var serverCPU = 0.0
        var latencies = LatencyHistogram()
        var messagesPerSecond: Double { Double(messages) / seconds }
        var cpuPerMillion: Double { serverCPU / Double(max(messages, 1)) * 1_000_000 }
    }

    /// Runs until `seconds` of measured time are over; a fifth of that warms up before.
    func run(against server: ServerProcess, seconds: Double, label: String) throws -> Result {
        let generator = try Generator(self, endpoint: server.endpoint, label: label)
        try generator.run(seconds: seconds / 5)
        generator.reset()
        let cpu = server.cpuSeconds()
        let start = Clocks.monotonicMicroseconds()
        try generator.run(seconds: seconds)
        var result = Result()
        result.seconds = Double(Clocks.monotonicMicroseconds() - start) / 1e6
        result.serverCPU = server.cpuSeconds() - cpu
        result.messages = consumers > 0 ? generator.delivered : generator.confirmed
        result.latencies = generator.latencies
        if generator.refused > 0 { throw BenchError("\(generator.refused) publishes were refused") }
        return result
    }
}

/// Drives all connections of a workload from one thread.
private final class Generator {
    private let connections: [LoadConnection]
    private let rate: Int?
    private var poller: Poller
    private var confirmedBefore = 0
    private var deliveredBefore = 0

    init(_ workload: Workload, endpoint: Endpoint, label: String) throws {
        var random = SystemRandomNumberGenerator()
        let body = (0..<workload.bodyBytes).map { _ in UInt8.random(in: 0...255, using: &random) }
        let topics = (0..<workload.topics).map { TopicName("bench.\(label).\($0)")! }
        var connections: [LoadConnection] = []
        for index in 0..<workload.consumers {
            connections.append(
                try LoadConnection(
                    .consumer(credit: workload.window), to: endpoint, topics: topics, body: [], topicOffset: index))
        }
        for index in 0..<workload.producers {
            connections.append(
                try LoadConnection(
                    .producer(window: workload.rate == nil ? workload.window : .max), to: endpoint, topics: topics,
                    body: body, topicOffset: index))
        }
        self.connections = connections
        rate = workload.rate
        poller = try Poller()
        for (index, connection) in connections.enumerated() {
            try poller.add(connection.descriptor.number, token: UInt64(index), interest: .read)
        }
    }

    var confirmed: Int { connections.reduce(0) { $0 + $1.confirmed } - confirmedBefore }
    var delivered: Int { connections.reduce(0) { $0 + $1.delivered } - deliveredBefore }
    var refused: Int { connections.reduce(0) { $0 + $1.refused } }

    var latencies: LatencyHistogram {
        var all = LatencyHistogram()
        for connection in connections { all.merge(connection.latencies) }
        return all
    }

    func reset() {
        confirmedBefore += confirmed
        deliveredBefore += delivered
        for connection in connections { connection.latencies = LatencyHistogram() }
    }

    func run(seconds: Double) throws {
        let start = Clocks.monotonicMicroseconds()
        let end = start + Int64(seconds * 1e6)
        let producers = connections.filter(isProducer)
        var scheduled = 0
        while true {
            let now = Clocks.monotonicMicroseconds()
            if now >= end { return }
            if let rate {
                while start + Int64(scheduled) * 1_000_000 / Int64(rate) <= now {
                    producers[scheduled % producers.count].publish(
                        due: start + Int64(scheduled) * 1_000_000 / Int64(rate))
                    scheduled += 1
                }
            } else {
                for connection in producers { connection.fill(now: now) }
            }
            for (index, connection) in connections.enumerated() where connection.hasOutput {
                let interest: Poller.Interest = try connection.flush() ? .read : [.read, .write]
                if interest != connection.interest {
                    connection.interest = interest
                    try poller.modify(connection.descriptor.number, token: UInt64(index), interest: interest)
                }
            }
            let wait = rate == nil ? Int32(100) : 0
            for event in try poller.wait(milliseconds: wait) where event.isReadable {
                try connections[Int(event.token)].read(now: Clocks.monotonicMicroseconds)
            }
        }
    }

    private func isProducer(_ connection: LoadConnection) -> Bool {
        if case .producer = connection.role { true } else { false }
    }
}
