private import Glibc

extension Socket {
    /// Who is at the other end: `HOST:PORT` in numbers, `[HOST]:PORT` for IPv6; nil for a Unix socket.
    package static func peerName(of descriptor: borrowing Descriptor) -> String? {
        unsafe name(of: descriptor) { unsafe getpeername($0, $1, $2) }
    }

    /// The same for our own end.
    package static func localName(of descriptor: borrowing Descriptor) -> String? {
        unsafe name(of: descriptor) { unsafe getsockname($0, $1, $2) }
    }

    private static func name(
        of descriptor: borrowing Descriptor,
        _ ask: (Int32, UnsafeMutablePointer<sockaddr>, UnsafeMutablePointer<socklen_t>) -> Int32
    ) -> String? {
        var address = sockaddr_storage()
        var size = socklen_t(MemoryLayout<sockaddr_storage>.size)
        var host = [CChar](repeating: 0, count: Int(NI_MAXHOST))
        var port = [CChar](repeating: 0, count: Int(NI_MAXSERV))
        let number = descriptor.number
        let isNamed = unsafe withUnsafeMutablePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
                unsafe ask(number, pointer, &size) == 0
                    && [AF_INET, AF_INET6].contains(Int32(pointer.pointee.sa_family))
                    && getnameinfo(
                        pointer, size, &host, socklen_t(host.count), &port, socklen_t(port.count),
                        NI_NUMERICHOST | NI_NUMERICSERV) == 0
            }
        }
        guard isNamed else { return nil }
        func text(_ characters: [CChar]) -> String {
            String(decoding: characters.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        }
        let name = text(host)
        return (name.contains(":") ? "[\(name)]" : name) + ":" + text(port)
    }
}
