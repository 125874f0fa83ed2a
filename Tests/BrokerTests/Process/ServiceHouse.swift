import BrokerClient
import BrokerProtocol
import Foundation
import LinuxIO
import TestSupport

/// A directory with a configuration, and the brokerd processes that a test starts on it.
final class ServiceHouse {
    let directory: TemporaryDirectory
    var path: String { directory.path }
    var data: String { path + "/data" }
    var socket: String { path + "/broker.sock" }
    private var startCount = 0

    /// Small segments, so that a log is made quickly.
    static let sizes = """
        segment_size = 1M
        log_reserve = 1M
        disk_free_min = 0
        frame_max = 512K
        body_max = 256K

        """

    /// - Parameter settings: Lines for `[broker]`, and any sections after them.
    init(_ settings: String = "") throws {
        directory = try TemporaryDirectory()
        try configure(settings)
    }

    func configure(_ settings: String) throws {
        try directory.write("brokerd.conf", "[broker]\ndata_dir = \(data)\n\(Self.sizes)\(settings)\n")
    }

    /// The daemon that was built with these tests, beside them.
    static let program: String = {
        let tests = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? ""
        return URL(fileURLWithPath: tests).deletingLastPathComponent().appendingPathComponent("brokerd").path
    }()

    /// Starts the daemon; returns before it is ready.
    /// - Parameters:
    ///   - listen: Of `--listen`; none for the configuration's.
    ///   - wrapper: Words before the program, such as those of a tracer.
    func spawn(
        listen: [String]? = nil, arguments: [String] = [], environment: [String: String] = [:],
        wrapper: [String] = [], inherited: [Int32] = []
    ) throws -> Service {
        startCount += 1
        let manager = try Manager(path: "\(path)/notify-\(startCount)")
        var command = wrapper + [Self.program, "--config", path + "/brokerd.conf"]
        for url in listen ?? ["unix://\(socket)"] { command += ["--listen", url] }
        var variables = environment
        variables["NOTIFY_SOCKET"] = manager.path
        let child = try ChildProcess(command + arguments, environment: variables, inherited: inherited) {
            manager.noteEnd()
        }
        return Service(child: child, manager: manager, socket: socket)
    }

    /// Starts the daemon and waits for READY=1.
    func start(
        listen: [String]? = nil, environment: [String: String] = [:], wrapper: [String] = []
    ) async throws -> Service {
        let service = try spawn(listen: listen, environment: environment, wrapper: wrapper)
        try await service.ready()
        return service
    }
}

/// One brokerd process.
struct Service {
    let child: ChildProcess
    let manager: Manager
    fileprivate let socket: String

    /// Waits for READY=1, or says why the process ended before it.
    func ready() async throws {
        do {
            try await manager.message(with: "READY=1")
        } catch {
            if child.ending == nil { throw error }
            throw Failed(ending: try await child.end(), text: child.text)
        }
    }

    struct Failed: Error, CustomStringConvertible {
        let ending: ChildProcess.Ending
        let text: String
        var description: String { "the process ended with \(ending):\n\(text)" }
    }

    var url: String { "unix://\(socket)" }

    func connect(_ instance: String = "test", url: String? = nil) async throws -> BrokerClient {
        try await BrokerClient.connect(to: url ?? self.url, client: "tests", instance: instance)
    }

    /// The address of `tcp://127.0.0.1:0`, from the log.
    func tcpURL() async throws -> String {
        let line = try await child.line(with: "ready on")
        let words = line.split { " ,\"".contains($0) }
        guard let url = words.first(where: { $0.hasPrefix("tcp://") }) else { throw Late("a TCP listener in \(line)") }
        return String(url)
    }

    /// Ends it in order.
    func stop() async throws -> ChildProcess.Ending {
        child.send(SIGTERM)
        return try await child.end()
    }

    func kill() async throws {
        child.send(SIGKILL)
        _ = try await child.end()
    }
}
