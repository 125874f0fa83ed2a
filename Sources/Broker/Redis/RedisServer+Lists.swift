import BrokerProtocol

/// Lists: a key is a topic, what waits in one of its subscriptions is the list, a push is a publish and a pop an
/// acknowledgement.
extension RedisServer {
    // MARK: Pushes

    func push(_ call: RedisCall, _ view: ListView) throws(RESPError) -> RedisReply {
        let topic = try topicName(call[1])
        try publish(messages(of: call), call)
        state.topicsByName[topic]?.view = view
        return .integer(list(call[1]).map(state.listCount) ?? 0)
    }

    func pushToExisting(_ call: RedisCall, _ view: ListView) throws(RESPError) -> RedisReply {
        guard let subscription = list(call[1]), state.listCount(subscription) > 0 else { return .integer(0) }
        return try push(call, view)
    }

    /// All messages in one record, durable before the answer.
    @discardableResult
    func publish(_ messages: [OutgoingMessage], _ call: RedisCall) throws(RESPError) -> [PublishReceipt] {
        try demandRunning()
        let session = call.session.id
        let receipts = try brokered { () throws(BrokerError) in
            try state.commit(publishes: messages, settlements: [], session: session, now: call.now)
        }
        for message in messages { notePublished(to: message.topic) }
        return receipts
    }

    /// What a command publishes; nothing for one that does not.
    func messages(of call: RedisCall) throws(RESPError) -> [OutgoingMessage] {
        switch call.command.name {
        case "lpush", "rpush", "lpushx", "rpushx":
            let topic = try topicName(call[1])
            return call.arguments[2...].map { OutgoingMessage(topic: topic, body: $0) }
        case "xadd": return [try StreamAddition(call, self).message]
        case "publishx": return [try outgoing(call)]
        default: return []
        }
    }

    // MARK: Pops

    func pop(_ call: RedisCall) throws(RESPError) -> RedisReply {
        guard call.count <= 3 else { throw .wrongArity(call.command.name) }
        let count = call.count == 3 ? try call.positive(2) : nil
        try demandRunning()
        let isMissing = name(call[1]).map { state.topicsByName[$0.topic] == nil } ?? true
        if isMissing || list(call[1]).map({ state.listCount($0) == 0 }) ?? true {
            return count == nil ? .null : .value(.nullArray)
        }
        let subscription = try source(call[1])
        guard let count else { return popFirst(of: subscription, call).map { .body($0) } ?? .null }
        var bodies: [RedisReply] = []
        var bytes = 0
        while bodies.count < count, bytes < state.limits.replyBytesMax,
            let notice = popFirst(of: subscription, call)
        {
            bytes += Int(notice.bytes)
            bodies.append(.body(notice))
        }
        return bodies.isEmpty && count > 0 ? .value(.nullArray) : .array(bodies)
    }

    private func popFirst(of subscription: Subscription, _ call: RedisCall) -> Notice? {
        guard mayTake(from: subscription, call), let session = state.sessions[call.session.id] else { return nil }
        return state.take(from: subscription, session, nil, acknowledges: true, now: call.now)
    }

    func blockingPop(_ call: RedisCall) throws(RESPError) -> RedisReply? {
        let timeout = try call.timeout(call.count - 1)
        let keys = call.keys
        let subscriptions = try sources(keys)
        return try waitFor(.pop(keys: keys), of: subscriptions, timeoutMilliseconds: timeout, call)
    }

    func sources(_ keys: [[UInt8]]) throws(RESPError) -> [Subscription] {
        guard keys.count <= 100 else { throw "ERR BATCH_TOO_LARGE: a pop names 1 to 100 keys" }
        var subscriptions: [Subscription] = []
        for key in keys { subscriptions.append(try source(key)) }
        return subscriptions
    }

    // MARK: Moves

    /// The end that an `LMOVE` names for its destination; both ends are the same place.
    func moveView(_ call: RedisCall) throws(RESPError) -> ListView {
        for index in 3...4 where !call.isWord(index, "left") && !call.isWord(index, "right") { throw .syntax }
        return call.isWord(4, "left") ? .newestFirst : .oldestFirst
    }

    func move(_ call: RedisCall, view: ListView) throws(RESPError) -> RedisReply {
        try demandRunning()
        let destination = try topicName(call[2])
        guard let subscription = list(call[1]), state.listCount(subscription) > 0 else { return .null }
        let source = try source(call[1])
        guard mayTake(from: source, call),
            let reply = state.moveFirst(of: source, to: destination, view: view, now: call.now)
        else { return .null }
        notePublished(to: destination)
        return reply
    }

    func blockingMove(_ call: RedisCall, view: ListView, timeout index: Int) throws(RESPError) -> RedisReply? {
        let timeout = try call.timeout(index)
        let destination = try topicName(call[2])
        let source = try source(call[1])
        let reply = try waitFor(
            .move(to: destination, view: view), of: [source], timeoutMilliseconds: timeout, call)
        notePublished(to: destination)
        return reply
    }

    // MARK: Looks

    func length(_ call: RedisCall) -> RedisReply { .integer(list(call[1]).map(state.listCount) ?? 0) }

    func range(_ call: RedisCall) throws(RESPError) -> RedisReply {
        let (start, stop) = (try call.integer(2), try call.integer(3))
        guard let subscription = list(call[1]) else { return .array([]) }
        let count = state.listCount(subscription)
        let ids = list(subscription, Self.indices(start, stop, count))
        var bodies: [RedisReply] = []
        var bytes = 0
        for id in ids {
            guard let notice = state.notice(of: id) else { continue }
            bytes += Int(notice.bytes)
            if bytes > state.limits.replyBytesMax { throw replyTooLarge }
            bodies.append(.body(notice))
        }
        return .array(bodies)
    }

    var replyTooLarge: RESPError {
        RESPError("ERR the reply has more than \(state.limits.replyBytesMax) bytes, the limit output_max; ask for less")
    }

    func index(_ call: RedisCall) throws(RESPError) -> RedisReply {
        let index = try call.integer(2)
        guard let subscription = list(call[1]),
            let id = list(subscription, Self.indices(index, index, state.listCount(subscription))).first,
            let notice = state.notice(of: id)
        else { return .null }
        return .body(notice)
    }

    /// The indices of a range that may count from the end, by Redis's rules.
    private static func indices(_ start: Int64, _ stop: Int64, _ count: Int) -> Range<Int> {
        let first = max(start < 0 ? start + Int64(count) : start, 0)
        let last = min(stop < 0 ? stop + Int64(count) : stop, Int64(count) - 1)
        return first <= last ? Int(first)..<Int(last) + 1 : 0..<0
    }

    /// The messages at these indices as the client counts them.
    private func list(_ subscription: Subscription, _ range: Range<Int>) -> [MessageID] {
        if range.isEmpty { return [] }
        guard subscription.topic.view == .newestFirst else { return state.list(subscription, range) }
        let count = state.listCount(subscription)
        return state.list(subscription, count - range.upperBound..<count - range.lowerBound).reversed()
    }

    // MARK: Removals

    /// What is to be dropped from: never a guess among several subscriptions.
    private func ownList(_ key: [UInt8]) throws(RESPError) -> Subscription? {
        guard let name = name(key), let topic = state.topicsByName[name.topic] else { return nil }
        if let subscription = topic.subscriptions.first(where: { $0.name.name == name.name }) { return subscription }
        if key.contains(UInt8(ascii: "@")) { return nil }
        let names = topic.subscriptions.map { "\(topic.name)@\($0.name.name)" }.joined(separator: ", ")
        throw RESPError("ERR '\(topic.name)' has no subscription 'default'; say which one is meant: \(names)")
    }

    /// Messages that one `LREM` looks at.
    private static let removalLooksMax = 100_000

    func remove(_ call: RedisCall) throws(RESPError) -> RedisReply {
        let wanted = try call.integer(2)
        guard let subscription = try ownList(call[1]) else { return .integer(0) }
        let count = state.listCount(subscription)
        guard count <= Self.removalLooksMax else {
            throw RESPError("ERR LREM looks at \(Self.removalLooksMax) messages at most, \(count) wait here")
        }
        var ids = list(subscription, 0..<count)
        if wanted < 0 { ids.reverse() }
        let limit = wanted == 0 ? Int.max : Int(clamping: wanted.magnitude)
        let body = call[3]
        let found = try brokered { () throws(BrokerError) in
            var found: [MessageID] = []
            for id in ids where found.count < limit {
                // What is shorter, headers included, is not read.
                guard let entry = state.messages[id], Int(entry.contentBytes) >= body.count,
                    try state.message(at: entry.address).body == body
                else { continue }
                found.append(id)
            }
            return found
        }
        let dropped = try brokered { () throws(BrokerError) in try state.drop(found.sorted(), from: subscription) }
        return .integer(dropped)
    }

    func trim(_ call: RedisCall) throws(RESPError) -> RedisReply {
        let (start, stop) = (try call.integer(2), try call.integer(3))
        guard let subscription = try ownList(call[1]) else { return .ok }
        let count = state.listCount(subscription)
        let kept = Self.indices(start, stop, count)
        let dropped =
            kept.isEmpty
            ? list(subscription, 0..<count)
            : list(subscription, 0..<kept.lowerBound) + list(subscription, kept.upperBound..<count)
        try brokered { () throws(BrokerError) in _ = try state.drop(dropped.sorted(), from: subscription) }
        return .ok
    }
}
