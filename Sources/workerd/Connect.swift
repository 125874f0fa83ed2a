import Broker
import BrokerClient
import BrokerProtocol
import LinuxIO

/// Where the broker of the workers is.
enum BrokerPlace: Sendable {
    case socket(Endpoint)
    /// In this process.
    case embedded(Broker)

    /// - Parameter identity: Names the holder of the leases in the broker's errors.
    func connect(as identity: String) async throws(BrokerError) -> any MessageBroker {
        switch self {
        case .socket(let endpoint): try await BrokerClient.connect(to: endpoint, client: "workerd", instance: identity)
        case .embedded(let broker): try broker.connect(instance: identity)
        }
    }
}
