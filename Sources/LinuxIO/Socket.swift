private import CLinux
private import Glibc

/// Where a broker listens or a client connects: `tcp://host:port` or `unix:///path`.
package enum Endpoint: Hashable, Sendable, CustomStringConvertible {
    case tcp(host: String, port: UInt16)
    case unix(path: String)

    /// - Returns: Nil when the text is none of the two forms; a Unix path has 1 to 107 bytes.
    package init?(_ text: String) {
        if let rest = text.dropPrefix("unix://") {
            guard rest.hasPrefix("/"), rest.utf8.count <= 107 else { return nil }
            self = .unix(path: String(rest))
        } else if let rest = text.dropPrefix("tcp://"), let colon = rest.lastIndex(of: ":") {
            guard let port = UInt16(rest[rest.index(after: colon)...]) else { return nil }
            var host = rest[..<colon]
            if host.hasPrefix("[") && host.hasSuffix("]") { host = host.dropFirst().dropLast() }
            guard !host.isEmpty else { return nil }
            self = .tcp(host: String(host), port: port)
        } else {
            return nil
        }
    }

    package var description: String {
        switch self {
        case .tcp(let host, let port): host.contains(":") ? "tcp://[\(host)]:\(port)" : "tcp://\(host):\(port)"
        case .unix(let path): "unix://\(path)"
        }
    }
}

extension String {
    fileprivate func dropPrefix(_ prefix: String) -> Substring? {
        hasPrefix(prefix) ? dropFirst(prefix.count) : nil
    }
}

/// Stream sockets.
package enum Socket {
    private static func resolve(
        host: String, port: UInt16, passive: Bool
    ) throws(SystemError) -> (family: Int32, address: [UInt8]) {
        var hints = unsafe addrinfo()
        unsafe hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        unsafe hints.ai_flags = AI_NUMERICSERV | (passive ? AI_PASSIVE : 0)
        var list: UnsafeMutablePointer<addrinfo>?
        let code = unsafe getaddrinfo(host, String(port), &hints, &list)
        guard code == 0, let first = unsafe list else {
            throw SystemError(call: "resolve", subject: host, code: EADDRNOTAVAIL)
        }
        defer { unsafe freeaddrinfo(first) }
        let entry = unsafe first.pointee
        let bytes = unsafe [UInt8](UnsafeRawBufferPointer(start: entry.ai_addr, count: Int(entry.ai_addrlen)))
        return unsafe (entry.ai_family, bytes)
    }

    private static func address(of endpoint: Endpoint, passive: Bool) throws(SystemError) -> (Int32, [UInt8]) {
        switch endpoint {
        case .tcp(let host, let port): return try resolve(host: host, port: port, passive: passive)
        case .unix(let path):
            let family = UInt16(AF_UNIX)
            return (AF_UNIX, [UInt8(family & 255), UInt8(family >> 8)] + Array(path.utf8) + [0])
        }
    }

    private static func open(family: Int32) throws(SystemError) -> Descriptor {
        let type = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
        return Descriptor(owning: try check("socket") { socket(family, type, 0) })
    }

    private static func setOption(_ number: Int32, _ level: Int32, _ option: Int32) {
        var on: Int32 = 1
        _ = unsafe setsockopt(number, level, option, &on, socklen_t(MemoryLayout<Int32>.size))
    }

    /// Opens a non-blocking listener. A Unix path that nobody listens on any more is replaced.
    package static func listen(on endpoint: Endpoint, backlog: Int32 = 4096) throws(SystemError) -> Descriptor {
        let (family, address) = try address(of: endpoint, passive: true)
        let descriptor = try open(family: family)
        let number = descriptor.number
        if case .unix(let path) = endpoint, Directory.exists(path) {
            if (try? connect(to: endpoint)) != nil {
                throw SystemError(call: "bind", subject: endpoint.description, code: EADDRINUSE)
            }
            try Directory.remove(path)
        }
        setOption(number, SOL_SOCKET, SO_REUSEADDR)
        try check("bind", endpoint.description) {
            unsafe address.withUnsafeBytes { bytes in
                unsafe bind(number, bytes.assumingMemoryBound(to: sockaddr.self).baseAddress, socklen_t(bytes.count))
            }
        }
        try check("listen", endpoint.description) { Glibc.listen(number, backlog) }
        try descriptor.setNonBlocking()
        return descriptor
    }

    /// Connects; blocks until the peer's kernel answered. The descriptor stays blocking.
    /// - Parameter timeoutMilliseconds: Nil: as long as the kernel tries, which is minutes for a host that is silent,
    ///   and for ever for a Unix listener whose queue is full. It bounds each later write to the descriptor too.
    package static func connect(
        to endpoint: Endpoint, timeoutMilliseconds: Int? = nil
    ) throws(SystemError) -> Descriptor {
        let (family, address) = try address(of: endpoint, passive: false)
        let descriptor = try open(family: family)
        let number = descriptor.number
        if let timeoutMilliseconds {
            var limit = timeval(tv_sec: timeoutMilliseconds / 1000, tv_usec: timeoutMilliseconds % 1000 * 1000)
            _ = unsafe setsockopt(number, SOL_SOCKET, SO_SNDTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        }
        do throws(SystemError) {
            try check("connect", endpoint.description) {
                unsafe address.withUnsafeBytes { bytes in
                    unsafe Glibc.connect(
                        number, bytes.assumingMemoryBound(to: sockaddr.self).baseAddress, socklen_t(bytes.count))
                }
            }
        } catch {
            let isLate = error.code == EINPROGRESS || error.isWouldBlock
            throw isLate ? SystemError(call: error.call, subject: error.subject, code: ETIMEDOUT) : error
        }
        if case .tcp = endpoint { setOption(number, Int32(IPPROTO_TCP), TCP_NODELAY) }
        return descriptor
    }

    /// Takes one waiting connection, non-blocking. Nil when none waits, or the peer has gone again.
    package static func accept(from listener: borrowing Descriptor) throws(SystemError) -> Descriptor? {
        let number = listener.number
        do throws(SystemError) {
            let connection = Descriptor(owning: try check("accept") { clinux_accept(number) })
            setOption(connection.number, Int32(IPPROTO_TCP), TCP_NODELAY)
            return connection
        } catch {
            if error.isWouldBlock || error.code == ECONNABORTED { return nil }
            throw error
        }
    }

    /// Ends both directions; a thread that reads from the socket wakes with the end of the stream.
    package static func shutDown(_ descriptor: borrowing Descriptor) {
        _ = shutdown(descriptor.number, Int32(SHUT_RDWR))
    }

    /// The port that the kernel chose for a TCP listener on port 0; nil for a Unix socket.
    package static func localPort(of descriptor: borrowing Descriptor) -> UInt16? {
        var address = sockaddr_in6()
        var size = socklen_t(MemoryLayout<sockaddr_in6>.size)
        let number = descriptor.number
        let code = unsafe withUnsafeMutablePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { unsafe getsockname(number, $0, &size) }
        }
        guard code == 0, [AF_INET, AF_INET6].contains(Int32(address.sin6_family)) else { return nil }
        return UInt16(bigEndian: address.sin6_port)  // The port stands at the same place in both families.
    }

    /// A connected pair, for tests and wake-ups inside a process.
    package static func pair() throws(SystemError) -> (Int32, Int32) {
        var numbers: [Int32] = [0, 0]
        let type = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
        try check("socketpair") { unsafe socketpair(AF_UNIX, type, 0, &numbers) }
        return (numbers[0], numbers[1])
    }
}
