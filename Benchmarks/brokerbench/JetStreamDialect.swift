/// A stream with file storage: publish with an ack, durable pull consumers with explicit acks.
final class JetStreamDialect: Dialect {
    private let plan: Plan
    private let role: Role
    private let stream: String
    /// Answers of this connection come to subjects that begin with it.
    private let inbox: String
    private var isConnected = false
    /// Requests of the API that are not answered yet. Each is sent when the one before was: the server takes several in
    /// any order.
    private var requests: [[UInt8]] = []
    /// Messages asked for and not delivered yet.
    private var asked = 0
    private(set) var depth = 0

    init(_ plan: Plan, _ role: Role) {
        self.plan = plan
        self.role = role
        stream = "bench_\(plan.label)"
        inbox = "_INBOX.\(UInt32.random(in: 0 ... .max))."
    }

    var isReady: Bool { isConnected && requests.isEmpty }

    func open(_ output: inout [UInt8]) {
        let settings = #""verbose":false,"pedantic":false,"headers":true,"no_responders":true,"lang":"swift""#
        output += "CONNECT {\(settings),\"version\":\"1\"}\r\nPING\r\nSUB \(inbox)* 1\r\n".utf8
        switch role {
        case .declare:
            let retention = plan.subscriptions > 1 ? "interest" : "workqueue"
            ask(
                "STREAM.CREATE.\(stream)",
                #"{"name":"\#(stream)","subjects":["bench.\#(plan.label).*"],"storage":"file","#
                    + #""retention":"\#(retention)"}"#)
            // One consumer takes part in every run, so that the stream keeps what is published.
            for index in 0..<plan.subscriptions {
                let settings = #"{"durable_name":"s\#(index)","ack_policy":"explicit","max_ack_pending":100000}"#
                ask(
                    "CONSUMER.DURABLE.CREATE.\(stream).s\(index)",
                    #"{"stream_name":"\#(stream)","config":\#(settings)}"#)
            }
        case .depth: ask("STREAM.INFO.\(stream)", "")
        case .remove: ask("STREAM.DELETE.\(stream)", "")
        case .producer: break
        case .consumer(_, let credit): fetch(credit, &output)
        }
        output += requests.first ?? []
    }

    private func ask(_ request: String, _ body: String) {
        requests.append(Array("PUB $JS.API.\(request) \(inbox)api \(body.utf8.count)\r\n\(body)\r\n".utf8))
    }

    private func fetch(_ count: Int, _ output: inout [UInt8]) {
        guard case .consumer(let subscription, _) = role else { return }
        let body = #"{"batch":\#(count)}"#
        output += "PUB $JS.API.CONSUMER.MSG.NEXT.\(stream).s\(subscription) \(inbox)m \(body.utf8.count)\r\n".utf8
        output += "\(body)\r\n".utf8
        asked += count
    }

    func publish(_ label: Payload.Label, topic: Int, _ output: inout [UInt8]) {
        output += "PUB \(plan.topic(topic)) \(inbox)".utf8
        output.append(decimal: label.number)
        output.append(UInt8(ascii: " "))
        output.append(decimal: plan.payload.bytes)
        output += [13, 10]
        plan.payload.append(label, to: &output)
        output += [13, 10]
    }

    func read(_ input: [UInt8], from start: Int, _ connection: LoadConnection, _ output: inout [UInt8]) throws -> Int {
        var at = start
        while let line = input.lineEnd(from: at) {
            switch input[at] {
            case UInt8(ascii: "M"), UInt8(ascii: "H"):
                guard let end = try message(input, at, line, connection, &output) else { return at }
                at = end
                continue
            case UInt8(ascii: "P"):
                if input[at + 1] == UInt8(ascii: "I") { output += "PONG\r\n".utf8 } else { isConnected = true }
            case UInt8(ascii: "-"):
                throw BenchError("refused: \(String(decoding: input[at..<line], as: UTF8.self))")
            default: break  // INFO, +OK
            }
            at = line + 2
        }
        return at
    }

    /// `MSG subject sid [reply] bytes`, or `HMSG subject sid [reply] header-bytes bytes`.
    /// - Returns: Where it ends; nil when it is not whole.
    private func message(
        _ input: [UInt8], _ start: Int, _ line: Int, _ connection: LoadConnection, _ output: inout [UInt8]
    ) throws -> Int? {
        let words = input[start..<line].split(separator: UInt8(ascii: " "))
        let hasHeaders = input[start] == UInt8(ascii: "H")
        guard let last = words.last, words.count >= 4 else { throw BenchError("a message line that is too short") }
        let body = line + 2..<line + 2 + input.decimal(last.startIndex)
        guard input.count >= body.upperBound + 2 else { return nil }
        if hasHeaders {
            // A status such as 404 or 408: what was asked for does not come. No responders is an error.
            let text = String(decoding: input[body], as: UTF8.self)
            guard text.hasPrefix("NATS/1.0 40"), case .consumer(_, let credit) = role else {
                throw BenchError("refused: \(text)")
            }
            asked = 0
            fetch(credit, &output)
        } else if case .consumer(_, let credit) = role, words.count == 5 {
            connection.take(input, body)
            output += "PUB ".utf8
            output += words[3]
            output += " 4\r\n+ACK\r\n".utf8
            asked -= 1
            if asked <= credit / 2 { fetch(credit - asked, &output) }
        } else {
            try answer(input, words[1], body, connection, &output)
        }
        return body.upperBound + 2
    }

    private func answer(
        _ input: [UInt8], _ subject: ArraySlice<UInt8>, _ body: Range<Int>, _ connection: LoadConnection,
        _ output: inout [UInt8]
    ) throws {
        let number = subject.startIndex + inbox.utf8.count
        let isAPI = input[number] == UInt8(ascii: "a")
        if isAPI || !input[body].starts(with: #"{"stream""#.utf8) {
            let text = String(decoding: input[body], as: UTF8.self)
            guard !text.contains(#""error""#) else { throw BenchError("refused: \(text)") }
            if role == .depth, let range = text.firstRange(of: #""messages":"#) {
                depth = Int(text[range.upperBound...].prefix { $0.isNumber }) ?? 0
            }
        }
        guard isAPI else { return connection.confirm(input.decimal(number)) }
        requests.removeFirst()
        output += requests.first ?? []
    }
}
