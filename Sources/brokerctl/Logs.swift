import Broker
import DaemonKit
import SegmentLog

extension Command {
    static let logCommands = [
        Command(
            words: ["log", "verify"], operands: "DIR", operandCount: 1...1,
            summary: "Read and check every record of a broker's log",
            notes: "DIR is the broker's data directory. Nothing is changed. Code 65: a broker would refuse this log.",
            hasJSON: true, isRemote: false, run: verifyLog),
        Command(
            words: ["log", "dump"], operands: "DIR", operandCount: 1...1, summary: "Show the records of a broker's log",
            notes: "DIR is the broker's data directory. Nothing is changed.",
            options: [
                Option("from", value: "POSITION", help: "begin with the record here or the next one"),
                Option("limit", short: "n", value: "N", help: "at most N records"),
            ], hasJSON: true, isRemote: false, run: dumpLog),
        Command(
            words: ["log", "salvage"], operands: "DIR", operandCount: 1...1,
            summary: "Copy every good record of a damaged log into a new one",
            notes: "DIR is the broker's data directory; it is not changed. The broker must be stopped.",
            options: [Option("to", value: "NEW", help: "the directory of the new log")], isRemote: false,
            run: salvageLog),
    ]

    @MainActor private static func verifyLog(_ invocation: Invocation) throws {
        let report = LogReport(
            try LogInspector.verify(directory: invocation.input.operands[0]),
            directory: invocation.input.operands[0])
        if invocation.wantsJSON {
            try invocation.console.print(json: report)
        } else {
            invocation.console.print(report.text(invocation.console.style))
        }
        if !report.sound { throw Failure(.data, report.advice) }
    }

    @MainActor private static func dumpLog(_ invocation: Invocation) throws {
        let text = invocation.input.value("from") ?? "0"
        guard let from = UInt64(text) else { throw invocation.wrong("--from \(text): expected a position") }
        var left = Int(try invocation.number("limit", default: .max))
        var failure: (any Error)?
        let losses = try LogInspector.dump(directory: invocation.input.operands[0], from: from) { entry in
            let record = RecordReport(entry, facts: LogDescription.describe(payload: entry.payload))
            do {
                if invocation.wantsJSON {
                    try invocation.console.print(json: record)
                } else {
                    invocation.console.print(record.text(invocation.console.style))
                }
            } catch { failure = error }
            left -= 1
            return failure == nil && left > 0
        }
        if let failure { throw failure }
        if !losses.isEmpty { throw Failure(.data, losses.joined(separator: "\n")) }
    }

    @MainActor private static func salvageLog(_ invocation: Invocation) throws {
        guard let target = invocation.input.value("to") else { throw invocation.wrong("--to NEW is missing") }
        let report = try LogInspector.salvage(directory: invocation.input.operands[0], to: target)
        for loss in report.losses { invocation.console.note("lost: \(loss)") }
        invocation.console.print(
            "copied \(report.records) records, \(report.payloadBytes) bytes, to \(target); "
                + "\(report.losses.count) losses"
        )
    }
}
