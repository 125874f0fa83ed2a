/// A list as a queue: LPUSH, and RPOP with a count or BRPOP. What was popped is gone, so consumers are at most once.
final class RedisListDialect: Dialect {
    private let plan: Plan
    private let role: Role
    /// LPUSH without its value, one for each topic.
    private let pushes: [[UInt8]]
    private var waits = 0
    private var nextConfirmed = 0
    private(set) var depth = 0

    init(_ plan: Plan, _ role: Role) {
        self.plan = plan
        self.role = role
        pushes = (0..<plan.topics).map { index in
            let key = plan.topic(index)
            return Array(
                "*3\r\n$5\r\nLPUSH\r\n$\(key.utf8.count)\r\n\(key)\r\n$\(plan.payload.bytes)\r\n".utf8)
        }
    }

    var isReady: Bool { waits == 0 }

    func open(_ output: inout [UInt8]) {
        switch role {
        case .declare, .producer: break
        case .depth: askAll("LLEN", &output)
        case .remove: askAll("DEL", &output)
        case .consumer: output.append(command: ["BRPOP", plan.topic(0), "1"])
        }
    }

    private func askAll(_ command: String, _ output: inout [UInt8]) {
        waits = plan.topics
        for index in 0..<plan.topics { output.append(command: [command, plan.topic(index)]) }
    }

    func publish(_ label: Payload.Label, topic: Int, _ output: inout [UInt8]) {
        output += pushes[topic]
        plan.payload.append(label, to: &output)
        output += [13, 10]
    }

    func read(_ input: [UInt8], from start: Int, _ connection: LoadConnection, _ output: inout [UInt8]) throws -> Int {
        var at = start
        if role == .producer {
            while let line = input.lineEnd(from: at) {
                guard input[at] == UInt8(ascii: ":") else {
                    throw BenchError("refused: \(String(decoding: input[at..<line], as: UTF8.self))")
                }
                connection.confirm(nextConfirmed)
                nextConfirmed += 1
                at = line + 2
            }
            return at
        }
        while let reply = try RESPReply(input, at) {
            at = reply.end
            if case .consumer(_, let credit) = role {
                // BRPOP's reply has the key in front; the popped ones follow each other.
                let bodies = reply.strings.filter { $0.count == plan.payload.bytes }
                for body in bodies { connection.take(input, body) }
                let next =
                    bodies.isEmpty || credit == 1
                    ? ["BRPOP", plan.topic(0), "1"] : ["RPOP", plan.topic(0), String(credit)]
                output.append(command: next)
            } else {
                if role == .depth { depth += reply.number }
                waits -= 1
            }
        }
        return at
    }
}
