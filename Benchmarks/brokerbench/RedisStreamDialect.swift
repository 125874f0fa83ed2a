/// A stream with groups: XADD, XREADGROUP, XACK.
final class RedisStreamDialect: Dialect {
    private let plan: Plan
    private let role: Role
    private let consumer: String
    /// XADD without its value, one for each topic.
    private let adds: [[UInt8]]
    private var waits = 0
    private var nextConfirmed = 0
    /// Entries in the XACK that is not answered yet.
    private var acknowledging = 0
    private(set) var depth = 0

    init(_ plan: Plan, _ role: Role, index: Int) {
        self.plan = plan
        self.role = role
        consumer = "c\(index)"
        adds = (0..<plan.topics).map { index in
            let key = plan.topic(index)
            return Array(
                ("*5\r\n$4\r\nXADD\r\n$\(key.utf8.count)\r\n\(key)\r\n$1\r\n*\r\n$4\r\nbody\r\n"
                    + "$\(plan.payload.bytes)\r\n").utf8)
        }
    }

    var isReady: Bool { waits == 0 }

    func open(_ output: inout [UInt8]) {
        var commands: [[String]] = []
        for key in (0..<plan.topics).map(plan.topic) {
            switch role {
            case .declare:
                commands += (0..<plan.subscriptions).map { ["XGROUP", "CREATE", key, "s\($0)", "0", "MKSTREAM"] }
            case .depth: commands.append(["XLEN", key])
            case .remove:
                commands += (0..<plan.subscriptions).map { ["XGROUP", "DESTROY", key, "s\($0)"] } + [["DEL", key]]
            case .producer, .consumer: break
            }
        }
        for command in commands { output.append(command: command) }
        waits = commands.count
        if case .consumer = role { output.append(command: fetch) }
    }

    private var fetch: [String] {
        guard case .consumer(let subscription, let credit) = role else { return [] }
        return [
            "XREADGROUP", "GROUP", "s\(subscription)", consumer, "COUNT", "\(credit)", "BLOCK", "1000", "STREAMS",
            plan.topic(0), ">",
        ]
    }

    func publish(_ label: Payload.Label, topic: Int, _ output: inout [UInt8]) {
        output += adds[topic]
        plan.payload.append(label, to: &output)
        output += [13, 10]
    }

    func read(_ input: [UInt8], from start: Int, _ connection: LoadConnection, _ output: inout [UInt8]) throws -> Int {
        var at = start
        while let reply = try RESPReply(input, at) {
            at = reply.end
            switch role {
            case .producer:
                connection.confirm(nextConfirmed)
                nextConfirmed += 1
            case .declare, .remove: waits -= 1
            case .depth:
                depth += reply.number
                waits -= 1
            case .consumer(let subscription, _):
                if reply.kind == .number {
                    guard reply.number == acknowledging else {
                        throw BenchError("XACK took \(reply.number) of \(acknowledging)")
                    }
                    acknowledging = 0
                } else {
                    acknowledge(input, reply, subscription, connection, &output)
                    output.append(command: fetch)
                }
            }
        }
        return at
    }

    /// The strings are the key, then id, field and value of each entry.
    private func acknowledge(
        _ input: [UInt8], _ reply: RESPReply, _ subscription: Int, _ connection: LoadConnection,
        _ output: inout [UInt8]
    ) {
        let count = max(reply.strings.count - 1, 0) / 3
        guard count > 0 else { return }
        output += "*\(count + 3)\r\n$4\r\nXACK\r\n$\(plan.topic(0).utf8.count)\r\n\(plan.topic(0))\r\n".utf8
        output += "$2\r\ns\(subscription)\r\n".utf8
        for index in 0..<count {
            let id = reply.strings[1 + 3 * index]
            output += "$\(id.count)\r\n".utf8
            output += input[id]
            output += [13, 10]
            connection.take(input, reply.strings[3 + 3 * index])
        }
        acknowledging = count
    }
}
