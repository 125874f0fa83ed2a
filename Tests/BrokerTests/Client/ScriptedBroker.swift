import BrokerClient
import BrokerProtocol
import LinuxIO
import Testing

/// The broker's end of a connection, played by a script on a thread of its own; reads and writes block.
final class ScriptedBroker: Sendable {
    struct Unexpected: Error, CustomStringConvertible {
        let description: String
        init(_ description: String) { self.description = description }
    }

    private struct Input {
        var decoder = FrameDecoder(side: .broker, frameBytesMax: 64 << 20)
        var heartbeats = 0
    }

    private let descriptor: Descriptor
    private let input = Monitor(Input())

    init(_ descriptor: consuming Descriptor) { self.descriptor = descriptor }

    /// The next request; heartbeats are counted and passed over. Nil at the end of the stream.
    func nextRequest() throws -> (correlation: UInt32, request: Request)? {
        while true {
            guard let frame = try nextFrame() else { return nil }
            switch frame {
            case .request(let correlation, let request): return (correlation, request)
            case .heartbeat: continue
            default: throw Unexpected("\(frame)")
            }
        }
    }

    func nextFrame() throws -> Frame? {
        while true {
            if let frame = try input.with({ input in Result { try input.decoder.next() } }).get() { return frame }
            var bytes: [UInt8] = []
            guard let count = try descriptor.read(into: &bytes, capacity: 1 << 14) else {
                try wait(for: .read)
                continue
            }
            if count == 0 { return nil }
            input.with { $0.decoder.append(bytes) }
        }
    }

    /// Blocks until a descriptor that does not block by itself is ready.
    private func wait(for interest: Poller.Interest) throws {
        var poller = try Poller()
        try poller.add(descriptor.number, token: 0, interest: interest)
        while try poller.wait(milliseconds: -1).isEmpty {}
    }

    func expect(_ what: String = "a request") throws -> (correlation: UInt32, request: Request) {
        guard let next = try nextRequest() else { throw Unexpected("the end of the stream, not \(what)") }
        return next
    }

    func send(_ frames: Frame...) throws { try send(frames.flatMap(\.bytes)) }
    func send(_ bytes: [UInt8]) throws {
        var count = 0
        while count < bytes.count {
            if let written = try descriptor.write(bytes, from: count) {
                count += written
            } else {
                try wait(for: .write)
            }
        }
    }

    func end() { Socket.shutDown(descriptor) }

    static func hello(heartbeatMilliseconds: UInt32 = 0, limits: ProtocolLimits = ProtocolLimits()) -> Response {
        .hello(
            version: 1, broker: "scripted 1.0", identity: 7, heartbeatMilliseconds: heartbeatMilliseconds,
            limits: limits)
    }

    func greet(heartbeatMilliseconds: UInt32 = 0, limits: ProtocolLimits = ProtocolLimits()) throws {
        let (correlation, request) = try expect("HELLO")
        guard case .hello(let versions, _, _, _) = request, versions == [1] else {
            throw Unexpected("\(request)")
        }
        try send(.response(correlation, Self.hello(heartbeatMilliseconds: heartbeatMilliseconds, limits: limits)))
    }

    /// Runs `script` as the broker and `body` as its client.
    static func run(
        _ script: @escaping @Sendable (ScriptedBroker) throws -> Void,
        client body: (BrokerClient) async throws -> Void
    ) async throws {
        try await run(script) { connect in
            let client = try await connect()
            try await body(client)
            await client.close()
        }
    }

    /// As ``run(_:client:)``, for tests of the connecting itself.
    static func run(
        _ script: @escaping @Sendable (ScriptedBroker) throws -> Void,
        connecting body: (_ connect: () async throws(BrokerError) -> BrokerClient) async throws -> Void
    ) async throws {
        let (near, far) = try Socket.pair()
        let broker = ScriptedBroker(Descriptor(owning: far))
        let failure = Monitor<String?>(nil)
        let isOver = Moment()
        _ = SystemThread(name: "scripted-broker") {
            SystemThread.detachCurrent()
            SystemThread.blockBrokenPipeSignal()
            do { try script(broker) } catch { failure.with { $0 = "\(error)" } }
            broker.end()
            isOver.happen()
        }
        try await body { () async throws(BrokerError) in
            try await BrokerClient.connect(
                name: "unix:///scripted", client: "test", instance: "test-1", heartbeatMilliseconds: 0
            ) { () throws(SystemError) in Descriptor(owning: near) }
        }
        await isOver.wait()
        #expect(failure.with { $0 } == nil)
    }
}

extension TopicName {
    static let orders = TopicName("orders")!
}

extension SubscriptionName {
    static let mail = SubscriptionName("orders@mail")!
}

extension LeaseID {
    init(_ number: UInt64) { self.init(rawValue: number) }
}

extension Delivery {
    /// A delivery whose lease, message and body are made from one number.
    init(_ number: UInt64, consumer: UInt32 = 1) {
        self.init(
            consumer: ConsumerID(rawValue: consumer), lease: LeaseID(number), leaseMilliseconds: 30_000,
            id: MessageID(rawValue: number), subscription: .mail, attempt: 1,
            publishedAt: WallTime(milliseconds: 1), body: Array("\(number)".utf8))
    }
}

/// The code of the error that `body` throws.
func code(_ body: () async throws -> Void) async -> BrokerError.Code? {
    do {
        try await body()
        return nil
    } catch { return (error as? BrokerError)?.code }
}
