/// AMQP 0-9-1: durable queues, persistent messages, publisher confirms, prefetch and acks.
final class AMQPDialect: Dialect {
    private let plan: Plan
    private let role: Role
    private let queueType: String
    private let publishes: [[UInt8]]
    private var isOpen = false
    private var waits = 0
    /// The delivery whose body is still to come.
    private var deliveryTag: UInt64 = 0
    private var unacknowledged: UInt64?
    private(set) var depth = 0

    init(_ plan: Plan, _ role: Role, queueType: String) {
        self.plan = plan
        self.role = role
        self.queueType = queueType
        let isFanOut = plan.subscriptions > 1
        publishes = (0..<plan.topics).map { index in
            AMQPFrame.publishHead(
                exchange: isFanOut ? plan.topic(index) : "", key: isFanOut ? "" : plan.topic(index),
                bodyBytes: plan.payload.bytes)
        }
    }

    /// One subscription: the topic is a queue. Several: the topic is a fan-out exchange with a queue for each.
    private func queue(_ topic: Int, _ subscription: Int) -> String {
        plan.topic(topic) + (plan.subscriptions > 1 ? ".s\(subscription)" : "")
    }

    var isReady: Bool { isOpen && waits == 0 }

    func open(_ output: inout [UInt8]) { output += [65, 77, 81, 80, 0, 0, 9, 1] }

    /// What the role wants once the channel is open.
    private var requests: [AMQPMethod] {
        var requests: [AMQPMethod] = []
        let isFanOut = plan.subscriptions > 1
        for topic in 0..<plan.topics {
            let queues = (0..<plan.subscriptions).map { queue(topic, $0) }
            switch role {
            case .declare:
                if isFanOut {
                    requests.append(
                        AMQPMethod(40, 10).u16(0).short(plan.topic(topic)).short("fanout").u8(2).table([]))
                }
                for queue in queues {
                    let settings = [("x-queue-type", queueType)]
                    requests.append(AMQPMethod(50, 10).u16(0).short(queue).u8(2).table(settings))
                    if isFanOut {
                        requests.append(
                            AMQPMethod(50, 20).u16(0).short(queue).short(plan.topic(topic)).short("").u8(0).table([]))
                    }
                }
            case .depth: requests += queues.map { AMQPMethod(50, 10).u16(0).short($0).u8(1).table([]) }
            case .remove:
                requests += queues.map { AMQPMethod(50, 40).u16(0).short($0).u8(0) }
                if isFanOut { requests.append(AMQPMethod(40, 20).u16(0).short(plan.topic(topic)).u8(0)) }
            case .producer, .consumer: break
            }
        }
        if role == .producer { requests.append(AMQPMethod(85, 10).u8(0)) }
        if case .consumer(let subscription, let credit) = role {
            requests.append(AMQPMethod(60, 10).u32(0).u16(UInt16(credit)).u8(0))
            requests.append(AMQPMethod(60, 20).u16(0).short(queue(0, subscription)).short("").u8(0).table([]))
        }
        return requests
    }

    func publish(_ label: Payload.Label, topic: Int, _ output: inout [UInt8]) {
        output += publishes[topic]
        plan.payload.append(label, to: &output)
        output.append(AMQPFrame.end)
    }

    func read(_ input: [UInt8], from start: Int, _ connection: LoadConnection, _ output: inout [UInt8]) throws -> Int {
        var at = start
        while input.count - at >= 8 {
            let size = Int(input.big32(at + 3))
            guard input.count - at >= size + 8 else { break }
            switch input[at] {
            case 1: try method(input, at + 7, size, connection, &output)
            case 3:
                guard size == plan.payload.bytes else { throw BenchError("a body in \(size) bytes") }
                connection.take(input, at + 7..<at + 7 + size)
                unacknowledged = deliveryTag
            default: break
            }
            at += size + 8
        }
        if let tag = unacknowledged {
            // All up to this one.
            output += AMQPMethod(60, 80).u64(tag).u8(1).frame(channel: 1)
            unacknowledged = nil
        }
        return at
    }

    private func method(
        _ input: [UInt8], _ at: Int, _ size: Int, _ connection: LoadConnection, _ output: inout [UInt8]
    ) throws {
        switch (input.big16(at), input.big16(at + 2)) {
        case (60, 60):
            deliveryTag = input.big64(at + 5 + Int(input[at + 4]))
        case (60, 80):
            let tag = Int(truncatingIfNeeded: input.big64(at + 4))
            // Tags begin with 1. A single one may come out of turn.
            if input[at + 12] & 1 == 1 {
                for number in connection.oldest..<max(tag, connection.oldest) where !connection.isConfirmed(number) {
                    connection.confirm(number)
                }
            } else {
                connection.confirm(tag - 1)
            }
        case (10, 10):
            output += AMQPMethod(10, 11).table([]).short("PLAIN").long("\u{0}guest\u{0}guest").short("en_US")
                .frame(channel: 0)
        case (10, 30):
            output += AMQPMethod(10, 31).u16(2047).u32(131_072).u16(0).frame(channel: 0)
            output += AMQPMethod(10, 40).short("/").short("").u8(0).frame(channel: 0)
        case (10, 41): output += AMQPMethod(20, 10).short("").frame(channel: 1)
        case (20, 11):
            isOpen = true
            waits = requests.count
            for request in requests { output += request.frame(channel: 1) }
        case (50, 11):
            if role == .depth { depth += Int(input.big32(at + 5 + Int(input[at + 4]))) }
            waits -= 1
        case (40, 11), (40, 21), (50, 21), (50, 41), (60, 11), (60, 21), (85, 11): waits -= 1
        case (20, 40), (10, 50), (60, 120), (60, 30):
            throw BenchError("refused: \(String(decoding: input[at + 4..<at + size], as: UTF8.self))")
        default: break
        }
    }
}
