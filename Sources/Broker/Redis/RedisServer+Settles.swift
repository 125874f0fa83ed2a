import BrokerProtocol

/// Commands that Redis does not have: leases and verdicts on the list model, and publishes with options.
extension RedisServer {
    // MARK: BTAKE

    /// `BTAKE topic… timeout [LEASE ms] [COUNT n]`: read from its end, since a topic may have any name.
    func take(_ call: RedisCall) throws(RESPError) -> RedisReply? {
        var end = call.count
        var lease: Int64?
        var count = 1
        while end >= 5 {
            if call.isWord(end - 2, "lease") {
                let milliseconds = try call.integer(end - 1)
                guard (100...Lease.millisecondsMax).contains(milliseconds) else {
                    throw RESPError("ERR SETTING_INVALID: a lease is 100 ms to 12 h, not \(milliseconds) ms")
                }
                lease = milliseconds
            } else if call.isWord(end - 2, "count") {
                let number = try call.integer(end - 1)
                guard number >= 1 else { throw .notPositive }
                count = Int(number)
            } else {
                break
            }
            end -= 2
        }
        let timeout = try call.timeout(end - 1)
        let keys = Array(call.arguments[1..<end - 1])
        let subscriptions = try sources(keys)
        return try waitFor(
            .take(keys: keys, leaseMilliseconds: lease, count: count), of: subscriptions,
            timeoutMilliseconds: timeout, call)
    }

    // MARK: Verdicts

    private func token(_ argument: [UInt8]) throws(RESPError) -> LeaseID {
        guard let number = RESPWords.integer(argument), number > 0 else {
            throw "ERR a token is the number that BTAKE gave"
        }
        return LeaseID(rawValue: UInt64(number))
    }

    /// The leases that a command settles; for what must be known before a transaction begins.
    func leases(of call: RedisCall) throws(RESPError) -> [LeaseID] {
        switch call.command.name {
        case "ack":
            var tokens: [LeaseID] = []
            for argument in call.rest { tokens.append(try token(argument)) }
            return tokens
        case "fail", "release", "reject": return [try token(call[1])]
        default: return []
        }
    }

    private func settle(_ settlements: [Settlement], _ call: RedisCall) -> RedisReply {
        let results = state.settle(settlements, session: call.session.id, now: call.now)
        let replies = results.map { $0.map { RedisReply.error(RESPError($0)) } ?? .ok }
        return replies.count == 1 ? replies[0] : .array(replies)
    }

    /// One token: `OK` or an error. Several: an array of those, in one record.
    func acknowledge(_ call: RedisCall) throws(RESPError) -> RedisReply {
        settle(try leases(of: call).map { Settlement($0, .ack) }, call)
    }

    /// `FAIL token [error] [AFTER ms]`.
    func fail(_ call: RedisCall) throws(RESPError) -> RedisReply {
        let (end, after) = try after(call)
        guard end <= 3 else { throw .syntax }
        let error = end == 3 ? try call.text(2, "an error") : "failed"
        return settle([Settlement(try token(call[1]), .fail(error: error, afterMilliseconds: after))], call)
    }

    /// `RELEASE token [AFTER ms]`.
    func release(_ call: RedisCall) throws(RESPError) -> RedisReply {
        let (end, after) = try after(call)
        guard end == 2 else { throw .syntax }
        return settle([Settlement(try token(call[1]), .release(afterMilliseconds: after))], call)
    }

    func reject(_ call: RedisCall) throws(RESPError) -> RedisReply {
        settle([Settlement(try token(call[1]), .reject(reason: try call.text(2, "a reason")))], call)
    }

    /// The option at the end, and where it begins.
    private func after(_ call: RedisCall) throws(RESPError) -> (end: Int, milliseconds: Int64?) {
        guard call.count >= 4, call.isWord(call.count - 2, "after") else { return (call.count, nil) }
        let milliseconds = try call.integer(call.count - 1)
        guard milliseconds >= 0 else { throw .notPositive }
        return (call.count - 2, milliseconds)
    }

    func extend(_ call: RedisCall) throws(RESPError) -> RedisReply {
        let (token, milliseconds) = (try token(call[1]), try call.integer(2))
        let results = state.extend([token], milliseconds: milliseconds, session: call.session.id, now: call.now)
        if case let error?? = results.first { throw RESPError(error) }
        return .ok
    }

    // MARK: PUBLISHX

    /// `[id, 1 when it is a duplicate]`.
    func publish(_ call: RedisCall) throws(RESPError) -> RedisReply {
        let message = try outgoing(call)
        let receipts = try publish([message], call)
        guard let receipt = receipts.first else { return .null }
        return .array([.bulk("\(receipt.id)"), .integer(receipt.isDuplicate ? 1 : 0)])
    }

    /// `PUBLISHX topic body [KEY k] [DELAY ms] [PRIORITY n] [DEDUP id] [EXPIRE ms] [HEADER k v]…`.
    func outgoing(_ call: RedisCall) throws(RESPError) -> OutgoingMessage {
        var message = OutgoingMessage(topic: try topicName(call[1]), body: call[2])
        var index = 3
        func span() throws(RESPError) -> WallTime {
            let milliseconds = try call.integer(index + 1)
            guard milliseconds >= 0 else { throw .notPositive }
            return call.now.wall.adding(milliseconds: milliseconds)
        }
        while index < call.count {
            guard index + 1 < call.count else { throw .syntax }
            if call.isWord(index, "header") {
                guard index + 2 < call.count else { throw .syntax }
                let header = Header(try call.text(index + 1, "a header"), try call.text(index + 2, "a header"))
                guard max(header.key.utf8.count, header.value.utf8.count) <= Int(UInt16.max) else {
                    throw "ERR HEADERS_TOO_LARGE: a header's key and value have at most 65535 bytes each"
                }
                message.headers.append(header)
                index += 3
                continue
            }
            if call.isWord(index, "key") {
                message.orderingKey = try call.text(index + 1, "an ordering key")
            } else if call.isWord(index, "delay") {
                message.deliverAt = try span()
            } else if call.isWord(index, "expire") {
                message.expiresAt = try span()
            } else if call.isWord(index, "priority") {
                guard let priority = UInt8(exactly: try call.integer(index + 1)), priority <= 9 else {
                    throw "ERR SETTING_INVALID: a priority is 0 to 9"
                }
                message.priority = priority
            } else if call.isWord(index, "dedup") {
                message.dedupID = try call.text(index + 1, "a dedup id")
            } else {
                throw .syntax
            }
            index += 2
        }
        return message
    }
}
