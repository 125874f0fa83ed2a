import BrokerProtocol

/// One command of a client, found in the table and with the right number of arguments.
struct RedisCall {
    let command: RedisCommand
    /// The name first.
    let arguments: [[UInt8]]
    let session: RedisSession
    let now: Now
    /// Part of a transaction: it never waits.
    var isInTransaction = false

    var count: Int { arguments.count }
    subscript(index: Int) -> [UInt8] { arguments[index] }
    var rest: ArraySlice<[UInt8]> { arguments.dropFirst() }

    func isWord(_ index: Int, _ word: String) -> Bool { RESPWords.isWord(arguments[index], word) }

    func integer(_ index: Int) throws(RESPError) -> Int64 {
        guard let number = RESPWords.integer(arguments[index]) else { throw .notAnInteger }
        return number
    }

    /// A count that Redis wants to be zero or more.
    func positive(_ index: Int) throws(RESPError) -> Int {
        guard let number = RESPWords.integer(arguments[index]), number >= 0 else { throw .notPositive }
        return Int(number)
    }

    /// A text that the log stores.
    func text(_ index: Int, _ what: String) throws(RESPError) -> String {
        guard let text = String(validating: arguments[index], as: UTF8.self) else {
            throw RESPError("ERR \(what) must be UTF-8")
        }
        return text
    }

    /// Seconds of a blocking list command, in milliseconds; 0 for ever.
    func timeout(_ index: Int) throws(RESPError) -> Int64 {
        try RESPWords.timeoutSeconds(arguments[index]).milliseconds
    }

    /// The subcommand in small letters, for errors.
    var subcommand: String { String(decoding: arguments[1].map(RESPWords.lowercased), as: UTF8.self) }

    func demandCount(_ range: ClosedRange<Int>) throws(RESPError) {
        guard range.contains(count) else { throw .wrongArity("\(command.name)|\(subcommand)") }
    }

    var unknownSubcommand: RESPError {
        RESPError("ERR unknown subcommand '", arguments[1].prefix(128), "'. Try \(command.name.uppercased()) HELP.")
    }

    /// The options of a subcommand cannot be read.
    var unknownForm: RESPError {
        RESPError(
            "ERR unknown subcommand or wrong number of arguments for '", arguments[1].prefix(128),
            "'. Try \(command.name.uppercased()) HELP.")
    }

    func help(_ forms: String...) -> RedisReply {
        .array(
            (["\(command.name.uppercased()) <subcommand> [<arg> ...]. Subcommands are:"] + forms + ["HELP"]).map {
                .value(.simple($0))
            })
    }

    /// The names of keys, by the table.
    var keys: [[UInt8]] {
        guard command.keys.first > 0, command.keys.first < count else { return [] }
        let last = command.keys.last < 0 ? count + command.keys.last : command.keys.last
        guard command.keys.first <= last else { return [] }
        return stride(from: command.keys.first, through: min(last, count - 1), by: command.keys.step).map {
            arguments[$0]
        }
    }
}

extension Duration {
    var milliseconds: Int64 { components.seconds * 1_000 + components.attoseconds / 1_000_000_000_000_000 }
}
