package import LinuxIO

/// A listening socket of the broker.
package final class Listener: Sendable {
    /// The endpoint, with the port that the kernel chose when port 0 was asked for; or the name that systemd gave.
    package let name: String
    package let descriptor: Descriptor
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
        if case .unix(let path) = endpoint { self.path = path } else { path = nil }
    }

    /// A socket that systemd opened; its path is systemd's.
    package init(inherited descriptor: consuming Descriptor, name: String) {
        self.name = name
        self.descriptor = descriptor
        path = nil
    }

    func removePath() {
        if let path { try? Directory.remove(path) }
    }
}
