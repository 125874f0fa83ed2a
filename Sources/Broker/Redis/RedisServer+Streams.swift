import BrokerProtocol

/// Streams: a key is a topic, its entries are the messages that somebody is still to get.
extension RedisServer {
    static let wrongType: RESPError = "WRONGTYPE Operation against a key holding the wrong kind of value"

    /// - Returns: Nil for a key that cannot be the name of anything.
    /// - Throws: `WRONGTYPE` for a subscription, which is a list and no stream.
    func streamName(_ key: [UInt8]) throws(RESPError) -> TopicName? {
        if key.contains(UInt8(ascii: "@")) { throw Self.wrongType }
        return name(key)?.topic
    }

    func stream(_ key: [UInt8]) throws(RESPError) -> Topic? {
        try streamName(key).flatMap { state.topicsByName[$0] }
    }

    // MARK: XADD

    func addEntry(_ call: RedisCall) throws(RESPError) -> RedisReply {
        let addition = try StreamAddition(call, self)
        let name = addition.message.topic
        if !addition.makesStream, state.topicsByName[name] == nil { return .null }
        let receipts = try publish([addition.message], call)
        guard let receipt = receipts.first, let topic = state.topicsByName[name] else { return .null }
        topic.view = .stream
        _ = try trim(topic, addition.trim)
        return .bulk(EntryID(position(of: receipt, topic, call)).text)
    }

    /// Where a publish stands. The time of a duplicate whose first message is gone is known from its dedup window.
    private func position(of receipt: PublishReceipt, _ topic: Topic, _ call: RedisCall) -> StreamPosition {
        var time = call.now.wall
        if let entry = state.messages[receipt.id] {
            time = entry.publishedAt
        } else if receipt.isDuplicate, let until = topic.dedupEnd(of: receipt.id) {
            time = until.adding(milliseconds: -topic.settings.dedupWindowMilliseconds)
        }
        return StreamPosition(time: time, message: receipt.id)
    }

    // MARK: Deleting

    /// - Returns: How many entries were deleted.
    private func trim(_ topic: Topic, _ trim: StreamTrim) throws(RESPError) -> Int {
        let limit = trim.limit.map { $0 == 0 ? .max : $0 } ?? Int.max
        var ids: [MessageID]
        switch trim.rule {
        case nil: return 0
        case .count(let kept):
            let surplus = state.entryCount(of: topic) - kept
            guard surplus > 0 else { return 0 }
            ids = state.entries(of: topic, from: .message(MessageID(rawValue: 0)), limit: min(surplus, limit))
        case .from(let id):
            ids = state.entries(
                of: topic, from: .message(MessageID(rawValue: 0)), through: state.bound(before: id), limit: limit)
        }
        return try brokered { () throws(BrokerError) in try state.delete(ids, of: topic) }
    }

    func trimStream(_ call: RedisCall) throws(RESPError) -> RedisReply {
        var trim = StreamTrim()
        var index = 2
        while index < call.count {
            guard let next = try trim.read(call, at: index) else { throw .syntax }
            index = next
        }
        if trim.rule == nil {
            throw trim.limit == nil
                ? "ERR syntax error, XTRIM must be called with a trimming strategy"
                : "ERR syntax error, LIMIT cannot be used without specifying a trimming strategy"
        }
        try trim.check()
        guard let topic = try stream(call[1]) else { return .integer(0) }
        return .integer(try self.trim(topic, trim))
    }

    func deleteEntries(_ call: RedisCall) throws(RESPError) -> RedisReply {
        var ids: Set<MessageID> = []
        for argument in call.arguments[2...] {
            guard let id = EntryID(argument) else { throw .invalidStreamID }
            if let message = state.message(of: id) { ids.insert(message) }
        }
        guard let topic = try stream(call[1]) else { return .integer(0) }
        let own = ids.sorted().filter { state.messages[$0]?.topic == topic.id }
        return .integer(try brokered { () throws(BrokerError) in try state.delete(own, of: topic) })
    }

    // MARK: Looking

    func entryCount(_ call: RedisCall) throws(RESPError) -> RedisReply {
        .integer(try stream(call[1]).map(state.entryCount) ?? 0)
    }

    func entries(_ call: RedisCall, isReversed: Bool) throws(RESPError) -> RedisReply {
        let start = try Self.bound(call[isReversed ? 3 : 2], isStart: true)
        let end = try Self.bound(call[isReversed ? 2 : 3], isStart: false)
        var count = Int.max
        var index = 4
        while index < call.count {
            guard call.isWord(index, "count"), index + 1 < call.count else { throw .syntax }
            count = max(0, Int(try call.integer(index + 1)))
            index += 2
        }
        guard let topic = try stream(call[1]), state.entryCount(of: topic) > 0 else { return .array([]) }
        if count == 0 { return .value(.nullArray) }
        guard start.id <= end.id else { return .array([]) }
        let ids = state.entries(
            of: topic, from: state.lowerBound(start), through: state.upperBound(end), isReversed: isReversed,
            limit: count)
        return .array(try entryReplies(ids))
    }

    /// - Throws: When they are too many bytes for one reply.
    func entryReplies(_ ids: [MessageID]) throws(RESPError) -> [RedisReply] {
        var entries: [RedisReply] = []
        var bytes = 0
        for id in ids {
            guard let notice = state.notice(of: id) else { continue }
            bytes += Int(notice.bytes)
            if bytes > state.limits.replyBytesMax { throw replyTooLarge }
            entries.append(.entry(notice))
        }
        return entries
    }

    /// One end of a range: `-`, `+`, an id, or `(` and an id that is not included.
    static func bound(_ argument: [UInt8], isStart: Bool) throws(RESPError) -> StreamEnd {
        if argument == [UInt8(ascii: "-")] { return StreamEnd(id: .first) }
        if argument == [UInt8(ascii: "+")] { return StreamEnd(id: .last) }
        let isOpen = argument.first == UInt8(ascii: "(")
        guard let id = EntryID(argument.dropFirst(isOpen ? 1 : 0), number: isStart ? 0 : .max) else {
            throw .invalidStreamID
        }
        if isOpen && (isStart ? id == .last : id == .first) {
            throw RESPError("ERR invalid \(isStart ? "start" : "end") ID for the interval")
        }
        return StreamEnd(id: id, isOpen: isOpen)
    }

    // MARK: XREAD and XREADGROUP

    func readStreams(_ call: RedisCall) throws(RESPError) -> RedisReply? {
        let read = try StreamRead(call)
        guard let group = read.group else { return try readEntries(read, call) }
        return try readGroup(read, group, call)
    }

    private func readEntries(_ read: StreamRead, _ call: RedisCall) throws(RESPError) -> RedisReply? {
        var readers: [Errand.StreamReader] = []
        for (key, id) in zip(read.keys, read.ids) {
            guard let topic = try streamName(key) else { throw .invalidStreamID }
            let from: StreamBound
            switch id {
            case .newest: from = .message(MessageID(rawValue: state.nextMessage))
            case .after(let id): from = state.bound(after: id)
            case .undelivered: throw .invalidStreamID
            }
            readers.append(Errand.StreamReader(key: key, topic: topic, from: from))
        }
        let count = read.count ?? Int.max
        if let reply = state.read(readers, count: count) { return reply }
        guard let timeout = read.blockMilliseconds else { return .value(.nullArray) }
        return try waitFor(.read(readers, count: count), of: [], timeoutMilliseconds: timeout, call)
    }

    private func readGroup(
        _ read: StreamRead, _ group: StreamRead.Group, _ call: RedisCall
    ) throws(RESPError) -> RedisReply? {
        try demandRunning()
        var subscriptions: [Subscription] = []
        for key in read.keys {
            guard let subscription = try self.group(key, group.name) else {
                throw RESPError(
                    bytes: Array("NOGROUP No such key '".utf8) + key + Array("' or consumer group '".utf8) + group.name
                        + Array("' in XREADGROUP with GROUP option".utf8))
            }
            subscriptions.append(subscription)
        }
        guard let name = String(validating: group.consumer, as: UTF8.self) else {
            throw "ERR a consumer's name must be UTF-8"
        }
        let count = read.count ?? Int.max
        var streams: [RedisReply.Stream] = []
        var hasHistory = false
        for (index, id) in read.ids.enumerated() {
            let subscription = subscriptions[index]
            let consumer = try brokered { () throws(BrokerError) in
                try state.consumer(name, of: subscription, now: call.now).consumer
            }
            var entries: [RedisReply] = []
            switch id {
            case .after(let id):
                hasHistory = true
                entries = state.history(of: consumer, subscription, after: id.message, count: count, now: call.now)
            case .undelivered where mayTake(from: subscription, call):
                entries = state.readGroup(
                    subscription, name, acknowledges: group.acknowledges, count: count, now: call.now)
                if entries.isEmpty { continue }
            case .undelivered: continue
            case .newest: throw .invalidStreamID
            }
            streams.append(RedisReply.Stream(key: read.keys[index], entries: entries))
        }
        if !streams.isEmpty || hasHistory { return .streams(streams) }
        guard let timeout = read.blockMilliseconds else { return .value(.nullArray) }
        return try waitFor(
            .readGroup(keys: read.keys, consumer: name, acknowledges: group.acknowledges, count: count),
            of: subscriptions, timeoutMilliseconds: timeout, call)
    }
}
