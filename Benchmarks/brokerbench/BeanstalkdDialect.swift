/// Tubes as topics: put, reserve, delete.
final class BeanstalkdDialect: Dialect {
    private let plan: Plan
    private let role: Role
    private let put: [UInt8]
    private var usedTopic = -1
    private var waits = 0
    private var nextConfirmed = 0
    private(set) var depth = 0

    init(_ plan: Plan, _ role: Role) {
        self.plan = plan
        self.role = role
        put = Array("put 0 0 3600 \(plan.payload.bytes)\r\n".utf8)
    }

    var isReady: Bool { waits == 0 }

    func open(_ output: inout [UInt8]) {
        switch role {
        // A tube comes with its first job and goes with its last.
        case .declare, .remove, .producer: break
        case .depth:
            waits = plan.topics
            for index in 0..<plan.topics { output += "stats-tube \(plan.topic(index))\r\n".utf8 }
        case .consumer:
            waits = 2
            output += "watch \(plan.topic(0))\r\nignore default\r\nreserve\r\n".utf8
        }
    }

    func publish(_ label: Payload.Label, topic: Int, _ output: inout [UInt8]) {
        if topic != usedTopic {
            output += "use \(plan.topic(topic))\r\n".utf8
            usedTopic = topic
        }
        output += put
        plan.payload.append(label, to: &output)
        output += [13, 10]
    }

    func read(_ input: [UInt8], from start: Int, _ connection: LoadConnection, _ output: inout [UInt8]) throws -> Int {
        var at = start
        while let line = input.lineEnd(from: at) {
            let words = input[at..<line].split(separator: UInt8(ascii: " ")).map { String(decoding: $0, as: UTF8.self) }
            var end = line + 2
            switch words.first {
            case "INSERTED":
                connection.confirm(nextConfirmed)
                nextConfirmed += 1
            case "USING", "DELETED": break
            case "WATCHING": waits -= 1
            case "NOT_FOUND" where role == .depth: waits -= 1
            case "RESERVED" where words.count == 3:
                let count = Int(words[2]) ?? 0
                guard input.count >= end + count + 2 else { return at }
                connection.take(input, end..<end + count)
                end += count + 2
                // A job is prefetched by nothing but this: the next reserve does not wait for the delete's answer.
                output += "delete \(words[1])\r\nreserve\r\n".utf8
            case "OK" where words.count == 2:
                let count = Int(words[1]) ?? 0
                guard input.count >= end + count + 2 else { return at }
                depth += ready(String(decoding: input[end..<end + count], as: UTF8.self))
                end += count + 2
                waits -= 1
            default: throw BenchError("refused: \(words.joined(separator: " "))")
            }
            at = end
        }
        return at
    }

    private func ready(_ statistics: String) -> Int {
        let line = statistics.split(separator: "\n").first { $0.hasPrefix("current-jobs-ready:") }
        return line.flatMap { Int($0.split(separator: " ").last ?? "") } ?? 0
    }
}
