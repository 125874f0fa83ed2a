import BrokerProtocol
import LinuxIO
import Synchronization
import TestSupport

/// A connection as bytes: what no well-behaved client would send can be sent, and everything that comes is seen.
/// One thread at a time.
final class Wire: Sendable {
    private let descriptor: Descriptor
    private let decoder = Mutex(FrameDecoder(side: .client, frameBytesMax: 16 << 20))
    private let lastCorrelation = Atomic<UInt32>(0)
    /// Deliveries and ends of consumers that came while an answer was waited for.
    private let pushes = Mutex<[Frame.Push]>([])

    init(to endpoint: Endpoint) throws {
        descriptor = try Socket.connect(to: endpoint, timeoutMilliseconds: Int(Late.milliseconds))
    }

    convenience init(to url: String) throws {
        guard let endpoint = Endpoint(url) else { throw BrokerError(.settingInvalid, url) }
        try self.init(to: endpoint)
    }

    static func hello(instance: String = "wire", heartbeat: UInt32 = 0) -> Request {
        .hello(versions: [Frame.version], client: "tests", instance: instance, heartbeatMilliseconds: heartbeat)
    }

    /// Connects and greets.
    static func open(_ url: String, heartbeat: UInt32 = 0) throws -> Wire {
        let wire = try Wire(to: url)
        guard case .hello = try wire.ask(hello(heartbeat: heartbeat)) else { throw Late("the answer to HELLO") }
        return wire
    }

    // MARK: Out

    /// Writes all of it. A broker that has closed the connection is no error here: what it said can still be read.
    func send(bytes: [UInt8]) throws {
        do throws(SystemError) {
            try descriptor.writeAll(bytes)
        } catch  where error.isBrokenPipe {
        }
    }

    func send(_ frame: Frame) throws { try send(bytes: frame.bytes) }

    /// Writes the bytes as the broker takes them.
    /// - Returns: False when it took nothing for the given time.
    func write(_ bytes: [UInt8], milliseconds: Int32) throws -> Bool {
        try descriptor.setNonBlocking()
        var poller = try Poller()
        try poller.add(descriptor.number, token: 1, interest: .write)
        var offset = 0
        while offset < bytes.count {
            if let count = try descriptor.write(bytes, from: offset) {
                offset += count
            } else if try poller.wait(milliseconds: milliseconds).isEmpty {
                return false
            }
        }
        return true
    }

    /// Nothing more comes from this side.
    func endOutput() { Socket.shutDownWriting(descriptor) }

    // MARK: In

    enum Arrival {
        case frame(Frame)
        /// Nothing came in the time.
        case silence
        /// The broker has closed the connection.
        case end
    }

    /// The next frame, heartbeats left out.
    func arrival(milliseconds: Int64) throws -> Arrival {
        let deadline = Clocks.monotonicMilliseconds() + milliseconds
        while true {
            while let frame = try decoder.withLock({ decoder in try decoder.next() }) {
                if frame != .heartbeat { return .frame(frame) }
            }
            let left = deadline - Clocks.monotonicMilliseconds()
            switch try fill(milliseconds: max(left, 0)) {
            case nil: return .silence
            case 0: return .end
            default: break
            }
        }
    }

    /// The next frame; nil when the broker has closed the connection.
    func next() throws -> Frame? {
        switch try arrival(milliseconds: Late.milliseconds) {
        case .frame(let frame): return frame
        case .end: return nil
        case .silence: throw Late("a frame from the broker")
        }
    }

    /// - Returns: How many bytes came; 0 at the end of the stream, nil when nothing came in the time.
    private func fill(milliseconds: Int64) throws -> Int? {
        var poller = try Poller()
        try poller.add(descriptor.number, token: 1, interest: .read)
        if try poller.wait(milliseconds: Int32(clamping: milliseconds)).isEmpty { return nil }
        return try decoder.withLock { decoder in
            try decoder.fill { buffer in
                do throws(SystemError) {
                    return try descriptor.read(into: &buffer, capacity: 64 << 10)
                } catch  where error.isBrokenPipe {
                    return 0
                }
            }
        }
    }

    /// Sends a request and waits for its answer; what else comes is kept for ``nextPush()``.
    func ask(_ request: Request) throws -> Response {
        let correlation = lastCorrelation.add(1, ordering: .relaxed).newValue
        try send(.request(correlation, request))
        return try answer(to: correlation)
    }

    func answer(to correlation: UInt32) throws -> Response {
        while let frame = try next() {
            switch frame {
            case .response(correlation, let response): return response
            case .push(let push): pushes.withLock { $0.append(push) }
            default: break
            }
        }
        throw BrokerError(.connectionLost, "the broker closed the connection before the answer")
    }

    func nextPush() throws -> Frame.Push? {
        if let push = pushes.withLock({ $0.isEmpty ? nil : $0.removeFirst() }) { return push }
        while let frame = try next() {
            if case .push(let push) = frame { return push }
        }
        return nil
    }

    /// Everything until the broker closes the connection.
    func rest() throws -> [Frame] {
        var frames: [Frame] = []
        while let frame = try next() { frames.append(frame) }
        return frames
    }
}

extension SystemError {
    /// The peer has gone.
    var isBrokenPipe: Bool { code == 32 || code == 104 }
}
