import BrokerProtocol
import LinuxIO

/// Bytes on their way to a socket.
struct OutputBuffer {
    private var writer = ByteWriter()
    private var sent = 0

    var count: Int { writer.bytes.count - sent }
    var isEmpty: Bool { count == 0 }

    mutating func add(_ frame: Frame) { frame.encode(into: &writer) }
    /// - Returns: Whether nothing waited before.
    mutating func add(_ response: Response, to correlation: UInt32) -> Bool {
        let wasEmpty = isEmpty
        Frame.encode(response, to: correlation, into: &writer)
        return wasEmpty
    }
    /// - Returns: Whether nothing waited before.
    mutating func addConfirmation(of id: MessageID, to correlation: UInt32) -> Bool {
        let wasEmpty = isEmpty
        Frame.encodeConfirmation(of: id, to: correlation, into: &writer)
        return wasEmpty
    }
    mutating func addDeliveries(_ add: (inout ByteWriter) throws -> Int) throws {
        try Frame.encodeDeliveries(into: &writer, add)
    }
    mutating func add(_ reply: RESPValue, _ version: RESPVersion) { reply.encode(as: version, into: &writer) }

    /// Writes what the socket takes.
    /// - Returns: How many bytes it took.
    mutating func flush(to descriptor: borrowing Descriptor) throws(SystemError) -> Int {
        let before = sent
        while sent < writer.bytes.count {
            guard let count = try descriptor.write(writer.bytes, from: sent) else { break }
            sent += count
        }
        let taken = sent - before
        if sent == writer.bytes.count {
            // A burst's memory is given back; an ordinary turn's is kept until the connection is quiet.
            writer.bytes.removeAll(keepingCapacity: writer.bytes.capacity <= 256 << 10)
            sent = 0
        } else if sent > 1 << 20 {
            writer.bytes.removeFirst(sent)
            sent = 0
        }
        return taken
    }

    /// Gives the memory back that is not in use.
    mutating func shrink() { if isEmpty && writer.bytes.capacity > 0 { writer = ByteWriter() } }
}
