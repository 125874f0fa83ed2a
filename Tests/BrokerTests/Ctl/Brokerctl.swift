import BrokerProtocol
import Foundation
import LinuxIO
import Synchronization

/// The built program as a child process.
enum Brokerctl {
    struct Result: Sendable {
        let code: Int32
        let output: String
        let error: String
    }

    /// - Parameter input: Standard input; never a terminal.
    static func run(
        _ arguments: [String], input: String = "", environment: [String: String] = [:]
    ) async throws -> Result {
        let process = Foundation.Process()
        process.executableURL = URL(fileURLWithPath: CommandLine.arguments[0]).deletingLastPathComponent()
            .appendingPathComponent("brokerctl")
        process.arguments = arguments
        process.environment = ["PATH": "/usr/bin:/bin"].merging(environment) { $1 }
        let directory = FileManager.default.temporaryDirectory.appendingPathComponent("ctl-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: directory) }
        let files = try ["in", "out", "err"].map { name in
            let file = directory.appendingPathComponent(name)
            try Data((name == "in" ? input : "").utf8).write(to: file)
            return file
        }
        process.standardInput = try FileHandle(forReadingFrom: files[0])
        process.standardOutput = try FileHandle(forWritingTo: files[1])
        process.standardError = try FileHandle(forWritingTo: files[2])
        let end = Moment()
        process.terminationHandler = { _ in end.happen() }
        try process.run()
        await end.wait()
        return Result(
            code: process.terminationStatus, output: try String(contentsOf: files[1], encoding: .utf8),
            error: try String(contentsOf: files[2], encoding: .utf8))
    }
}

/// A broker on a Unix socket that answers each request with what `answer` says, and remembers the requests.
final class BrokerDouble: Sendable {
    let url: String
    private let path: String
    private let seen = Mutex<[Request]>([])

    init(answer: @escaping @Sendable (Request) -> Response) throws {
        path = FileManager.default.temporaryDirectory.path + "/double-\(UUID().uuidString.prefix(8)).sock"
        url = "unix://\(path)"
        let listener = try Socket.listen(on: .unix(path: path))
        _ = SystemThread(name: "broker-double") { [weak self] in
            SystemThread.detachCurrent()
            SystemThread.blockBrokenPipeSignal()
            try? Self.serve(listener) { request in
                self?.seen.withLock { $0.append(request) }
                return answer(request)
            }
        }
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    /// Without the greeting.
    var requests: [Request] { seen.withLock { $0 } }

    private static func serve(_ listener: borrowing Descriptor, _ answer: (Request) -> Response) throws {
        var poller = try Poller()
        try poller.add(listener.number, token: 1, interest: .read)
        while try poller.wait(milliseconds: -1).isEmpty {}
        guard let connection = try Socket.accept(from: listener) else { return }
        let broker = ScriptedBroker(connection)
        try broker.greet()
        while let (correlation, request) = try broker.nextRequest() {
            try broker.send(.response(correlation, answer(request)))
        }
    }
}
