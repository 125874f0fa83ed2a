import BrokerProtocol

/// The Redis protocol's side of a connection: commands in, replies out. Confined to the loop.
final class RedisWire {
    let session: RedisSession
    var decoder: RESPCommandDecoder
    /// Of the replies that leave now.
    var version = RESPVersion.two
    /// No further command is run yet: one waits for a message, or too many replies wait for the disk or the client.
    var isHeld = false
    /// The loop will run its commands in the next turn.
    var isResuming = false
    /// The client sends no more.
    var isInputOver = false
    private var receivedAt: Int64

    /// How long a client may take for the rest of a command.
    static let commandMilliseconds: Int64 = 30_000
    /// Commands that are read ahead while none is run.
    static let readAheadBytes = 64 << 10

    init(_ session: RedisSession, frameBytesMax: Int, now: Int64) {
        self.session = session
        decoder = RESPCommandDecoder(
            limits: RESPCommandDecoder.Limits(bulkBytesMax: frameBytesMax, commandBytesMax: frameBytesMax))
        receivedAt = now
    }

    func noteReceived(now: Int64) { receivedAt = now }

    var wantsInput: Bool { !isInputOver && (!isHeld || decoder.bufferedBytes < Self.readAheadBytes) }

    /// Half a command, and silence since.
    func isSilent(now: Int64) -> Bool {
        decoder.bufferedBytes > 0 && !isHeld && now - receivedAt > Self.commandMilliseconds
    }
}
