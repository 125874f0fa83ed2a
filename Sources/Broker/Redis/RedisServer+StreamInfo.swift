import BrokerProtocol

/// `XINFO`.
extension RedisServer {
    func streamInfo(_ call: RedisCall) throws(RESPError) -> RedisReply {
        switch call.subcommand {
        case "stream":
            try call.demandCount(3...6)
            let topic = try demandStream(call[2])
            guard call.count > 3 else { return .fields(try fields(of: topic)) }
            guard call.isWord(3, "full") else { throw call.unknownForm }
            var count = 10
            if call.count == 6 {
                guard call.isWord(4, "count") else { throw call.unknownForm }
                let number = try call.integer(5)
                count = number < 0 ? 10 : (number == 0 ? Int.max : Int(number))
            } else if call.count == 5 {
                throw call.unknownForm
            }
            return .fields(try fullFields(of: topic, count: count, call.now))
        case "groups":
            try call.demandCount(3...3)
            return .array(groups(of: try demandStream(call[2])).map { .fields(fields(of: $0)) })
        case "consumers":
            try call.demandCount(4...4)
            _ = try demandStream(call[2])
            guard let subscription = try group(call[2], call[3]) else {
                throw RESPError(
                    bytes: Array("NOGROUP No such consumer group '".utf8) + call[3] + Array("' for key name '".utf8)
                        + call[2] + Array("'".utf8))
            }
            return .array(
                (subscription.group?.consumers ?? []).map { consumer in
                    .fields([
                        .init("name", .bulk(consumer.name)), .init("pending", .integer(consumer.session.leases.count)),
                        .init("idle", .integer(max(0, call.now.monotonic - consumer.seenAt))),
                    ])
                })
        case "help": return call.help("STREAM key [FULL [COUNT n]]", "GROUPS key", "CONSUMERS key group")
        default: throw call.unknownSubcommand
        }
    }

    private func demandStream(_ key: [UInt8]) throws(RESPError) -> Topic {
        guard let topic = try stream(key) else { throw "ERR no such key" }
        return topic
    }

    /// Those that somebody asked for; a `default` that came with its topic is no group.
    private func groups(of topic: Topic) -> [Subscription] { topic.subscriptions.filter { $0.origin == .asked } }

    private func base(of topic: Topic) -> [RedisReply.Field] {
        [
            .init("length", .integer(state.entryCount(of: topic))), .init("radix-tree-keys", .integer(1)),
            .init("radix-tree-nodes", .integer(2)),
            .init("last-generated-id", .bulk(topic.newest.map { EntryID($0).text } ?? EntryID.first.text)),
            .init("max-deleted-entry-id", .bulk(EntryID.first.text)), .init("entries-added", .integer(topic.published)),
            .init("recorded-first-entry-id", .bulk(firstIDs(of: topic).first.map(idText) ?? EntryID.first.text)),
        ]
    }

    private func firstIDs(of topic: Topic, isReversed: Bool = false, count: Int = 1) -> [MessageID] {
        state.entries(of: topic, from: .message(MessageID(rawValue: 0)), isReversed: isReversed, limit: count)
    }

    private func fields(of topic: Topic) throws(RESPError) -> [RedisReply.Field] {
        base(of: topic) + [
            .init("groups", .integer(groups(of: topic).count)),
            .init("first-entry", firstIDs(of: topic).first.flatMap(state.entryReply) ?? .null),
            .init("last-entry", firstIDs(of: topic, isReversed: true).first.flatMap(state.entryReply) ?? .null),
        ]
    }

    private func fields(of subscription: Subscription) -> [RedisReply.Field] {
        let group = subscription.group
        return [
            .init("name", .bulk(subscription.name.name)), .init("consumers", .integer(group?.consumers.count ?? 0)),
            .init("pending", .integer(state.pending(of: subscription).count)),
            .init("last-delivered-id", .bulk(lastDelivered(subscription))),
            .init("entries-read", entriesRead(subscription)),
            .init("lag", .integer(state.listCount(subscription))),
        ]
    }

    /// Unknown until something was read.
    private func entriesRead(_ subscription: Subscription) -> RedisReply {
        subscription.group.flatMap { $0.entriesRead == 0 ? nil : .integer($0.entriesRead) } ?? .null
    }

    private func lastDelivered(_ subscription: Subscription) -> String {
        subscription.group?.lastDelivered.map { EntryID($0).text } ?? EntryID.first.text
    }

    private func fullFields(of topic: Topic, count: Int, _ now: Now) throws(RESPError) -> [RedisReply.Field] {
        let groups = groups(of: topic).map { subscription in
            RedisReply.fields([
                .init("name", .bulk(subscription.name.name)),
                .init("last-delivered-id", .bulk(lastDelivered(subscription))),
                .init("entries-read", entriesRead(subscription)),
                .init("lag", .integer(state.listCount(subscription))),
                .init("pel-count", .integer(state.pending(of: subscription).count)),
                .init(
                    "pending",
                    .array(
                        state.pending(of: subscription).prefix(count).map { lease in
                            .array([
                                .bulk(idText(lease.message)), .bulk(state.sessions[lease.session]?.name ?? ""),
                                .integer(deliveredAt(lease, now)), .integer(attempts(lease)),
                            ])
                        })),
                .init(
                    "consumers",
                    .array((subscription.group?.consumers ?? []).map { consumer(subscription, $0, count, now) })),
            ])
        }
        return base(of: topic) + [
            .init("entries", .array(try entryReplies(firstIDs(of: topic, count: count)))),
            .init("groups", .array(groups)),
        ]
    }

    private func consumer(
        _ subscription: Subscription, _ consumer: GroupConsumer, _ count: Int, _ now: Now
    ) -> RedisReply {
        let leases = state.pending(of: subscription, consumer)
        return .fields([
            .init("name", .bulk(consumer.name)),
            .init("seen-time", .integer(now.wall.milliseconds - (now.monotonic - consumer.seenAt))),
            .init("pel-count", .integer(leases.count)),
            .init(
                "pending",
                .array(
                    leases.prefix(count).map { lease in
                        .array([
                            .bulk(idText(lease.message)), .integer(deliveredAt(lease, now)), .integer(attempts(lease)),
                        ])
                    })),
        ])
    }

    private func deliveredAt(_ lease: Lease, _ now: Now) -> Int64 {
        now.wall.milliseconds - (now.monotonic - lease.takenAt)
    }

    private func attempts(_ lease: Lease) -> UInt32 { lease.subscription.slots[lease.message]?.attempts ?? 0 }
}
