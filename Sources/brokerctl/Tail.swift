import BrokerClient
import BrokerProtocol

extension Command {
    static let tailCommand = Command(
        words: ["tail"], operands: "TOPIC", operandCount: 1...1,
        summary: "Show messages of a topic without taking them",
        notes: """
            It shows what the topic still holds. A message that every subscription settles between two looks of --follow
            is not seen.
            """,
        options: [
            Option("follow", short: "f", help: "go on with what is published"),
            Option("from", value: "ID", help: "begin with this message or the next one"),
            Option("limit", short: "n", value: "N", help: "the last N (default 10); with --from, N in all"),
        ], hasJSON: true
    ) { invocation in
        let topic = try invocation.topic()
        let from = try invocation.input.value("from").map { (text) throws(Failure) in try invocation.messageID(text) }
        let limit = try invocation.number("limit", default: from == nil ? 10 : .max)
        try await invocation.withBroker { client in
            var next = MessageID(rawValue: 0)
            if let from {
                next = from
            } else {
                next = try await MessageTail.start(of: Int(limit)) { id, limit in
                    try await client.peek(topic, from: id, limit: limit).map(\.id)
                }
            }
            // Without --from the limit says how many of the old ones are shown, not when to stop following.
            var left = from == nil && invocation.input.has("follow") ? Int.max : Int(limit)
            while left > 0 {
                let page = try await client.peek(topic, from: next, limit: UInt32(min(left, 500)))
                for message in page { try invocation.show(message) }
                left -= page.count
                if let last = page.last {
                    next = MessageID(rawValue: last.id.rawValue + 1)
                } else if invocation.input.has("follow") {
                    try await Task.sleep(for: .milliseconds(500))
                } else {
                    break
                }
            }
        }
    }
}

extension Invocation {
    func show(_ message: Delivery) throws {
        let report = MessageReport(message)
        if wantsJSON { try console.print(json: report) } else { console.print(report.text(console.style)) }
    }
}

/// Finds the end of a topic that can only be read forwards.
@MainActor enum MessageTail {
    typealias Peek = (_ from: MessageID, _ limit: UInt32) async throws -> [MessageID]

    /// Where the last `count` messages begin. Message ids grow but have gaps, so it halves the range of ids until what
    /// is left holds no more than `count`: about 2·log2(last id) small looks.
    static func start(of count: Int, peek: Peek) async throws -> MessageID {
        var low: UInt64 = 0
        var high: UInt64 = 1
        while try await !isLast(count, MessageID(rawValue: high), peek) {
            low = high
            if high > .max / 2 { return MessageID(rawValue: high) }
            high *= 2
        }
        if try await isLast(count, MessageID(rawValue: low), peek) { return MessageID(rawValue: low) }
        // From `low` on there are more than `count`, from `high` on there are not.
        while high - low > 1 {
            let middle = low + (high - low) / 2
            if try await isLast(count, MessageID(rawValue: middle), peek) { high = middle } else { low = middle }
        }
        return MessageID(rawValue: high)
    }

    /// Whether at most `count` messages stand from `id` on. A broker may answer with fewer than asked for, so the end
    /// is believed only when nothing follows it.
    private static func isLast(_ count: Int, _ id: MessageID, _ peek: Peek) async throws -> Bool {
        let page = try await peek(id, UInt32(min(count + 1, 1000)))
        if page.count > count { return false }
        guard let last = page.last else { return true }
        return try await peek(MessageID(rawValue: last.rawValue + 1), 1).isEmpty
    }
}
