import BrokerClient
import BrokerProtocol
import DaemonKit
import LinuxIO

extension Command {
    static let publishCommand = Command(
        words: ["publish"], operands: "TOPIC [-]", operandCount: 1...2, summary: "Publish events, one JSON a line",
        notes: """
            Without --file the events are read from standard input. A line that is not JSON ends it with code 65; what
            stands before that line is published.
            """,
        options: [
            Option("file", short: "f", value: "FILE", help: "read the events from a file"),
            Option("dedup-key", value: "FIELD", help: "the field whose value is the dedup id"),
            Option("header", short: "H", value: "KEY=VALUE", help: "a header for every event; repeatable"),
        ], hasJSON: true
    ) { invocation in
        var form = EventForm(topic: try invocation.topic(), dedupField: invocation.input.value("dedup-key"))
        form.headers = try invocation.headers("header")
        let path = try path(of: invocation)
        if path == nil && Process.isTerminal(0) { invocation.console.note("one JSON event a line; Ctrl-D ends") }
        let source = if let path { try Descriptor.reading(path: path) } else { Descriptor.standardInput() }
        let client = try await invocation.connect()
        var publisher = EventPublisher(client: client, form: form, name: path ?? "standard input")
        let report = try await publisher.run(source)
        await client.close()
        if invocation.wantsJSON { return try invocation.console.print(json: report) }
        invocation.console.print(report.text)
    }

    /// The file with the events; nil for standard input.
    private static func path(of invocation: Invocation) throws -> String? {
        let operands = invocation.input.operands
        if operands.count == 2 && operands[1] != "-" {
            throw invocation.wrong("`\(operands[1])`: events come from --file or from `-`, standard input")
        }
        let path = invocation.input.value("file")
        if operands.count == 2 && path != nil { throw invocation.wrong("--file and `-` exclude each other") }
        return path == "-" ? nil : path
    }
}

/// What a publish came to.
struct PublishReport: Encodable, Equatable {
    let schema = 1
    let topic: String
    /// Confirmed by the broker, duplicates included.
    var published = 0
    var duplicates = 0
    var seconds = 0.0
    var perSecond = 0

    var text: String {
        let rate = seconds > 0 ? " in \(hundredths(seconds)) s (\(perSecond)/s)" : ""
        return "published \(published) to \(topic)\(rate)" + (duplicates > 0 ? ", \(duplicates) duplicates" : "")
    }

    mutating func finish(microseconds: Int64) {
        seconds = Double(max(microseconds, 1)) / 1_000_000
        perSecond = Int((Double(published) / seconds).rounded())
    }

    private func hundredths(_ value: Double) -> String {
        let number = Int((value * 100).rounded())
        return "\(number / 100).\(number % 100 < 10 ? "0" : "")\(number % 100)"
    }
}
