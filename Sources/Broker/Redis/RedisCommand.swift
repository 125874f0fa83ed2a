import BrokerProtocol

/// One row of the command table: how a command is called, and what it does.
struct RedisCommand: Sendable {
    /// Throws ``RESPError`` alone; a closure's typed throws would have to be spelled out in each row.
    typealias Run = @Sendable (RedisServer, RedisCall) throws -> RedisReply?

    /// How much a command can write into the log.
    enum Weight: Sendable {
        case nothing
        /// Its arguments are messages.
        case messages
        /// As many small facts as it names, or as a key has messages.
        case facts
        /// A message of the log is written again.
        case copy
    }

    struct Keys: Sendable {
        let first: Int
        let last: Int
        let step: Int
        static let none = Keys(first: 0, last: 0, step: 0)
        static let one = Keys(first: 1, last: 1, step: 1)
        static let two = Keys(first: 1, last: 2, step: 1)
        static let all = Keys(first: 1, last: -1, step: 1)
        static let allButLast = Keys(first: 1, last: -2, step: 1)
    }

    /// In small letters.
    let name: String
    /// With the name; negative: at least so many.
    let arity: Int
    let flags: [String]
    let keys: Keys
    let group: String
    let summary: String
    let weight: Weight
    let run: Run

    func accepts(_ count: Int) -> Bool { arity >= 0 ? count == arity : count >= -arity }

    var isWrite: Bool { flags.contains("write") }
    /// Its reply may be long.
    var isRead: Bool {
        weight == .nothing
            || ["lpop", "rpop", "blpop", "brpop", "btake", "xreadgroup", "xclaim", "xautoclaim"].contains(name)
    }
    /// Runs at once inside `MULTI`.
    var isNeverQueued: Bool { ["exec", "discard", "multi", "watch", "quit", "reset"].contains(name) }

    init(
        _ name: String, _ arity: Int, _ flags: String, _ keys: Keys, _ group: String, _ summary: String,
        _ weight: Weight = .nothing, _ run: @escaping Run
    ) {
        self.name = name
        self.arity = arity
        self.flags = flags.split(separator: " ").map(String.init)
        self.keys = keys
        self.group = group
        self.summary = summary
        self.weight = weight
        self.run = run
    }

    /// All of them, by name.
    static let all = (connection + lists + generic + streams + settles + transactions).sorted { $0.name < $1.name }

    private static let byName = Dictionary(uniqueKeysWithValues: all.map { (Array($0.name.utf8), $0) })

    static func named(_ name: [UInt8]) -> RedisCommand? { byName[name.map(RESPWords.lowercased)] }

    /// One element of the reply to `COMMAND`.
    var description: RedisReply {
        .value(
            .array([
                .bulk(name), .integer(Int64(arity)), .set(flags.map { .simple($0) }), .integer(Int64(keys.first)),
                .integer(Int64(keys.last)), .integer(Int64(keys.step)),
                .set([.simple("@\(group)"), .simple(isWrite ? "@write" : "@read")]), .array([]), .array([]),
                .array([]),
            ]))
    }

    /// What `COMMAND DOCS` says of it.
    var documentation: RedisReply {
        .value(
            .fields([
                "summary": .bulk(summary), "since": .bulk("1.0.0"), "group": .bulk(group), "complexity": .bulk("O(N)"),
            ]))
    }
}
