private import Glibc

extension Socket {
    /// Tells the peer that no more bytes come; the answers can still be read.
    package static func shutDownWriting(_ descriptor: borrowing Descriptor) {
        _ = shutdown(descriptor.number, Int32(SHUT_WR))
    }
}
