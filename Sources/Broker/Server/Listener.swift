package import LinuxIO

/// A listening socket of the broker.
package final class Listener: Sendable {
    /// What its clients speak.
    package enum Wire: Sendable {
        case native
        case redis
    }

    /// The endpoint, with the port that the kernel chose when port 0 was asked for; or the name that systemd gave.
    package let name: String
    package let descriptor: Descriptor
    private let isInherited: Bool
    /// A Unix path that we made, and remove at the end.
    let path: String?
    package let wire: Wire
    /// Of a TCP listener.
    let port: UInt16?

    /// Opens the endpoint.
    package init(on endpoint: Endpoint, wire: Wire = .native) throws(SystemError) {
        descriptor = try Socket.listen(on: endpoint)
        if case .tcp(let host, 0) = endpoint, let port = Socket.localPort(of: descriptor) {
            name = Endpoint.tcp(host: host, port: port).description
        } else {
            name = endpoint.description
        }
        isInherited = false
        self.wire = wire
        port = Socket.localPort(of: descriptor)
        if case .unix(let path) = endpoint { self.path = path } else { path = nil }
    }

    /// A socket that systemd opened; its path is systemd's.
    package init(inherited descriptor: consuming Descriptor, name: String) {
        self.name = name
        port = Socket.localPort(of: descriptor)
        self.descriptor = descriptor
        wire = name == "redis" ? .redis : .native
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
