import BrokerProtocol

/// `MULTI` … `EXEC`: what the queued commands publish, pop and settle is one record of the log.
extension RedisServer {
    func multi(_ call: RedisCall) throws(RESPError) -> RedisReply {
        guard call.session.queue == nil else { throw "ERR MULTI calls can not be nested" }
        call.session.queue = RedisSession.Queue()
        return .ok
    }

    func discard(_ call: RedisCall) throws(RESPError) -> RedisReply {
        guard call.session.queue != nil else { throw "ERR DISCARD without MULTI" }
        call.session.queue = nil
        return .ok
    }

    /// Optimistic locking needs to know of every change of a key between two commands; a queue's keys always change.
    func watch(_ call: RedisCall) throws(RESPError) -> RedisReply {
        if call.session.queue != nil { throw "ERR WATCH inside MULTI is not allowed" }
        throw "ERR WATCH is not supported: brokerd has no optimistic locking; BTAKE leases a message to one client"
    }

    func enqueue(_ call: RedisCall, _ bytes: Int) throws(RESPError) {
        var call = call
        call.isInTransaction = true
        let bytes = (call.session.queue?.bytes ?? 0) + bytes
        guard bytes <= configuration.frameBytesMax else {
            call.session.queue?.isBroken = true
            throw RESPError(
                "ERR a transaction has at most \(configuration.frameBytesMax) bytes of commands, the limit frame_max")
        }
        call.session.queue?.bytes = bytes
        call.session.queue?.calls.append(call)
    }

    func exec(_ call: RedisCall) throws(RESPError) -> RedisReply {
        guard let queue = call.session.queue else { throw "ERR EXEC without MULTI" }
        call.session.queue = nil
        if queue.isBroken { throw "EXECABORT Transaction discarded because of previous errors." }
        // Queued earlier, run now.
        let calls = queue.calls.map {
            RedisCall(
                command: $0.command, arguments: $0.arguments, session: $0.session, now: call.now, isInTransaction: true)
        }
        do throws(RESPError) {
            try demandAll(of: calls)
            try begin(calls)
        } catch {
            throw RESPError("EXECABORT Transaction discarded because of: ", error.bytes)
        }
        let replies = runAll(calls)
        state.endTransaction()
        // HELLO inside: what follows, itself included, is in its version.
        for case .inVersion(let version, _) in replies.reversed() { return .inVersion(version, .array(replies)) }
        return .array(replies)
    }

    /// All replies together are one: what is read when they are too long already is refused, alone.
    private func runAll(_ calls: [RedisCall]) -> [RedisReply] {
        let bytesMax = state.limits.replyBytesMax
        defer { state.limits.replyBytesMax = bytesMax }
        var bytes = 0
        var replies: [RedisReply] = []
        for call in calls {
            do throws(RESPError) {
                if bytes >= bytesMax, call.command.isRead { throw replyTooLarge }
                state.limits.replyBytesMax = max(1, bytesMax - bytes)
                let reply = try run(call) ?? .null
                bytes += reply.messageBytes
                replies.append(reply)
            } catch {
                replies.append(.error(error))
            }
        }
        return replies
    }

    private func begin(_ calls: [RedisCall]) throws(RESPError) {
        let messageCount = calls.reduce(0) { $0 + ($1.command.weight == .messages ? $1.count : 0) }
        let copies = calls.filter { $0.command.weight == .copy }
        let bytes =
            calls.reduce(0) { $0 + logBytes(of: $1, publishes: messageCount) } + copies.count * copyBytes(copies, calls)
        let publishes = calls.contains { $0.command.weight == .messages || $0.command.weight == .copy }
        try brokered { () throws(BrokerError) in try state.beginTransaction(bytesMax: bytes, publishes: publishes) }
    }

    /// More than the facts of a command take in the log.
    private func logBytes(of call: RedisCall, publishes: Int) -> Int {
        let argumentBytes = call.arguments.reduce(0) { $0 + $1.count + 128 }
        // A definition of a topic or subscription comes with its first use.
        let base = (2_048 + state.patterns.memberBytes) * (1 + call.keys.count)
        switch call.command.weight {
        case .nothing: return 0
        case .messages: return base + argumentBytes + factBytes(call, publishes)
        case .copy: return base
        case .facts: return base + argumentBytes + factBytes(call, publishes)
        }
    }

    /// The largest message that a move can meet: one of the first of its sources, or one of this transaction.
    private func copyBytes(_ copies: [RedisCall], _ calls: [RedisCall]) -> Int {
        var largest = calls.reduce(0) {
            $0 + ($1.command.weight == .messages ? $1.arguments.reduce(0) { $0 + $1.count } : 0)
        }
        for call in copies {
            guard let source = list(call[1]) else { continue }
            let first = state.list(source, 0..<min(copies.count, state.listCount(source)))
            largest = max(largest, first.reduce(0) { max($0, Int(state.messages[$1]?.bytes ?? 0)) })
        }
        return largest + state.limits.headersBytesMax + 512
    }

    /// Facts about messages that lie in the command's keys already, or come there in the transaction.
    private func factBytes(_ call: RedisCall, _ publishes: Int) -> Int {
        let isSettle = ["ack", "fail", "release", "reject"].contains(call.command.name)
        if isSettle { return 1_200 * call.count }
        if call.command.name == "publishx" { return 0 }
        var keys = call.keys
        if call.command.name == "xreadgroup" { keys = (try? StreamRead.keys(of: call)) ?? [] }
        let held = keys.reduce(0) { count, key in
            count
                + (name(key).flatMap { state.topicsByName[$0.topic] }.map { $0.messageCount * $0.subscriptions.count }
                    ?? 0)
        }
        // Only these take one message when they say nothing else.
        let takesOne = ["lpop", "rpop"].contains(call.command.name) && call.count == 2
        let takesFew = takesOne || ["blpop", "brpop", "lpush", "rpush", "lpushx", "rpushx"].contains(call.command.name)
        if takesFew { return 128 }
        if call.command.name == "xadd", !StreamAddition.trims(call) { return 128 }
        return 64 * (held + publishes) + 128
    }

    /// All or nothing: a lost lease or a publish that would be refused discards the transaction before it begins.
    private func demandAll(of calls: [RedisCall]) throws(RESPError) {
        var tokens: Set<LeaseID> = []
        var counts: [TopicName: Int] = [:]
        var bytes: [TopicName: Int] = [:]
        for call in calls {
            for token in try leases(of: call) {
                guard tokens.insert(token).inserted else {
                    throw RESPError("LEASE_LOST lease \(token) is settled twice in one transaction")
                }
                let session = call.session.id
                try brokered { () throws(BrokerError) in _ = try state.lease(token, of: session, now: call.now) }
            }
            for message in try messages(of: call) {
                counts[message.topic, default: 0] += 1
                bytes[message.topic, default: 0] += message.contentBytes
                try brokered { () throws(BrokerError) in _ = try state.check(message) }
            }
            if call.command.weight == .copy {
                let topic = try topicName(call[2])
                counts[topic, default: 0] += 1
                bytes[topic, default: 0] += state.limits.bodyBytesMax + state.limits.headersBytesMax
            }
        }
        if counts.isEmpty { return }
        try demandRunning()
        let new = counts.keys.count { state.topicsByName[$0] == nil }
        guard state.topics.count + new <= state.limits.topicsMax else {
            throw RESPError(
                BrokerError(
                    .topicLimit, "there are \(state.topics.count) topics, the limit is \(state.limits.topicsMax)"))
        }
        // Whatever the topic's overflow says: what would have to go is known only when the commands before are done.
        for (name, count) in counts.sorted(by: { $0.key < $1.key }) {
            let topic = state.topicsByName[name]
            let settings = topic?.settings ?? state.limits.defaults
            guard settings.messagesMax == 0 || (topic?.openCount ?? 0) + count <= settings.messagesMax else {
                let text = "\(name) would hold more than \(settings.messagesMax) open messages, its messages_max"
                throw RESPError(BrokerError(.topicFull, text))
            }
            guard settings.bytesMax == 0 || (topic?.openBytes ?? 0) + UInt64(bytes[name] ?? 0) <= settings.bytesMax
            else {
                let text = "\(name) might hold more than \(settings.bytesMax) bytes of open messages, its bytes_max"
                throw RESPError(BrokerError(.topicFull, text))
            }
        }
    }
}
