import BrokerProtocol
import LinuxIO
import TestSupport

/// A Redis client as bytes on a socket. One thread at a time.
final class RedisClient {
    private let descriptor: Descriptor
    private var decoder = RESPReplyDecoder()

    init(_ url: String) throws {
        guard let endpoint = Endpoint(url) else { throw BrokerError(.settingInvalid, url) }
        descriptor = try Socket.connect(to: endpoint, timeoutMilliseconds: Int(Late.milliseconds))
    }

    func send(bytes: [UInt8]) throws {
        do throws(SystemError) {
            try descriptor.writeAll(bytes)
        } catch  where error.isBrokenPipe {
        }
    }

    func send(_ text: String) throws { try send(bytes: RedisDesk.command(text)) }

    func endOutput() { Socket.shutDownWriting(descriptor) }

    /// The next reply; nil when the broker has closed the connection.
    func next() throws -> RESPValue? {
        while true {
            if let reply = try decoder.next() { return reply }
            try wait()
            let bytes = try read()
            if bytes.isEmpty { return nil }
            decoder.append(bytes)
        }
    }

    private func wait() throws {
        var poller = try Poller()
        try poller.add(descriptor.number, token: 1, interest: .read)
        if try poller.wait(milliseconds: Int32(Late.milliseconds)).isEmpty { throw Late("a reply of the broker") }
    }

    /// - Returns: Nothing at the end of the stream.
    private func read() throws -> [UInt8] {
        var bytes: [UInt8] = []
        do throws(SystemError) {
            _ = try descriptor.read(into: &bytes, capacity: 64 << 10)
        } catch {
            if !error.isBrokenPipe { throw error }
        }
        return bytes
    }

    func ask(_ text: String) throws -> RESPValue? {
        try send(text)
        return try next()
    }
}
