import BrokerProtocol

/// brokerd's own protocol: frames are made once and answers are read by hand, so that the generator costs little.
final class NativeDialect: Dialect {
    private let plan: Plan
    private let role: Role
    /// Publish frames without their body, one for each topic.
    private let publishes: [[UInt8]]
    /// Answers that are still to come before the connection is ready.
    private var waits = 1
    private(set) var depth = 0

    /// Correlations from here on belong to publishes.
    private static let firstPublish: UInt32 = 1 << 10
    private static let settleCorrelation: UInt32 = 3

    init(_ plan: Plan, _ role: Role) {
        self.plan = plan
        self.role = role
        let body = [UInt8](repeating: 0, count: plan.payload.bytes)
        publishes =
            role == .producer
            ? (0..<plan.topics).map { index in
                let message = OutgoingMessage(topic: Self.topic(plan, index), body: body)
                return Array(Frame.request(0, .publish([message])).bytes.dropLast(body.count))
            } : []
    }

    private static func topic(_ plan: Plan, _ index: Int) -> TopicName { TopicName(plan.topic(index))! }

    private func subscription(_ topic: Int, _ index: Int) -> SubscriptionName {
        let name = Self.topic(plan, topic)
        return plan.subscriptions == 1
            ? SubscriptionName(topic: name) : SubscriptionName("\(plan.topic(topic))@s\(index)")!
    }

    var isReady: Bool { waits == 0 }

    func open(_ output: inout [UInt8]) {
        var requests = [
            Request.hello(versions: [1], client: "brokerbench", instance: "bench", heartbeatMilliseconds: 3_600_000)
        ]
        switch role {
        case .declare:
            for topic in 0..<plan.topics where plan.subscriptions > 1 {
                requests += (0..<plan.subscriptions).map {
                    .subscriptionCreate(subscription(topic, $0), .beginning)
                }
            }
        case .remove: requests += (0..<plan.topics).map { .topicDelete(Self.topic(plan, $0)) }
        case .depth: requests.append(.topicList)
        case .producer: break
        case .consumer(let index, let credit):
            requests.append(
                .subscribe(
                    consumer: ConsumerID(rawValue: 1), subscription: subscription(0, index), credit: UInt32(credit),
                    start: .beginning, leaseMilliseconds: nil))
        }
        waits = requests.count
        for (index, request) in requests.enumerated() { output += Frame.request(UInt32(10 + index), request).bytes }
    }

    func publish(_ label: Payload.Label, topic: Int, _ output: inout [UInt8]) {
        let start = output.count
        output += publishes[topic]
        let correlation = Self.firstPublish &+ UInt32(truncatingIfNeeded: label.number)
        for index in 0..<4 {
            output[start + 8 + index] = UInt8(truncatingIfNeeded: correlation >> UInt32(24 - 8 * index))
        }
        plan.payload.append(label, to: &output)
    }

    func read(_ input: [UInt8], from start: Int, _ connection: LoadConnection, _ output: inout [UInt8]) throws -> Int {
        var at = start
        while input.count - at >= 12 {
            let end = at + 4 + Int(input.big32(at))
            guard input.count >= end else { break }
            switch input[at + 5] {
            case 0x83:
                // One result: its tag follows the count.
                guard input[at + 16] == 0 else {
                    throw BenchError("a publish was refused: \(text(input, at + 17, end))")
                }
                connection.confirm(Int(input.big32(at + 8) &- Self.firstPublish))
            case 0x60: acknowledge(input, at + 12, connection, &output)
            case 0x85:
                guard input.big32(at + 16) == 0 else { throw BenchError("a settle was refused") }
            case 0x80:
                // Deleting a topic that nobody has published to.
                guard role == .remove else { throw BenchError("refused: \(text(input, at + 12, end))") }
                waits -= 1
            case 0x87:
                depth = try messages(in: Array(input[at..<end]))
                waits -= 1
            case 0x81, 0x82: waits -= 1
            default: break
            }
            at = end
        }
        return at
    }

    private func text(_ input: [UInt8], _ start: Int, _ end: Int) -> String {
        String(decoding: input[min(start + 4, end)..<end], as: UTF8.self)
    }

    private func messages(in frame: [UInt8]) throws -> Int {
        var decoder = FrameDecoder(side: .client, frameBytesMax: 64 << 20)
        decoder.append(frame)
        guard case .response(_, .topics(let topics))? = try decoder.next() else { return 0 }
        let names = Set((0..<plan.topics).map { Self.topic(plan, $0) })
        return topics.reduce(0) { names.contains($1.name) ? $0 + Int($1.messages) : $0 }
    }

    /// Answers a push of deliveries with one settle; leases that follow each other share a run.
    private func acknowledge(
        _ input: [UInt8], _ start: Int, _ connection: LoadConnection, _ output: inout [UInt8]
    ) {
        let count = Int(input.big32(start))
        var at = start + 4
        let frame = output.count
        output.append(big: UInt32(0))
        output.append(big: UInt32(0x0115_0000))
        output.append(big: Self.settleCorrelation)
        output.append(big: UInt32(0))
        var runs: UInt32 = 0
        var (first, length) = (UInt64(0), UInt32(0))
        for index in 0...count {
            let lease = index < count ? input.big64(at + 4) : 0
            if index < count && length > 0 && lease == first + UInt64(length) {
                length += 1
            } else {
                if length > 0 {
                    output.append(big: first)
                    output.append(big: length)
                    output.append(0)
                    runs += 1
                }
                (first, length) = (lease, 1)
            }
            if index == count { break }
            at += 28  // consumer, lease, lease milliseconds, id
            at += 2 + input.big16(at)  // subscription
            at += 20  // attempt, deliveries, published at, redrives
            at += input[at] == 1 ? 3 + input.big16(at + 1) : 1  // last error
            at += 1  // priority
            at += input[at] == 1 ? 3 + input.big16(at + 1) : 1  // ordering key
            at += 4  // no headers
            let bytes = Int(input.big32(at))
            connection.take(input, at + 4..<at + 4 + bytes)
            at += 4 + bytes
        }
        put(UInt32(output.count - frame - 4), at: frame, &output)
        put(runs, at: frame + 12, &output)
    }

    private func put(_ value: UInt32, at offset: Int, _ output: inout [UInt8]) {
        for index in 0..<4 { output[offset + index] = UInt8(truncatingIfNeeded: value >> UInt32(24 - 8 * index)) }
    }
}
