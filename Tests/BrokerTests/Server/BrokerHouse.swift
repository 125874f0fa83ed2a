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
    private let configuration: BrokerConfiguration

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

    init(_ change: (inout BrokerConfiguration) -> Void = { _ in }) throws {
        directory = try TemporaryDirectory()
        var configuration = Self.configuration(in: directory.path + "/data")
        change(&configuration)
        self.configuration = configuration
        (broker, tcpURL) = try Self.start(configuration, directory.path)
    }

    private static func start(_ configuration: BrokerConfiguration, _ path: String) throws -> (Broker, String) {
        let tcp = try Listener(on: .tcp(host: "127.0.0.1", port: 0))
        let unix = try Listener(on: .unix(path: path + "/broker.sock"))
        return (try Broker.start(configuration, listeners: [tcp, unix]), tcp.name)
    }

    func url(_ way: Way) -> String { way == .tcp ? tcpURL : "unix://\(directory.path)/broker.sock" }

    func connect(_ way: Way, instance: String = "test") async throws -> any MessageBroker {
        if way == .inProcess { return try broker.connect(instance: instance) }
        return try await BrokerClient.connect(to: url(way), client: "tests", instance: instance)
    }

    /// Ends the broker in order and starts another one on the same directory.
    func restart() async throws {
        await broker.stop()
        (broker, tcpURL) = try Self.start(configuration, directory.path)
    }
}
