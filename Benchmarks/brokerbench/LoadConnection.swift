import BrokerProtocol
import LinuxIO

/// One connection of the load generator: frames are made once and answers are read by hand, so that the generator costs
/// little beside the broker.
final class LoadConnection {
    enum Role: Equatable {
        /// Keeps this many publishes unconfirmed.
        case producer(window: Int)
        /// Holds at most this many deliveries and acknowledges each.
        case consumer(credit: Int)
    }

    let role: Role
    let descriptor: Descriptor
    /// Publish frames, one for each topic.
    private let publishes: [[UInt8]]
    private var nextTopic: Int
    private var input: [UInt8] = []
    private var output: [UInt8] = []
    private var sent = 0
    private var nextCorrelation: UInt32 = 10
    /// When each unconfirmed publish was due, in microseconds, by correlation modulo the array's size.
    private var dueAt: [Int64]
    private(set) var unconfirmed = 0
    private(set) var confirmed = 0
    private(set) var delivered = 0
    private(set) var refused = 0
    var latencies = LatencyHistogram()
    var interest = Poller.Interest.read

    /// Connects and says HELLO.
    init(_ role: Role, to endpoint: Endpoint, topics: [TopicName], body: [UInt8], topicOffset: Int) throws {
        self.role = role
        descriptor = try Socket.connect(to: endpoint)
        publishes = topics.map { topic in
            Frame.request(0, .publish([OutgoingMessage(topic: topic, body: body)])).bytes
        }
        nextTopic = topicOffset % max(topics.count, 1)
        dueAt = [Int64](repeating: 0, count: 1 << 16)
        let hello = Request.hello(
            versions: [1], client: "brokerbench", instance: "bench", heartbeatMilliseconds: 60_000)
        try descriptor.writeAll(Frame.request(1, hello).bytes)
        if case .consumer(let credit) = role {
            for (index, topic) in topics.enumerated() {
                output +=
                    Frame.request(
                        2,
                        .subscribe(
                            consumer: ConsumerID(rawValue: UInt32(index)), subscription: SubscriptionName(topic: topic),
                            credit: UInt32(credit), start: .beginning, leaseMilliseconds: nil)
                    ).bytes
            }
        }
        try descriptor.setNonBlocking()
    }

    /// Adds publishes up to the window.
    func fill(now: Int64) {
        guard case .producer(let window) = role else { return }
        while unconfirmed < window { publish(due: now) }
    }

    func publish(due: Int64) {
        let start = output.count
        output += publishes[nextTopic]
        nextTopic = nextTopic + 1 == publishes.count ? 0 : nextTopic + 1
        for index in 0..<4 {
            output[start + 8 + index] = UInt8(truncatingIfNeeded: nextCorrelation >> UInt32(24 - 8 * index))
        }
        dueAt[Int(nextCorrelation) & (dueAt.count - 1)] = due
        nextCorrelation &+= 1
        unconfirmed += 1
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

    var hasOutput: Bool { sent < output.count }

    /// Reads what is there and acts on it.
    func read(now: () -> Int64) throws {
        guard let count = try descriptor.read(into: &input, capacity: 256 << 10) else { return }
        guard count > 0 else { throw BenchError("the broker closed a connection") }
        var at = 0
        while input.count - at >= 12 {
            let length = Int(word(at))
            guard input.count - at >= 4 + length else { break }
            try handle(kind: input[at + 5], at: at, end: at + 4 + length, now: now())
            at += 4 + length
        }
        input.removeFirst(at)
    }

    private func word(_ at: Int) -> UInt32 {
        UInt32(input[at]) << 24 | UInt32(input[at + 1]) << 16 | UInt32(input[at + 2]) << 8 | UInt32(input[at + 3])
    }

    private func handle(kind: UInt8, at: Int, end: Int, now: Int64) throws {
        switch kind {
        case 0x83:
            unconfirmed -= 1
            // One result: its tag follows the count.
            if input[at + 16] == 0 { confirmed += 1 } else { refused += 1 }
            latencies.add(now - dueAt[Int(word(at + 8)) & (dueAt.count - 1)])
        case 0x60: acknowledge(at + 12, end)
        case 0x80: throw BenchError("refused: \(String(decoding: input[at + 16..<end], as: UTF8.self))")
        default: break
        }
    }

    /// Answers a push of deliveries with one settle; leases that follow each other share a run.
    private func acknowledge(_ start: Int, _ end: Int) {
        let count = Int(word(start))
        var at = start + 4
        var runs: [(first: UInt64, count: UInt32)] = []
        for _ in 0..<count {
            let lease = UInt64(word(at + 4)) << 32 | UInt64(word(at + 8))
            if let last = runs.last, last.first + UInt64(last.count) == lease {
                runs[runs.count - 1].count += 1
            } else {
                runs.append((lease, 1))
            }
            at += 28  // consumer, lease, lease milliseconds, id
            at += 2 + (Int(input[at]) << 8 | Int(input[at + 1]))  // subscription
            at += 16  // attempt, published at, redrives
            let hasError = input[at] == 1
            at += 1
            if hasError { at += 2 + (Int(input[at]) << 8 | Int(input[at + 1])) }
            at += 4  // no headers
            at += 4 + Int(word(at))
        }
        delivered += count
        var writer = ByteWriter()
        writer.u32(UInt32(8 + 4 + runs.count * 13))
        writer.u8(1)
        writer.u8(0x15)
        writer.u16(0)
        writer.u32(3)
        writer.u32(UInt32(runs.count))
        for run in runs {
            writer.u64(run.first)
            writer.u32(run.count)
            writer.u8(0)
        }
        output += writer.bytes
    }
}

struct BenchError: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}
