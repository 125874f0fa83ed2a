import BrokerProtocol

/// What clients do when they connect, and in passing.
extension RedisServer {
    func ping(_ call: RedisCall) throws(RESPError) -> RedisReply {
        switch call.count {
        case 1: return .value(.simple("PONG"))
        case 2: return .bulk(call[1])
        default: throw .wrongArity("ping")
        }
    }

    private static let noPassword: RESPError = """
        ERR AUTH <password> called without any password configured for the default user. \
        Are you sure your configuration is correct?
        """

    /// There are no users: who may connect may do everything.
    func auth(_ call: RedisCall) throws(RESPError) -> RedisReply {
        switch call.count {
        case 2: throw Self.noPassword
        case 3: return try login(user: call[1])
        default: throw .syntax
        }
    }

    /// As in Redis without a password, `default` takes any, and there is nobody else.
    private func login(user: [UInt8]) throws(RESPError) -> RedisReply {
        guard user.elementsEqual("default".utf8) else {
            throw "WRONGPASS invalid username-password pair or user is disabled."
        }
        return .ok
    }

    func hello(_ call: RedisCall) throws(RESPError) -> RedisReply {
        var version = call.session.version
        if call.count > 1 {
            guard let number = RESPWords.integer(call[1]) else {
                throw "ERR Protocol version is not an integer or out of range"
            }
            guard let wanted = RESPVersion(rawValue: Int(clamping: number)) else {
                throw "NOPROTO unsupported protocol version"
            }
            version = wanted
        }
        var name: [UInt8]?
        var index = 2
        while index < call.count {
            if call.isWord(index, "auth"), index + 2 < call.count {
                _ = try login(user: call[index + 1])
                index += 3
            } else if call.isWord(index, "setname"), index + 1 < call.count {
                name = try clientName(call[index + 1])
                index += 2
            } else {
                throw RESPError("ERR Syntax error in HELLO option '", call[index], "'")
            }
        }
        if let name { call.session.name = name }
        call.session.version = version
        return .inVersion(
            version,
            .fields([
                .init("server", .bulk("redis")), .init("version", .bulk(Self.redisVersion)),
                .init("proto", .integer(version.rawValue)), .init("id", .integer(call.session.id.rawValue)),
                .init("mode", .bulk("standalone")), .init("role", .bulk("master")), .init("modules", .array([])),
            ]))
    }

    /// The version whose commands and words these are; clients choose what they send by it.
    static let redisVersion = "7.0.15"

    func select(_ call: RedisCall) throws(RESPError) -> RedisReply {
        guard let number = RESPWords.integer(call[1]) else { throw .notAnInteger }
        guard number == 0 else { throw "ERR DB index is out of range" }
        return .ok
    }

    func quit(_ call: RedisCall) -> RedisReply {
        call.session.isEnding = true
        return .ok
    }

    /// Leases of the connection stay: they are no part of its protocol.
    func reset(_ call: RedisCall) -> RedisReply {
        let session = call.session
        session.queue = nil
        session.name = []
        session.version = .two
        return .inVersion(.two, .value(.simple("RESET")))
    }

    func time(_ call: RedisCall) -> RedisReply {
        let milliseconds = call.now.wall.milliseconds
        return .array([.bulk("\(milliseconds / 1_000)"), .bulk("\(milliseconds % 1_000 * 1_000)")])
    }

    /// No replica, and still of use: the answer leaves when everything before it is on disk, as every answer does.
    func wait(_ call: RedisCall) throws(RESPError) -> RedisReply {
        guard RESPWords.integer(call[1]) != nil else { throw .notAnInteger }
        guard let timeout = RESPWords.integer(call[2]) else { throw "ERR timeout is not an integer or out of range" }
        guard timeout >= 0 else { throw "ERR timeout is negative" }
        return .integer(0)
    }

    // MARK: CLIENT

    func client(_ call: RedisCall) throws(RESPError) -> RedisReply {
        let session = call.session
        switch call.subcommand {
        case "id":
            try call.demandCount(2...2)
            return .integer(session.id.rawValue)
        case "info":
            try call.demandCount(2...2)
            return .value(.verbatim(format: "txt", Array((line(session, call.now) + "\n").utf8)))
        case "list": return try clientList(call)
        case "getname":
            try call.demandCount(2...2)
            return session.name.isEmpty ? .null : .bulk(session.name)
        case "setname":
            try call.demandCount(3...3)
            session.name = try clientName(call[2])
            return .ok
        case "setinfo": return try setInfo(call)
        case "kill": return try kill(call)
        case "unblock": return try unblock(call)
        case "reply":
            try call.demandCount(3...3)
            if call.isWord(2, "on") { return .ok }
            guard call.isWord(2, "off") || call.isWord(2, "skip") else { throw .syntax }
            throw "ERR brokerd answers every command: without the answer nobody knows whether a message is on disk"
        case "help":
            return call.help(
                "ID", "INFO", "LIST", "GETNAME", "SETNAME name", "SETINFO LIB-NAME|LIB-VER text",
                "KILL address | option value …", "UNBLOCK id [TIMEOUT|ERROR]", "NO-EVICT ON|OFF", "NO-TOUCH ON|OFF",
                "REPLY ON")
        case "no-evict", "no-touch":
            try call.demandCount(3...3)
            guard call.isWord(2, "on") || call.isWord(2, "off") else { throw .syntax }
            return .ok
        default: throw call.unknownSubcommand
        }
    }

    private func line(_ session: RedisSession, _ now: Now) -> String {
        session.line(
            now: now.monotonic, bufferedBytes: bufferedBytes(session.id), isWaiting: isWaiting(session))
    }

    private func clientName(_ name: [UInt8]) throws(RESPError) -> [UInt8] {
        guard name.allSatisfy({ 33...126 ~= $0 }) else {
            throw "ERR Client names cannot contain spaces, newlines or special characters."
        }
        return name
    }

    private func setInfo(_ call: RedisCall) throws(RESPError) -> RedisReply {
        try call.demandCount(4...4)
        let isName = call.isWord(2, "lib-name")
        guard isName || call.isWord(2, "lib-ver") else { throw RESPError("ERR Unrecognized option '", call[2], "'") }
        guard call[3].allSatisfy({ 33...126 ~= $0 }) else {
            throw RESPError(
                "ERR \(isName ? "lib-name" : "lib-ver") cannot contain spaces, newlines or special characters.")
        }
        if isName { call.session.libraryName = call[3] } else { call.session.libraryVersion = call[3] }
        return .ok
    }

    private static let types = ["normal", "master", "replica", "slave", "pubsub"]

    /// Ends the wait of another connection, as its timeout would, or with an error.
    private func unblock(_ call: RedisCall) throws(RESPError) -> RedisReply {
        try call.demandCount(3...4)
        var isError = false
        if call.count == 4 {
            isError = call.isWord(3, "error")
            guard isError || call.isWord(3, "timeout") else {
                throw "ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR"
            }
        }
        let number = try call.integer(2)
        guard number > 0, let session = state.sessions[SessionID(rawValue: UInt64(number))],
            sessions[session.id] != nil, let waiting = session.pops.keys.min(),
            let pop = state.removePop(waiting, of: session)
        else { return .integer(0) }
        if isError {
            state.emit(.answerRedis(session.id, .error("UNBLOCKED client unblocked via CLIENT UNBLOCK")))
        } else {
            state.timeOut(pop)
        }
        return .integer(1)
    }

    private func clientList(_ call: RedisCall) throws(RESPError) -> RedisReply {
        var shown = sessionsInOrder
        if call.count == 4, call.isWord(2, "type") {
            guard Self.types.contains(where: { call.isWord(3, $0) }) else {
                throw RESPError("ERR Unknown client type '", call[3], "'")
            }
            if !call.isWord(3, "normal") { shown = [] }
        } else if call.count > 3, call.isWord(2, "id") {
            var ids: Set<Int64> = []
            for index in 3..<call.count {
                guard let id = RESPWords.integer(call[index]), id > 0 else { throw "ERR Invalid client ID" }
                ids.insert(id)
            }
            shown = shown.filter { ids.contains(Int64(clamping: $0.id.rawValue)) }
        } else if call.count != 2 {
            throw .syntax
        }
        let lines = shown.map { line($0, call.now) + "\n" }.joined()
        return .value(.verbatim(format: "txt", Array(lines.utf8)))
    }

    private func kill(_ call: RedisCall) throws(RESPError) -> RedisReply {
        try call.demandCount(3...Int.max)
        if call.count == 3 {
            let address = String(decoding: call[2], as: UTF8.self)
            guard let session = sessionsInOrder.first(where: { $0.address == address }) else {
                throw "ERR No such client"
            }
            end(session)
            return .ok
        }
        var doomed = sessionsInOrder
        var skipsMe = true
        guard call.count.isMultiple(of: 2) else { throw .syntax }
        for index in stride(from: 2, to: call.count, by: 2) {
            let value = call[index + 1]
            let text = String(decoding: value, as: UTF8.self)
            if call.isWord(index, "id") {
                guard let id = RESPWords.integer(value), id > 0 else {
                    throw "ERR client-id should be greater than 0"
                }
                doomed.removeAll { $0.id.rawValue != UInt64(id) }
            } else if call.isWord(index, "addr") {
                doomed.removeAll { $0.address != text }
            } else if call.isWord(index, "laddr") {
                doomed.removeAll { $0.localAddress != text }
            } else if call.isWord(index, "user") {
                guard text == "default" else { throw RESPError("ERR No such user '", value, "'") }
            } else if call.isWord(index, "type") {
                guard Self.types.contains(where: { call.isWord(index + 1, $0) }) else {
                    throw RESPError("ERR Unknown client type '", value, "'")
                }
                if !call.isWord(index + 1, "normal") { doomed = [] }
            } else if call.isWord(index, "skipme") {
                guard call.isWord(index + 1, "yes") || call.isWord(index + 1, "no") else { throw .syntax }
                skipsMe = call.isWord(index + 1, "yes")
            } else {
                throw .syntax
            }
        }
        if skipsMe { doomed.removeAll { $0 === call.session } }
        for session in doomed { end(session) }
        return .integer(doomed.count)
    }

    /// Its replies that are on their way leave first; one that waits is answered no more.
    private func end(_ session: RedisSession) {
        session.isEnding = true
        killed.append(session.id)
    }
}
