package import LinuxIO

/// A listening socket of the broker.
package final class Listener: Sendable {
    package let name: String
    package let descriptor: Descriptor
    /// A Unix path that we made, and remove at the end.
    private let path: String?

    /// Opens the endpoint.
    package init(on endpoint: Endpoint) throws(SystemError) {
        name = endpoint.description
        descriptor = try Socket.listen(on: endpoint)
        if case .unix(let path) = endpoint { self.path = path } else { path = nil }
    }

    /// A socket that systemd opened; its path is systemd's.
    package init(inherited descriptor: consuming Descriptor, name: String) {
        self.name = name
        self.descriptor = descriptor
        path = nil
    }

    /// The port that the kernel chose when port 0 was asked for.
    package var port: UInt16? { Socket.localPort(of: descriptor) }

    func removePath() {
        if let path { try? Directory.remove(path) }
    }
}
