import BrokerProtocol

/// Keys: topics that hold something, as Redis's keys vanish when they are empty.
extension RedisServer {
    /// A topic is a key when messages wait in it, or when it has named subscriptions, as a stream with groups has.
    private func isKey(_ topic: Topic) -> Bool {
        topic.subscriptions.contains { $0.origin == .asked && !$0.name.isDefault || state.listCount($0) > 0 }
            || (topic.view == .stream && state.entryCount(of: topic) > 0)
    }

    private func kind(of topic: Topic) -> String {
        let hasGroups = topic.subscriptions.contains { $0.origin == .asked && !$0.name.isDefault }
        return hasGroups || topic.view == .stream ? "stream" : "list"
    }

    /// Whether a key holds something: a topic, or a list of one of its subscriptions.
    private func holds(_ key: [UInt8]) -> Topic? {
        guard let name = name(key), let topic = state.topicsByName[name.topic] else { return nil }
        if !key.contains(UInt8(ascii: "@")) { return isKey(topic) ? topic : nil }
        return list(key).map(state.listCount) ?? 0 > 0 ? topic : nil
    }

    func exists(_ call: RedisCall) -> RedisReply { .integer(call.rest.count { holds($0) != nil }) }

    func type(_ call: RedisCall) -> RedisReply {
        guard let topic = holds(call[1]) else { return .value(.simple("none")) }
        return .value(.simple(call[1].contains(UInt8(ascii: "@")) ? "list" : kind(of: topic)))
    }

    private var topics: [Topic] { state.topics.values.sorted { $0.id < $1.id } }

    func keys(_ call: RedisCall) -> RedisReply {
        let pattern = GlobPattern(call[1])
        return .array(topics.filter { isKey($0) && pattern.matches($0.name.text.utf8) }.map { .bulk($0.name.text) })
    }

    func databaseSize(_ call: RedisCall) -> RedisReply { .integer(topics.count(where: isKey)) }

    /// The cursor is the number of the next topic: a topic that is there all the time is always met.
    func scan(_ call: RedisCall) throws(RESPError) -> RedisReply {
        guard var cursor = RESPWords.integer(call[1]) else { throw "ERR invalid cursor" }
        // Redis reads a negative cursor as a very large one.
        if cursor < 0 { cursor = .max }
        var pattern: GlobPattern?
        var count = 10
        var kind: [UInt8]?
        var index = 2
        while index < call.count {
            guard index + 1 < call.count else { throw .syntax }
            if call.isWord(index, "match") {
                pattern = GlobPattern(call[index + 1])
            } else if call.isWord(index, "count") {
                let number = try call.integer(index + 1)
                guard number >= 1 else { throw .syntax }
                count = Int(number)
            } else if call.isWord(index, "type") {
                kind = call[index + 1].map(RESPWords.lowercased)
            } else {
                throw .syntax
            }
            index += 2
        }
        let left = topics.drop { Int64($0.id.rawValue) < cursor }
        let page = left.prefix(count)
        let next = left.dropFirst(count).first.map { "\($0.id.rawValue)" } ?? "0"
        let found = page.filter { topic in
            isKey(topic) && pattern?.matches(topic.name.text.utf8) ?? true
                && kind.map { $0.elementsEqual(self.kind(of: topic).utf8) } ?? true
        }
        return .array([.bulk(next), .array(found.map { .bulk($0.name.text) })])
    }

    // MARK: DEL

    func delete(_ call: RedisCall) throws(RESPError) -> RedisReply {
        // Refused as a whole before anything is gone.
        for key in call.rest {
            if let topic = holds(key), !key.contains(UInt8(ascii: "@")) { try demandPlain(topic) }
        }
        var count = 0
        for key in call.rest {
            guard let topic = holds(key) else { continue }
            count += 1
            if key.contains(UInt8(ascii: "@")) {
                if let subscription = list(key) { try empty(subscription) }
            } else if let subscription = topic.subscriptions.first, hasMore(topic, subscription) {
                try empty(subscription)
            } else {
                try brokered { () throws(BrokerError) in try state.record([.topicDeleted(topic.id)]) }
            }
        }
        return .integer(count)
    }

    private func demandPlain(_ topic: Topic) throws(RESPError) {
        let named = topic.subscriptions.filter { !$0.name.isDefault }
        guard let first = named.first else { return }
        throw RESPError(
            "ERR '\(topic.name)' has \(named.count) named subscriptions, whose messages are not this client's to drop; "
                + "XGROUP DESTROY ends one, DEL \(topic.name)@\(first.name.name) empties one")
    }

    /// Whether a topic is more than what waits in it: then it is emptied, not deleted.
    private func hasMore(_ topic: Topic, _ subscription: Subscription) -> Bool {
        !subscription.waiting.isEmpty || !subscription.consumers.isEmpty || subscription.leasedCount > 0
            || !subscription.dead.isEmpty || !(subscription.group?.consumers.isEmpty ?? true)
            || topic.hasDedupEntries || topic.settings != state.limits.defaults || subscription.ownSettings != nil
    }

    /// Drops what waits; what is under way, and dead letters, stay.
    private func empty(_ subscription: Subscription) throws(RESPError) {
        let waiting = subscription.owed().filter { id in
            switch subscription.slots[id]?.place {
            case nil, .ready, .blocked, .delayed: true
            case .leased, .dead: false
            }
        }
        try brokered { () throws(BrokerError) in _ = try state.drop(waiting, from: subscription) }
    }
}
