import Foundation
import LinuxIO

let syntax = CommandSyntax(
    synopsis: """
        brokerbench load --protocol NAME --endpoint URL [OPTION]…
                   brokerbench answer --protocol native|redis-list --endpoint URL
                   brokerbench workers --endpoint URL --messages N --slots N
                   brokerbench sync --dir DIR
        One run of one workload against a server that is there, a server that only answers, the client and
        the worker runtime, or the rate of fdatasync.
        scripts/bench and scripts/bench-peers call it.
        """,
    options: [
        .init("protocol", value: "NAME", help: DialectName.allCases.map(\.rawValue).joined(separator: ", ")),
        .init("endpoint", value: "URL", help: "tcp://HOST:PORT or unix:///PATH"),
        .init("label", value: "TEXT", help: "in the names of the topics (letters and digits)"),
        .init("producers", value: "N", help: "connections that publish (default 1)"),
        .init("consumers", value: "N", help: "connections that consume, of each subscription (default 0)"),
        .init("window", value: "N", help: "unconfirmed publishes, and deliveries held (default 1)"),
        .init("topics", value: "N", help: "default 1"),
        .init("subscriptions", value: "N", help: "of the topic; more than 1: each gets every message (default 1)"),
        .init("body", value: "BYTES", help: "default 256"),
        .init("rate", value: "N", help: "publishes a second, on schedule whatever the answers do"),
        .init("seconds", value: "N", help: "measured time (default 2); with --messages the most that it may take"),
        .init("messages", value: "N", help: "publishes in all; without producers: deliveries in all"),
        .init("keep", help: "leave the messages where they are"),
        .init("unchecked", help: "the server only answers: declare, count and delete nothing"),
        .init("idle", value: "N", help: "connections that do nothing"),
        .init("disturb", value: "HOW", help: "slow (a slow consumer), or BYTES (one body of this size each second)"),
        .init("pid", value: "N", help: "a process of the server, for its CPU time and memory; repeatable"),
        .init("slots", value: "N", help: "for workers: handlers at the same time (default 16)"),
        .init("dir", value: "DIR", help: "for sync: a directory on the disk to measure"),
        .init("help", short: "h", help: "show this"),
    ])

func number<Number: LosslessStringConvertible>(_ input: CommandInput, _ name: String, _ value: Number) throws -> Number
{
    guard let text = input.value(name) else { return value }
    guard let number = Number(text) else { throw BenchError("--\(name) is no number: \(text)") }
    return number
}

func workload(_ input: CommandInput) throws -> Workload {
    var workload = Workload()
    guard let dialect = DialectName(rawValue: input.value("protocol") ?? "native") else {
        throw BenchError("--protocol is one of \(DialectName.allCases.map(\.rawValue))")
    }
    guard let endpoint = Endpoint(input.value("endpoint") ?? "") else { throw BenchError("--endpoint is not a URL") }
    workload.dialect = dialect
    workload.endpoint = endpoint
    workload.label = input.value("label") ?? "run"
    workload.producers = try number(input, "producers", 1)
    workload.consumers = try number(input, "consumers", 0)
    workload.window = try number(input, "window", 1)
    workload.topics = try number(input, "topics", 1)
    workload.subscriptions = try number(input, "subscriptions", 1)
    workload.bodyBytes = try number(input, "body", 256)
    workload.seconds = try number(input, "seconds", 2.0)
    workload.idleConnections = try number(input, "idle", 0)
    if input.has("rate") { workload.rate = try number(input, "rate", 0) }
    if input.has("messages") { workload.messages = try number(input, "messages", 0) }
    if let disturbance = input.value("disturb") {
        workload.disturbance =
            disturbance == "slow" ? .slowConsumer : .largeBody(bytes: try number(input, "disturb", 0))
    }
    workload.keeps = input.has("keep")
    workload.isStored = !input.has("unchecked")
    let holds =
        workload.topics > 0 && workload.window > 0 && workload.bodyBytes >= Payload.labelBytes && workload.rate != 0
        && workload.producers + workload.consumers > 0 && (workload.consumers == 0 || workload.topics == 1)
    guard holds else {
        throw BenchError("a run has a topic (one only when there are consumers), a window, a body of 24 bytes or more")
    }
    return workload
}

do {
    let input = try syntax.parse(CommandLine.arguments.dropFirst())
    if input.has("help") {
        LinuxIO.Process.writeOutput(syntax.usage)
        exit(0)
    }
    switch input.operands.first {
    case "load":
        let server = ProcessFigures(identifiers: input.values("pid").compactMap { Int32($0) })
        let result = try Generator(workload(input), server: server).run()
        let encoder = JSONEncoder()
        encoder.outputFormatting = .sortedKeys
        LinuxIO.Process.writeOutput(String(decoding: try encoder.encode(result), as: UTF8.self) + "\n")
    case "answer":
        guard let endpoint = Endpoint(input.value("endpoint") ?? "") else {
            throw BenchError("--endpoint is not a URL")
        }
        try AnswerServer(on: endpoint, speaksRESP: input.value("protocol") == "redis-list").run()
    case "workers":
        guard let endpoint = Endpoint(input.value("endpoint") ?? "") else {
            throw BenchError("--endpoint is not a URL")
        }
        let bench = RuntimeBench(
            endpoint: endpoint, server: ProcessFigures(identifiers: input.values("pid").compactMap { Int32($0) }),
            messages: try number(input, "messages", 20_000), slots: try number(input, "slots", 16))
        LinuxIO.Process.writeOutput(
            String(decoding: try JSONEncoder().encode(try await bench.run()), as: UTF8.self) + "\n")
    case "sync":
        let rate = try syncsPerSecond(in: input.value("dir") ?? ".", seconds: number(input, "seconds", 1.0))
        LinuxIO.Process.writeOutput("\(Int(rate))\n")
    default: throw BenchError("load, answer or sync? --help shows more")
    }
} catch {
    LinuxIO.Process.writeError("brokerbench: \(error)\n")
    exit(70)
}
