import Foundation
import LinuxIO

/// A brokerd of the benchmark's own, on a fresh directory.
final class ServerProcess {
    let endpoint: Endpoint
    private let process = Foundation.Process()
    private let directory: String

    /// - Parameter binary: Path of brokerd.
    init(binary: String, parent: String) throws {
        directory = parent + "/brokerbench-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        let port = try Self.freePort()
        endpoint = .tcp(host: "127.0.0.1", port: port)
        try "[broker]\nunconfirmed_max = 1000000\n".write(
            toFile: directory + "/brokerd.conf", atomically: true, encoding: .utf8)
        process.executableURL = URL(fileURLWithPath: binary)
        process.arguments = [
            "--data-dir", directory + "/data", "--listen", endpoint.description, "--config",
            directory + "/brokerd.conf",
        ]
        process.standardError = FileHandle.nullDevice
        try process.run()
        for _ in 0..<6000 {
            if (try? Socket.connect(to: endpoint)) != nil { return }
            Thread.sleep(forTimeInterval: 0.01)
        }
        throw BenchError("brokerd did not start")
    }

    private static func freePort() throws -> UInt16 {
        let listener = try Socket.listen(on: .tcp(host: "127.0.0.1", port: 0))
        guard let port = Socket.localPort(of: listener) else { throw BenchError("no port is free") }
        return port
    }

    /// User and system time.
    func cpuSeconds() -> Double {
        guard let stat = try? String(contentsOfFile: "/proc/\(process.processIdentifier)/stat", encoding: .utf8),
            let rest = stat.split(separator: ")").last
        else { return 0 }
        let fields = rest.split(separator: " ")
        return ((Double(fields[11]) ?? 0) + (Double(fields[12]) ?? 0)) / 100
    }

    /// Peak resident memory.
    func peakMiB() -> Double {
        guard let status = try? String(contentsOfFile: "/proc/\(process.processIdentifier)/status", encoding: .utf8),
            let line = status.split(separator: "\n").first(where: { $0.hasPrefix("VmHWM") })
        else { return 0 }
        return (line.split(separator: " ").compactMap { Double($0) }.first ?? 0) / 1024
    }

    func stop() {
        process.terminate()
        process.waitUntilExit()
        try? FileManager.default.removeItem(atPath: directory)
    }
}
