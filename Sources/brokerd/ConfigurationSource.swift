import Broker
import DaemonKit
import LinuxIO

/// Where the settings come from: the file with its drop-ins, and the flags above it. Read at the start and at SIGHUP.
struct ConfigurationSource {
    static let defaultPath = "/etc/brokerd/brokerd.conf"

    /// Nil: the default path, which may be missing.
    let path: String?
    let dataDirectory: String?
    let listen: [Endpoint]
    let redisListen: [Endpoint]

    func read() throws(ConfigurationError) -> (configuration: BrokerConfiguration, logLevel: LogLevel) {
        let file = try ConfigurationFile(path: path ?? Self.defaultPath, isRequired: path != nil)
        let reader = try ConfigurationReader(file)
        var configuration = reader.configuration
        if let dataDirectory { configuration.dataDirectory = dataDirectory }
        if !listen.isEmpty { configuration.listen = listen }
        if !redisListen.isEmpty { configuration.redisListen = redisListen }
        return (configuration, reader.logLevel)
    }
}
