import LinuxIO

/// A server that only answers: it reads publishes (the native protocol) or commands (RESP) and confirms each at once.
/// No storage, no state: what loopback, system calls and framing leave.
final class AnswerServer {
    private final class Client {
        let descriptor: Descriptor
        var input: [UInt8] = []
        var output: [UInt8] = []

        init(_ descriptor: consuming Descriptor) { self.descriptor = descriptor }
    }

    private static let listenerToken: UInt64 = 0
    private let listener: Descriptor
    private let speaksRESP: Bool
    private var poller: Poller
    private var clients: [UInt64: Client] = [:]
    private var nextToken: UInt64 = 1

    init(on endpoint: Endpoint, speaksRESP: Bool) throws {
        self.speaksRESP = speaksRESP
        listener = try Socket.listen(on: endpoint)
        poller = try Poller()
        try poller.add(listener.number, token: Self.listenerToken, interest: .read)
    }

    /// Until a signal ends the process.
    func run() throws -> Never {
        while true {
            for event in try poller.wait(milliseconds: -1) {
                if event.token == Self.listenerToken {
                    while let descriptor = try Socket.accept(from: listener) {
                        try poller.add(descriptor.number, token: nextToken, interest: .read)
                        clients[nextToken] = Client(descriptor)
                        nextToken += 1
                    }
                } else if let client = clients[event.token], !serve(client) {
                    clients[event.token] = nil
                }
            }
        }
    }

    /// - Returns: False when the client has gone.
    private func serve(_ client: Client) -> Bool {
        guard let count = try? client.descriptor.read(into: &client.input, capacity: 128 << 10), count > 0 else {
            return false
        }
        let end = speaksRESP ? answerCommands(client) : answerFrames(client)
        if end == client.input.count {
            client.input.removeAll(keepingCapacity: true)
        } else {
            client.input.removeFirst(end)
        }
        var sent = 0
        while sent < client.output.count {
            // The generator reads on; a buffer that is full empties at once.
            guard let count = try? client.descriptor.write(client.output, from: sent) else {
                Clocks.yield()
                continue
            }
            sent += count
        }
        client.output.removeAll(keepingCapacity: true)
        return true
    }

    private func answerFrames(_ client: Client) -> Int {
        var at = 0
        var id: UInt64 = 1
        while client.input.count - at >= 12 {
            let end = at + 4 + Int(client.input.big32(at))
            guard client.input.count >= end else { break }
            let isPublish = client.input[at + 5] == 0x10
            client.output.append(big: UInt32(isPublish ? 21 : 8))
            client.output.append(big: isPublish ? 0x0183_0000 as UInt32 : 0x0182_0000)
            client.output.append(big: client.input.big32(at + 8))
            if isPublish {
                client.output.append(big: UInt32(1))
                client.output.append(0)
                client.output.append(big: id)
                id += 1
            }
            at = end
        }
        return at
    }

    private func answerCommands(_ client: Client) -> Int {
        var at = 0
        while let end = commandEnd(client.input, at) {
            client.output += [58, 49, 13, 10]  // :1
            at = end
        }
        return at
    }

    private func commandEnd(_ input: [UInt8], _ start: Int) -> Int? {
        guard let line = input.lineEnd(from: start) else { return nil }
        var at = line + 2
        for _ in 0..<input.decimal(start + 1) {
            guard let line = input.lineEnd(from: at) else { return nil }
            at = line + 2 + input.decimal(at + 1) + 2
            guard at <= input.count else { return nil }
        }
        return at
    }
}
