import Testing
import Broker
import BrokerClient
import BrokerProtocol
import LinuxIO

/// A real broker on a directory of its own, reached in every way that there is.
final class BrokerHouse {
    enum Way: String, CaseIterable, CustomTestStringConvertible {
        case inProcess = "in process"
        case unix = "over a Unix socket"
        case tcp = "over TCP"
        var testDescription: String { rawValue }
    }

    let directory: TemporaryDirectory
    private(set) var broker: Broker
    private var tcpURL: String
    private var configuration: BrokerConfiguration
    private let clock: BrokerClock
    private let seed: UInt64

    /// Small segments, so that a test's log is made quickly.
    static func configuration(in directory: String) -> BrokerConfiguration {
        var configuration = BrokerConfiguration(dataDirectory: directory)
        configuration.segmentBytes = 1 << 20
        configuration.reserveBytes = 1 << 20
        configuration.frameBytesMax = 512 << 10
        configuration.bodyBytesMax = 256 << 10
        configuration.diskFreeBytesMin = 0
        return configuration
    }

    init(
        clock: BrokerClock = .system, seed: UInt64 = 1, _ change: (inout BrokerConfiguration) -> Void = { _ in }
    ) throws {
        self.clock = clock
        self.seed = seed
        directory = try TemporaryDirectory()
        var configuration = Self.configuration(in: directory.path + "/data")
        change(&configuration)
        self.configuration = configuration
        (broker, tcpURL) = try Self.start(configuration, directory.path, clock, seed)
    }

    private static func start(
        _ configuration: BrokerConfiguration, _ path: String, _ clock: BrokerClock, _ seed: UInt64
    ) throws -> (Broker, String) {
        let tcp = try Listener(on: .tcp(host: "127.0.0.1", port: 0))
        let unix = try Listener(on: .unix(path: path + "/broker.sock"))
        let broker = try Broker.start(configuration, listeners: [tcp, unix], clock: clock, seed: seed)
        return (broker, tcp.name)
    }

    func url(_ way: Way) -> String { way == .tcp ? tcpURL : "unix://\(directory.path)/broker.sock" }

    func connect(_ way: Way, instance: String = "test") async throws -> any MessageBroker {
        if way == .inProcess { return try broker.connect(instance: instance) }
        return try await BrokerClient.connect(
            to: url(way), client: "tests", instance: instance, heartbeatMilliseconds: 0)
    }

    /// Ends the broker in order and starts another one on the same directory.
    func restart() async throws {
        await broker.stop()
        try start()
    }

    /// Starts a broker after the last one was stopped.
    func start(_ change: (inout BrokerConfiguration) -> Void = { _ in }) throws {
        change(&configuration)
        (broker, tcpURL) = try Self.start(configuration, directory.path, clock, seed)
    }

    /// - Throws: Why it cannot be while the first one is there.
    func startSecond() throws { _ = try Broker.start(configuration, clock: clock) }
}
