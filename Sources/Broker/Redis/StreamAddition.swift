import BrokerProtocol

/// How a stream is to be cut, from the arguments of `XADD` and `XTRIM`.
struct StreamTrim {
    enum Rule {
        /// This many entries stay.
        case count(Int)
        /// Entries from this id on stay.
        case from(EntryID)
    }

    private(set) var rule: Rule?
    /// At most so many are deleted at once.
    private(set) var limit: Int?
    private var isApproximate = false

    /// Reads one option.
    /// - Returns: The index behind it; nil when it is none of these.
    mutating func read(_ call: RedisCall, at index: Int) throws(RESPError) -> Int? {
        guard index + 1 < call.count else { return nil }
        if call.isWord(index, "limit") {
            guard let number = RESPWords.integer(call[index + 1]) else { throw .notAnInteger }
            guard number >= 0 else { throw "ERR The LIMIT argument must be >= 0." }
            limit = Int(number)
            return index + 2
        }
        let isCount = call.isWord(index, "maxlen")
        guard isCount || call.isWord(index, "minid") else { return nil }
        if rule != nil { throw "ERR syntax error, MAXLEN and MINID options at the same time are not compatible" }
        var at = index + 1
        if call[at] == [UInt8(ascii: "~")] || call[at] == [UInt8(ascii: "=")], at + 1 < call.count {
            isApproximate = call[at] == [UInt8(ascii: "~")]
            at += 1
        }
        if isCount {
            guard let number = RESPWords.integer(call[at]) else { throw .notAnInteger }
            guard number >= 0 else { throw "ERR The MAXLEN argument must be >= 0." }
            rule = .count(Int(number))
        } else {
            guard let id = EntryID(call[at]) else { throw .invalidStreamID }
            rule = .from(id)
        }
        return at + 1
    }

    /// What can only be judged when all options are known.
    func check() throws(RESPError) {
        guard limit != nil else { return }
        if rule == nil {
            throw "ERR syntax error, LIMIT cannot be used without specifying a trimming strategy"
        }
        if !isApproximate { throw "ERR syntax error, LIMIT cannot be used without the special ~ option" }
    }
}

/// The arguments of `XADD key [NOMKSTREAM] [IDMP producer id] [MAXLEN|MINID [=|~] n [LIMIT n]] * field value …`.
struct StreamAddition {
    let message: OutgoingMessage
    let trim: StreamTrim
    let makesStream: Bool

    init(_ call: RedisCall, _ server: RedisServer) throws(RESPError) {
        var trim = StreamTrim()
        var makesStream = true
        var dedupID: String?
        var index = 2
        while index < call.count, call[index] != [UInt8(ascii: "*")] {
            if call.isWord(index, "nomkstream") {
                makesStream = false
                index += 1
            } else if call.isWord(index, "idmp"), index + 2 < call.count {
                let producer = try call.text(index + 1, "the producer of IDMP")
                dedupID = "\(producer.utf8.count):\(producer):" + (try call.text(index + 2, "the id of IDMP"))
                index += 3
            } else if call.isWord(index, "idmpauto") {
                throw "ERR IDMPAUTO is not supported: brokerd does not compare bodies; send IDMP with an id"
            } else if let next = try trim.read(call, at: index) {
                index = next
            } else {
                guard EntryID(call[index]) != nil || call[index].last == UInt8(ascii: "*") else {
                    throw .invalidStreamID
                }
                if EntryID(call[index]) == .first { throw "ERR The ID specified in XADD must be greater than 0-0" }
                throw "ERR The ID of an entry must be *: brokerd numbers messages itself"
            }
        }
        try trim.check()
        let fields = call.arguments[min(index + 1, call.count)...]
        guard !fields.isEmpty, fields.count.isMultiple(of: 2) else { throw .wrongArity("xadd") }
        let (body, headers) = RedisFields.message(fields, headersBytesMax: server.state.limits.headersBytesMax)
        message = OutgoingMessage(
            topic: try Self.stream(call[1], server), body: body, headers: headers, dedupID: dedupID)
        self.trim = trim
        self.makesStream = makesStream
    }

    /// Whether the command may delete entries, as far as can be said without reading it whole.
    static func trims(_ call: RedisCall) -> Bool {
        call.arguments.prefix { $0 != [UInt8(ascii: "*")] }.contains {
            RESPWords.isWord($0, "maxlen") || RESPWords.isWord($0, "minid")
        }
    }

    private static func stream(_ key: [UInt8], _ server: RedisServer) throws(RESPError) -> TopicName {
        guard let name = try server.streamName(key) else { return try server.topicName(key) }
        return name
    }
}
