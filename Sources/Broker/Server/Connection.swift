import BrokerProtocol
import LinuxIO

/// One client's socket with its buffers. Confined to the loop.
final class Connection {
    /// What the client speaks; the listener decides.
    enum Wire {
        case native(NativeWire)
        case redis(RedisWire)
    }

    let id: SessionID
    let token: UInt64
    let descriptor: Descriptor
    let wire: Wire
    private var output = OutputBuffer()
    private let outputBytesMax: Int
    /// Nothing more is read; it closes when the output is gone.
    private(set) var isEnding = false
    /// When the output last moved, or became non-empty.
    private var outputMovedAt: Int64
    var interest = Poller.Interest.read
    /// The loop will flush it at the end of the turn.
    var isTouched = false

    static let readBytes = 64 << 10
    /// A client that takes nothing for this long is gone.
    static let stallMilliseconds: Int64 = 30_000

    /// After this long without output its buffer is given up.
    private static let quietMilliseconds: Int64 = 1_000

    init(
        id: SessionID, token: UInt64, descriptor: consuming Descriptor, wire: Wire, outputBytesMax: Int, now: Int64
    ) {
        self.id = id
        self.token = token
        self.descriptor = descriptor
        self.wire = wire
        self.outputBytesMax = outputBytesMax
        outputMovedAt = now
    }

    // MARK: Input

    /// Reads once.
    /// - Returns: False when the peer has closed its side.
    func read(now: Int64) throws(SystemError) -> Bool {
        switch wire {
        case .native(let wire):
            let count = try wire.decoder.fill { (buffer) throws(SystemError) in
                try descriptor.read(into: &buffer, capacity: Self.readBytes)
            }
            guard let count else { return true }
            wire.noteReceived(now: now)
            return count > 0
        case .redis(let wire):
            let count = try wire.decoder.fill { (buffer) throws(SystemError) in
                try descriptor.read(into: &buffer, capacity: Self.readBytes)
            }
            guard let count else { return true }
            wire.noteReceived(now: now)
            return count > 0
        }
    }

    // MARK: Output

    func send(_ frame: Frame, now: Int64) {
        if output.isEmpty { outputMovedAt = now }
        if case .native(let wire) = wire { wire.noteSent(frame, now: now) }
        output.add(frame)
    }

    func send(_ reply: RESPValue, _ version: RESPVersion, now: Int64) {
        if output.isEmpty { outputMovedAt = now }
        output.add(reply, version)
    }

    func respond(_ correlation: UInt32, _ response: Response, now: Int64) {
        guard case .native(let wire) = wire else { return }
        wire.noteAnswered(correlation, response, now: now)
        if output.add(response, to: correlation) { outputMovedAt = now }
    }

    /// A publish of one message was accepted.
    func confirm(_ correlation: UInt32, _ id: MessageID, now: Int64) {
        guard case .native(let wire) = wire else { return }
        wire.noteConfirmed(correlation, now: now)
        if output.addConfirmation(of: id, to: correlation) { outputMovedAt = now }
    }

    func end() { isEnding = true }

    /// Encodes deliveries and writes what the socket takes.
    /// - Parameter encode: Adds a delivery; false when its lease is over.
    func flush(now: Int64, _ encode: (Notice, inout ByteWriter) throws -> Bool) throws {
        guard case .native(let wire) = wire else {
            if try output.flush(to: descriptor) > 0 { outputMovedAt = now }
            return
        }
        repeat {
            if wire.hasDeliveries {
                if output.isEmpty { outputMovedAt = now }
                try wire.encodeDeliveries(into: &output, now: now, encode)
            }
            if output.isEmpty { return }
            if try output.flush(to: descriptor) > 0 { outputMovedAt = now }
        } while output.isEmpty && wire.hasDeliveries
    }

    var outputBytes: Int { output.count }

    private var waitsForOutput: Bool {
        switch wire {
        case .native(let wire): wire.hasDeliveries
        case .redis: false
        }
    }

    /// All that it is to get has left.
    var isFlushed: Bool {
        switch wire {
        case .native(let wire): output.isEmpty && !wire.hasDeliveries
        case .redis(let wire): output.isEmpty && wire.session.unansweredCount == 0
        }
    }

    var hasRoom: Bool { output.count < outputBytesMax }

    var wantsInput: Bool {
        guard !isEnding && hasRoom else { return false }
        switch wire {
        case .native(let wire): return !wire.isPaused
        case .redis(let wire): return wire.wantsInput
        }
    }

    var wantsOutput: Bool { !output.isEmpty || waitsForOutput }

    func tick(now: Int64) -> NativeSession.Tick {
        if now - outputMovedAt > Self.quietMilliseconds { output.shrink() }
        if !output.isEmpty && now - outputMovedAt > Self.stallMilliseconds {
            return .lost(BrokerError(.slowConsumer, "the client took nothing for \(now - outputMovedAt) ms"))
        }
        switch wire {
        case .native(let wire):
            // While we do not read, because of the disk or the client's output, its silence means nothing.
            if !interest.contains(.read) { wire.noteReceived(now: now) }
            return isEnding ? .nothing : wire.session.tick(now: now)
        case .redis(let wire):
            if !interest.contains(.read) { wire.noteReceived(now: now) }
            if isEnding { return .nothing }
            guard wire.isSilent(now: now) else { return .nothing }
            return .lost(
                BrokerError(
                    .malformedFrame, "the rest of a command did not come within \(RedisWire.commandMilliseconds) ms"))
        }
    }
}
