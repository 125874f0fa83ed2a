package import LinuxIO

/// A listening socket of the broker.
package final class Listener: Sendable {
    /// The endpoint, with the port that the kernel chose when port 0 was asked for; or the name that systemd gave.
    package let name: String
    package let descriptor: Descriptor
    private let isInherited: Bool
    /// A Unix path that we made, and remove at the end.
    private let path: String?

    /// Opens the endpoint.
    package init(on endpoint: Endpoint) throws(SystemError) {
        descriptor = try Socket.listen(on: endpoint)
        if case .tcp(let host, 0) = endpoint, let port = Socket.localPort(of: descriptor) {
            name = Endpoint.tcp(host: host, port: port).description
        } else {
            name = endpoint.description
        }
        isInherited = false
        if case .unix(let path) = endpoint { self.path = path } else { path = nil }
    }

    /// A socket that systemd opened; its path is systemd's.
    package init(inherited descriptor: consuming Descriptor, name: String) {
        self.name = name
        self.descriptor = descriptor
        isInherited = true
        path = nil
    }

    /// Whoever connects from now on is refused, whoever else still holds the listener. One of systemd's stays as it is:
    /// there clients wait for the next start.
    package func close() {
        if isInherited { return }
        Socket.shutDown(descriptor)
        if let path { try? Directory.remove(path) }
    }
}
