import BrokerProtocol

/// What the broker knows of one Redis connection.
final class RedisSession {
    let id: SessionID
    /// `HOST:PORT`, or `PATH:0` for a Unix socket.
    let address: String
    let localAddress: String
    /// On the monotonic clock.
    let openedAt: Int64
    var usedAt: Int64
    /// As the client chose it; replies on their way may still be in the other one.
    var version = RESPVersion.two
    var name: [UInt8] = []
    var libraryName: [UInt8] = []
    var libraryVersion: [UInt8] = []
    /// The last command, with its subcommand.
    var lastCommand = "NULL"
    var queue: Queue?
    /// No command is read any more.
    var isEnding = false
    /// Commands whose reply has not been given out, and the bytes of the messages in those replies.
    private(set) var unansweredCount = 0
    private(set) var unansweredBytes = 0

    /// The commands of a transaction until `EXEC`.
    struct Queue {
        var calls: [RedisCall] = []
        var bytes = 0
        /// A command could not be queued: `EXEC` refuses all of it.
        var isBroken = false
    }

    init(id: SessionID, address: String, localAddress: String, now: Int64) {
        self.id = id
        self.address = address
        self.localAddress = localAddress
        openedAt = now
        usedAt = now
    }

    func noteAsked(bytes: Int = 0) {
        unansweredCount += 1
        unansweredBytes += bytes
    }

    func noteAnswered(bytes: Int) {
        unansweredCount -= 1
        // A reply that came later than its command brings its bytes with itself.
        unansweredBytes = max(0, unansweredBytes - bytes)
    }

    /// A line of `CLIENT LIST`.
    func line(now: Int64, bufferedBytes: Int, isWaiting: Bool) -> String {
        let flags = isWaiting ? "b" : (queue == nil ? "N" : "x")
        return "id=\(id.rawValue) addr=\(address) laddr=\(localAddress) fd=-1 "
            + "name=\(String(decoding: name, as: UTF8.self)) age=\((now - openedAt) / 1_000) "
            + "idle=\((now - usedAt) / 1_000) flags=\(flags) db=0 sub=0 psub=0 ssub=0 "
            + "multi=\(queue?.calls.count ?? -1) qbuf=\(bufferedBytes) qbuf-free=0 argv-mem=0 "
            + "multi-mem=\(queue?.bytes ?? 0) rbs=0 rbp=0 obl=0 oll=0 omem=0 tot-mem=0 events=r cmd=\(lastCommand) "
            + "user=default redir=-1 resp=\(version.rawValue) lib-name=\(String(decoding: libraryName, as: UTF8.self)) "
            + "lib-ver=\(String(decoding: libraryVersion, as: UTF8.self))"
    }
}
