import Foundation
import LinuxIO

let syntax = CommandSyntax(
    synopsis: "brokerbench [OPTION]…",
    options: [
        .init("brokerd", value: "PATH", help: "the server (default: beside this program)"),
        .init("dir", value: "DIR", help: "where its data lives (default: the temporary directory)"),
        .init("seconds", value: "N", help: "measured time of each workload (default 3)"),
        .init("only", value: "TEXT", help: "only workloads whose name contains this"),
        .init("help", short: "h", help: "show this"),
    ])
let workloads = [
    Workload(name: "publish, 1 connection, window 1", producers: 1, window: 1),
    Workload(name: "publish, 50 connections, window 1", producers: 50, window: 1),
    Workload(name: "publish, 4 connections, window 128", producers: 4, window: 128),
    Workload(name: "publish, 4 connections, window 128, 100 topics", producers: 4, window: 128, topics: 100),
    Workload(name: "queue, 2+2 connections, window 128", producers: 2, consumers: 2, window: 128),
    Workload(name: "queue, 8+8 connections, window 1", producers: 8, consumers: 8, window: 1),
    Workload(name: "latency at 2000/s", producers: 4, window: 1, rate: 2_000),
    Workload(name: "latency at 20000/s", producers: 4, window: 1, rate: 20_000),
]

/// Milliseconds a message on this disk: write 4 KiB into a written file, fdatasync.
func syncsPerSecond(in directory: String) throws -> Double {
    let path = directory + "/brokerbench-sync"
    defer { try? Directory.remove(path) }
    let file = try File(path: path, .openOrCreate)
    try file.write([UInt8](repeating: 1, count: 4 << 20), at: 0)
    try file.syncData()
    let page = [UInt8](repeating: 2, count: 4096)
    let start = Clocks.monotonicMicroseconds()
    var count = 0
    while Clocks.monotonicMicroseconds() - start < 1_000_000 {
        try file.write(page, at: count % 1024 * 4096)
        try file.syncData()
        count += 1
    }
    return Double(count)
}

func padded(_ text: String, _ width: Int) -> String {
    text.count >= width ? text : String(repeating: " ", count: width - text.count) + text
}

do {
    let input = try syntax.parse(CommandLine.arguments.dropFirst())
    if input.has("help") {
        LinuxIO.Process.writeOutput(syntax.usage)
        exit(0)
    }
    let seconds = input.value("seconds").flatMap(Double.init) ?? 3
    let directory = input.value("dir") ?? NSTemporaryDirectory()
    let beside = URL(fileURLWithPath: CommandLine.arguments[0]).deletingLastPathComponent().path + "/brokerd"
    let wanted = workloads.filter { input.value("only").map($0.name.contains) ?? true }
    print("fdatasync of 4 KiB into a written file: \(Int(try syncsPerSecond(in: directory)))/s\n")
    print("workload                                          messages/s   p50 µs   p99 µs  p99.9 µs  CPU s/million")
    for (index, workload) in wanted.enumerated() {
        let server = try ServerProcess(binary: input.value("brokerd") ?? beside, parent: directory)
        defer { server.stop() }
        let result = try workload.run(against: server, seconds: seconds, label: "\(index)")
        let name = workload.name + String(repeating: " ", count: max(0, 48 - workload.name.count))
        let figures = [
            padded("\(Int(result.messagesPerSecond))", 12), padded("\(Int(result.latencies.quantile(0.5)))", 9),
            padded("\(Int(result.latencies.quantile(0.99)))", 9),
            padded("\(Int(result.latencies.quantile(0.999)))", 10),
            padded(String(format: "%.1f", result.cpuPerMillion), 15),
        ]
        print(name + figures.joined())
    }
} catch {
    LinuxIO.Process.writeError("brokerbench: \(error)\n")
    exit(70)
}
