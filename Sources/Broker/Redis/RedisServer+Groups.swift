import BrokerProtocol

/// Groups: a group is a named subscription; what it delivered and nobody acknowledged is leased to a consumer that no
/// connection ends.
extension RedisServer {
    /// - Returns: Nil without such a key, or such a subscription that somebody asked for.
    func group(_ key: [UInt8], _ name: [UInt8]) throws(RESPError) -> Subscription? {
        try stream(key)?.subscriptions.first { $0.origin == .asked && $0.name.name.utf8.elementsEqual(name) }
    }

    private func demandGroup(_ key: [UInt8], _ name: [UInt8]) throws(RESPError) -> Subscription {
        guard let subscription = try group(key, name) else {
            throw RESPError(
                bytes: Array("NOGROUP No such key '".utf8) + key + Array("' or consumer group '".utf8) + name
                    + Array("'".utf8))
        }
        return subscription
    }

    private func demandConsumerGroup(_ key: [UInt8], _ name: [UInt8]) throws(RESPError) -> Subscription {
        guard let subscription = try group(key, name) else {
            throw RESPError(
                bytes: Array("NOGROUP No such consumer group '".utf8) + name + Array("' for key name '".utf8) + key
                    + Array("'".utf8))
        }
        return subscription
    }

    // MARK: XACK

    func acknowledgeEntries(_ call: RedisCall) throws(RESPError) -> RedisReply {
        var ids: [MessageID] = []
        for argument in call.arguments[3...] {
            guard let id = EntryID(argument) else { throw .invalidStreamID }
            if let message = state.message(of: id) { ids.append(message) }
        }
        guard let subscription = try group(call[1], call[2]) else { return .integer(0) }
        return .integer(try brokered { () throws(BrokerError) in try state.acknowledge(ids, in: subscription) })
    }

    // MARK: XGROUP

    private static let keyMissing: RESPError = """
        ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use \
        the MKSTREAM option to create an empty stream automatically.
        """

    func group(_ call: RedisCall) throws(RESPError) -> RedisReply {
        switch call.subcommand {
        case "create":
            try call.demandCount(5...8)
            return try createGroup(call)
        case "destroy":
            try call.demandCount(4...4)
            try demandKey(call)
            guard let subscription = try group(call[2], call[3]) else { return .integer(0) }
            try destroy(subscription)
            return .integer(1)
        case "setid":
            try call.demandCount(5...7)
            return try setID(call)
        case "createconsumer", "delconsumer":
            try call.demandCount(5...5)
            try demandKey(call)
            return try changeConsumer(call)
        case "help":
            return call.help("CREATE key group id|$ [MKSTREAM]", "DESTROY", "SETID", "CREATECONSUMER", "DELCONSUMER")
        default: throw call.unknownSubcommand
        }
    }

    private func demandKey(_ call: RedisCall) throws(RESPError) {
        if try stream(call[2]) == nil { throw Self.keyMissing }
    }

    /// The options that `CREATE` and `SETID` share. `ENTRIESREAD` is a count that we keep ourselves.
    private func options(_ call: RedisCall) throws(RESPError) -> Bool {
        var makesStream = false
        var index = 5
        while index < call.count {
            if call.isWord(index, "mkstream"), call.subcommand == "create" {
                makesStream = true
                index += 1
            } else if call.isWord(index, "entriesread"), index + 1 < call.count {
                guard try call.integer(index + 1) >= -1 else {
                    throw "ERR value for ENTRIESREAD must be positive or -1"
                }
                index += 2
            } else {
                throw call.unknownForm
            }
        }
        return makesStream
    }

    private func createGroup(_ call: RedisCall) throws(RESPError) -> RedisReply {
        let makesStream = try options(call)
        let topic = try stream(call[2])
        if topic == nil && !makesStream { throw Self.keyMissing }
        let key = try topicName(call[2])
        guard let text = String(validating: call[3], as: UTF8.self), TopicName(text) != nil else {
            throw """
            ERR NAME_INVALID: a group is a subscription's name, 1 to 255 bytes of printable UTF-8 \
            without space or @
            """
        }
        let newest = topic?.newest
        let (start, position) = try start(call[4], newest)
        if try group(call[2], call[3]) != nil { throw "BUSYGROUP Consumer Group name already exists" }
        try demandRunning()
        let name = SubscriptionName(topic: key, name: text)
        let subscription = try brokered { () throws(BrokerError) in
            try state.ensureSubscription(name, start: start)
        }
        subscription.topic.view = .stream
        state.group(of: subscription).lastDelivered = position
        return .ok
    }

    /// Where a group begins that has seen everything up to this id.
    private func start(
        _ argument: [UInt8], _ newest: StreamPosition?
    ) throws(RESPError) -> (StartPosition, StreamPosition?) {
        if argument == [UInt8(ascii: "$")] { return (.now, newest) }
        guard let id = EntryID(argument) else { throw .invalidStreamID }
        let position = StreamPosition(time: WallTime(milliseconds: Int64(clamping: id.time)), message: id.message)
        switch state.bound(after: id) {
        case .message(let first): return (first.rawValue <= 1 ? .beginning : .message(first), position)
        case .time(let time): return (.time(time), position)
        }
    }

    private func destroy(_ subscription: Subscription) throws(RESPError) {
        let name = subscription.name
        try brokered { () throws(BrokerError) in try state.deleteSubscription(name) }
    }

    /// Forward: what lies before the id and was not delivered is dropped for the group. Backward: nothing comes back.
    private func setID(_ call: RedisCall) throws(RESPError) -> RedisReply {
        try demandKey(call)
        _ = try options(call)
        let subscription = try demandConsumerGroup(call[2], call[3])
        let group = state.group(of: subscription)
        if call[4] == [UInt8(ascii: "$")] {
            try brokered { () throws(BrokerError) in
                try state.skip(through: MessageID(rawValue: .max), subscription)
            }
            group.lastDelivered = subscription.topic.newest
            return .ok
        }
        guard let id = EntryID(call[4]) else { throw .invalidStreamID }
        try brokered { () throws(BrokerError) in try state.skip(through: state.lastMessage(through: id), subscription) }
        group.lastDelivered = StreamPosition(
            time: WallTime(milliseconds: Int64(clamping: id.time)), message: id.message)
        return .ok
    }

    private func changeConsumer(_ call: RedisCall) throws(RESPError) -> RedisReply {
        let subscription = try demandConsumerGroup(call[2], call[3])
        let name = try call.text(4, "a consumer's name")
        if call.subcommand == "createconsumer" {
            let isNew = try brokered { () throws(BrokerError) in
                try state.consumer(name, of: subscription, now: call.now).isNew
            }
            return .integer(isNew ? 1 : 0)
        }
        guard let consumer = subscription.group?.consumer(named: name) else { return .integer(0) }
        return .integer(
            try brokered { () throws(BrokerError) in
                try state.removeConsumer(consumer, of: subscription, now: call.now)
            })
    }

    // MARK: XPENDING

    func pending(_ call: RedisCall) throws(RESPError) -> RedisReply {
        guard call.count == 3 || (6...9).contains(call.count) else { throw .syntax }
        var index = 3
        var idleMin: Int64 = 0
        if call.count > 3, call.isWord(3, "idle") {
            idleMin = try call.integer(4)
            index = 5
            guard call.count >= 8 else { throw .syntax }
        }
        if call.count == 3 { return summary(try demandGroup(call[1], call[2])) }
        let count = max(0, Int(clamping: try call.integer(index + 2)))
        let start = try Self.bound(call[index], isStart: true)
        let end = try Self.bound(call[index + 1], isStart: false)
        let subscription = try demandGroup(call[1], call[2])
        var leases: [Lease]
        if call.count > index + 3 {
            let name = String(decoding: call[index + 3], as: UTF8.self)
            guard let consumer = subscription.group?.consumer(named: name) else { return .array([]) }
            leases = state.pending(of: subscription, consumer)
        } else {
            leases = state.pending(of: subscription)
        }
        leases = leases.filter { lease in
            call.now.monotonic - lease.takenAt >= idleMin
                && state.contains(lease.message, from: state.lowerBound(start), through: state.upperBound(end))
        }
        return .array(
            leases.prefix(count).map { lease in
                .array([
                    .bulk(idText(lease.message)), .bulk(consumerName(lease)),
                    .integer(max(0, call.now.monotonic - lease.takenAt)),
                    .integer(subscription.slots[lease.message]?.attempts ?? 0),
                ])
            })
    }

    private func summary(_ subscription: Subscription) -> RedisReply {
        let leases = state.pending(of: subscription)
        guard let first = leases.first, let last = leases.last else {
            return .array([.integer(0), .null, .null, .value(.nullArray)])
        }
        let consumers = (subscription.group?.consumers ?? []).filter { !$0.session.leases.isEmpty }
        return .array([
            .integer(leases.count), .bulk(idText(first.message)), .bulk(idText(last.message)),
            .array(consumers.map { .array([.bulk($0.name), .bulk("\($0.session.leases.count)")]) }),
        ])
    }

    func idText(_ id: MessageID) -> String {
        EntryID(StreamPosition(time: state.messages[id]?.publishedAt ?? WallTime(milliseconds: 0), message: id)).text
    }

    private func consumerName(_ lease: Lease) -> String { state.sessions[lease.session]?.name ?? "" }

    // MARK: XCLAIM and XAUTOCLAIM

    func claim(_ call: RedisCall) throws(RESPError) -> RedisReply {
        let subscription = try demandGroup(call[1], call[2])
        let name = try call.text(3, "a consumer's name")
        var claim = BrokerState.Claim()
        guard let idle = RESPWords.integer(call[4]) else { throw "ERR Invalid min-idle-time argument for XCLAIM" }
        claim.idleMinMilliseconds = max(0, idle)
        var ids: [MessageID] = []
        var index = 5
        while index < call.count, let id = EntryID(call[index]) {
            if let message = state.message(of: id) { ids.append(message) }
            index += 1
        }
        try readOptions(call, from: index, &claim)
        let consumer = try brokered { () throws(BrokerError) in
            try state.consumer(name, of: subscription, now: call.now).consumer
        }
        var claimed: [MessageID] = []
        for id in ids where state.claim(id, subscription, for: consumer, claim, now: call.now) { claimed.append(id) }
        return .array(try shown(claimed, claim))
    }

    private func shown(_ ids: [MessageID], _ claim: BrokerState.Claim) throws(RESPError) -> [RedisReply] {
        claim.isUncounted ? ids.map { .bulk(idText($0)) } : try entryReplies(ids)
    }

    private func readOptions(
        _ call: RedisCall, from start: Int, _ claim: inout BrokerState.Claim
    ) throws(RESPError) {
        var index = start
        while index < call.count {
            let more = call.count - index - 1
            if call.isWord(index, "force") {
                claim.isForced = true
            } else if call.isWord(index, "justid") {
                claim.isUncounted = true
            } else if call.isWord(index, "idle"), more > 0 {
                guard let idle = RESPWords.integer(call[index + 1]) else {
                    throw "ERR Invalid IDLE option argument for XCLAIM"
                }
                claim.idleMilliseconds = max(0, idle)
                index += 1
            } else if call.isWord(index, "time"), more > 0 {
                guard let time = RESPWords.integer(call[index + 1]) else {
                    throw "ERR Invalid TIME option argument for XCLAIM"
                }
                claim.idleMilliseconds = max(0, call.now.wall.milliseconds - max(0, time))
                index += 1
            } else if call.isWord(index, "retrycount"), more > 0 {
                guard let count = RESPWords.integer(call[index + 1]), count >= 0 else {
                    throw "ERR Invalid RETRYCOUNT option argument for XCLAIM"
                }
                claim.attempts = UInt32(clamping: count)
                index += 1
            } else if call.isWord(index, "lastid"), more > 0 {
                guard EntryID(call[index + 1]) != nil else { throw .invalidStreamID }
                index += 1
            } else {
                throw RESPError("ERR Unrecognized XCLAIM option '", call[index], "'")
            }
            index += 1
        }
    }

    /// Pending deliveries that one `XAUTOCLAIM` looks at, for each that it may take.
    private static let looksPerClaim = 10

    func autoclaim(_ call: RedisCall) throws(RESPError) -> RedisReply {
        guard let idle = RESPWords.integer(call[4]) else {
            throw "ERR Invalid min-idle-time argument for XAUTOCLAIM"
        }
        let start = try Self.bound(call[5], isStart: true)
        var claim = BrokerState.Claim(idleMinMilliseconds: max(0, idle))
        var count = 100
        var index = 6
        while index < call.count {
            if call.isWord(index, "count"), index + 1 < call.count {
                guard let number = RESPWords.integer(call[index + 1]), number > 0, number <= Int.max / 16 else {
                    throw "ERR COUNT must be > 0"
                }
                count = Int(number)
                index += 2
            } else if call.isWord(index, "justid") {
                claim.isUncounted = true
                index += 1
            } else {
                throw .syntax
            }
        }
        let subscription = try demandGroup(call[1], call[2])
        let name = try call.text(3, "a consumer's name")
        let consumer = try brokered { () throws(BrokerError) in
            try state.consumer(name, of: subscription, now: call.now).consumer
        }
        let from = state.lowerBound(start)
        let leases = state.pending(of: subscription).filter { state.contains($0.message, from: from, through: nil) }
        var claimed: [MessageID] = []
        var looked = 0
        for lease in leases.prefix(count * Self.looksPerClaim) where claimed.count < count {
            looked += 1
            if state.claim(lease.message, subscription, for: consumer, claim, now: call.now) {
                claimed.append(lease.message)
            }
        }
        let next = looked < leases.count ? idText(leases[looked].message) : EntryID.first.text
        return .array([.bulk(next), .array(try shown(claimed, claim)), .array([])])
    }
}
