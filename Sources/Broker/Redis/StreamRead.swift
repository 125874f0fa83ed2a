import BrokerProtocol

/// The arguments of `XREAD` and `XREADGROUP`.
struct StreamRead {
    struct Group {
        let name: [UInt8]
        let consumer: [UInt8]
        var acknowledges = false
    }

    enum Start {
        /// `$`: what comes from now on.
        case newest
        /// `>`: what the group has not delivered.
        case undelivered
        case after(EntryID)
    }

    private(set) var group: Group?
    private(set) var count: Int?
    /// Nil: does not wait. 0: for ever.
    private(set) var blockMilliseconds: Int64?
    let keys: [[UInt8]]
    let ids: [Start]

    /// The keys alone, for `COMMAND GETKEYS` and for transactions.
    static func keys(of call: RedisCall) throws(RESPError) -> [[UInt8]] {
        guard let index = call.arguments.firstIndex(where: { RESPWords.isWord($0, "streams") }) else { throw .syntax }
        let rest = call.arguments[(index + 1)...]
        guard rest.count.isMultiple(of: 2) else { throw .syntax }
        return Array(rest.prefix(rest.count / 2))
    }

    init(_ call: RedisCall) throws(RESPError) {
        let isGroup = call.command.name == "xreadgroup"
        var noAck = false
        var rest: ArraySlice<[UInt8]> = []
        var index = 1
        while index < call.count {
            let more = call.count - index - 1
            if call.isWord(index, "block"), more >= 1 {
                blockMilliseconds = try RESPWords.timeoutMilliseconds(call[index + 1]).milliseconds
                index += 2
            } else if call.isWord(index, "count"), more >= 1 {
                let number = try call.integer(index + 1)
                count = number <= 0 ? nil : Int(number)
                index += 2
            } else if call.isWord(index, "streams"), more >= 1 {
                rest = call.arguments[(index + 1)...]
                guard rest.count.isMultiple(of: 2) else { throw Self.unbalanced }
                break
            } else if call.isWord(index, "group"), more >= 2 {
                if !isGroup {
                    throw "ERR The GROUP option is only supported by XREADGROUP. You called XREAD instead."
                }
                group = Group(name: call[index + 1], consumer: call[index + 2])
                index += 3
            } else if call.isWord(index, "noack") {
                if !isGroup {
                    throw "ERR The NOACK option is only supported by XREADGROUP. You called XREAD instead."
                }
                noAck = true
                index += 1
            } else {
                throw .syntax
            }
        }
        if rest.isEmpty { throw .syntax }
        guard rest.count <= 2 * Self.streamsMax else {
            throw RESPError("ERR BATCH_TOO_LARGE: a read names 1 to \(Self.streamsMax) streams")
        }
        if isGroup && group == nil { throw "ERR Missing GROUP option for XREADGROUP" }
        group?.acknowledges = noAck
        keys = Array(rest.prefix(rest.count / 2))
        var ids: [Start] = []
        for argument in rest.suffix(rest.count / 2) { ids.append(try Self.start(argument, isGroup: isGroup)) }
        self.ids = ids
    }

    /// While a reader waits, each publish looks at all of its streams.
    private static let streamsMax = 100

    /// Redis says XREAD for both commands.
    private static let unbalanced: RESPError = """
        ERR Unbalanced XREAD list of streams: for each stream key an ID or '$' must be specified.
        """

    private static func start(_ argument: [UInt8], isGroup: Bool) throws(RESPError) -> Start {
        if argument == [UInt8(ascii: "$")] {
            if isGroup {
                throw """
                ERR The $ ID is meaningless in the context of XREADGROUP: you want to read the history of this \
                consumer by specifying a proper ID, or use the > ID to get new messages. The $ ID would just return \
                an empty result set.
                """
            }
            return .newest
        }
        if argument == [UInt8(ascii: ">")] {
            if !isGroup {
                throw """
                ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> <consumer> option.
                """
            }
            return .undelivered
        }
        guard let id = EntryID(argument) else { throw .invalidStreamID }
        return .after(id)
    }
}
