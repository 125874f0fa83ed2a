import BrokerProtocol

/// Redis's commands on the broker's state: commands and time in, replies out as effects of the state. No I/O.
///
/// Each command is answered by exactly one `answerRedis` effect, in the order of the connection's commands; while a
/// connection waits for a message, no further command of it is run.
final class RedisServer {
    let state: BrokerState
    private(set) var sessions: [SessionID: RedisSession] = [:]
    /// The settings that `CONFIG GET` and the limits of replies read.
    var configuration: BrokerConfiguration
    /// The broker in numbers, as the loop knows them.
    var status: () -> BrokerStatus = { BrokerStatus() }
    /// Bytes that wait to be read as commands, of one connection.
    var bufferedBytes: (SessionID) -> Int = { _ in 0 }
    /// The port of the first TCP listener, 0 without one.
    var port: UInt16 = 0
    let processID: Int32
    /// Connections that `CLIENT KILL` named; the loop closes them when their replies are out.
    var killed: [SessionID] = []
    var commandCount: UInt64 = 0
    var connectionCount: UInt64 = 0
    /// Topics that the present command published to.
    private var published: [TopicName] = []
    private var names: [[UInt8]: SubscriptionName] = [:]

    private static let namesMax = 4096

    init(state: BrokerState, configuration: BrokerConfiguration, processID: Int32) {
        self.state = state
        self.configuration = configuration
        self.processID = processID
    }

    // MARK: Connections

    func open(_ id: SessionID, address: String, localAddress: String, now: Now) -> RedisSession {
        let session = RedisSession(id: id, address: address, localAddress: localAddress, now: now.monotonic)
        sessions[id] = session
        connectionCount += 1
        state.open(id, name: address)
        return session
    }

    func close(_ id: SessionID) { sessions[id] = nil }

    var sessionsInOrder: [RedisSession] { sessions.values.sorted { $0.id < $1.id } }

    /// Whether a blocking command of the connection has not been answered by the state.
    func isWaiting(_ session: RedisSession) -> Bool { !(state.sessions[session.id]?.pops.isEmpty ?? true) }

    // MARK: Commands

    func receive(_ command: RESPCommand, from session: RedisSession, now: Now) {
        session.usedAt = now.monotonic
        commandCount += 1
        do throws(RESPError) {
            let call = try find(command, session, now)
            if session.queue != nil, !call.command.isNeverQueued {
                try enqueue(call, command.byteCount)
                reply(.value(.simple("QUEUED")), to: session)
            } else if let answer = try run(call) {
                reply(answer, to: session)
            } else {
                // It waits; the state will answer.
                session.noteAsked()
            }
        } catch {
            if Self.isHTTP(command.arguments[0]) {
                session.isEnding = true
            } else {
                reply(.error(error), to: session)
            }
        }
        serveWaiting(now: now)
    }

    /// A web page that makes a browser talk to us is hung up on, as Redis does.
    private static func isHTTP(_ name: [UInt8]) -> Bool {
        RESPWords.isWord(name, "post") || RESPWords.isWord(name, "host:")
    }

    /// The stream of commands cannot be read on.
    func refuse(_ error: RESPError, to session: RedisSession) {
        session.isEnding = true
        reply(.error(error), to: session)
    }

    func reply(_ reply: RedisReply, to session: RedisSession) {
        session.noteAsked(bytes: reply.messageBytes)
        state.emit(.answerRedis(session.id, reply))
    }

    func run(_ call: RedisCall) throws(RESPError) -> RedisReply? {
        do {
            return try call.command.run(self, call)
        } catch let error as RESPError {
            throw error
        } catch {
            throw RESPError("ERR \(error)")
        }
    }

    private func find(_ command: RESPCommand, _ session: RedisSession, _ now: Now) throws(RESPError) -> RedisCall {
        guard let found = RedisCommand.named(command.arguments[0]) else {
            session.queue?.isBroken = true
            throw Self.unknown(command.arguments)
        }
        session.lastCommand = found.name
        guard found.accepts(command.arguments.count) else {
            if found.name == "exec" {
                session.queue = nil
                throw RESPError(
                    "EXECABORT Transaction discarded because of: wrong number of arguments for 'exec' command")
            }
            session.queue?.isBroken = true
            throw .wrongArity(found.name)
        }
        return RedisCall(command: found, arguments: command.arguments, session: session, now: now)
    }

    /// In Redis's words: the name, and the first arguments up to about 128 bytes.
    private static func unknown(_ arguments: [[UInt8]]) -> RESPError {
        var shown: [UInt8] = []
        for argument in arguments.dropFirst() where shown.count < 128 {
            shown += [UInt8(ascii: "'")] + argument.prefix(128 - shown.count) + Array("' ".utf8)
        }
        return RESPError(
            bytes: Array("ERR unknown command '".utf8) + arguments[0].prefix(128)
                + Array("', with args beginning with: ".utf8) + shown)
    }

    // MARK: Waiting clients

    func notePublished(to topic: TopicName) {
        if published.last != topic { published.append(topic) }
    }

    /// Gives what was published to those who wait for it, before the next command looks.
    private func serveWaiting(now: Now) {
        if published.isEmpty { return }
        let topics = published
        published.removeAll(keepingCapacity: true)
        if state.isDraining { return }
        state.serveReaders()
        for name in topics {
            for subscription in state.topicsByName[name]?.subscriptions ?? [] where !subscription.waiting.isEmpty {
                state.serveWaiting(of: subscription, now: now)
            }
        }
    }

    /// Those who wait were here first; but what a transaction pushed, nobody else sees before its end.
    func mayTake(from subscription: Subscription, _ call: RedisCall) -> Bool {
        call.isInTransaction || subscription.waiting.isEmpty
    }

    /// Waits for the first message of one of the subscriptions, or does at once what is to be done with it.
    /// - Parameter timeoutMilliseconds: 0 for ever.
    /// - Returns: Nil when it waits.
    func waitFor(
        _ errand: Errand, of subscriptions: [Subscription], timeoutMilliseconds: Int64, _ call: RedisCall
    ) throws(RESPError) -> RedisReply? {
        guard let session = state.sessions[call.session.id] else { return nil }
        try demandRunning()
        try demandRoom(session)
        for (index, subscription) in subscriptions.enumerated() where mayTake(from: subscription, call) {
            let reply = state.perform(errand, index: index, from: subscription, session, now: call.now)
            if let reply { return reply }
        }
        if call.isInTransaction {
            if case .move = errand { return .null }
            return .value(.nullArray)
        }
        let pop = WaitingPop(
            number: state.nextPop, origin: Origin(session: session.id, correlation: 0), sources: subscriptions,
            acknowledges: false, errand: errand)
        state.wait(
            pop, session, timeoutMilliseconds: timeoutMilliseconds == 0 ? -1 : timeoutMilliseconds, now: call.now)
        if case .read = errand { state.readers.append(pop) }
        return nil
    }

    func demandRunning() throws(RESPError) {
        if state.isDraining { throw RESPError(BrokerState.draining) }
    }

    private func demandRoom(_ session: Session) throws(RESPError) {
        if session.holdCount >= state.limits.leasesPerConnectionMax {
            throw RESPError(
                BrokerError(
                    .leaseLimit, "the connection has \(session.holdCount) leases, the limit leases_max; settle some"))
        }
    }

    // MARK: Keys

    /// - Returns: Nil when the key cannot be the name of anything, so that nothing is there.
    func name(_ key: [UInt8]) -> SubscriptionName? {
        if let name = names[key] { return name }
        guard let text = String(validating: key, as: UTF8.self), let name = SubscriptionName(text) else { return nil }
        if names.count >= Self.namesMax { names = [:] }
        names[key] = name
        return name
    }

    func validName(_ key: [UInt8]) throws(RESPError) -> SubscriptionName {
        guard let name = name(key) else {
            throw """
            ERR NAME_INVALID: a key is the name of a topic, 1 to 255 bytes of printable UTF-8 without space, or \
            TOPIC@SUBSCRIPTION
            """
        }
        return name
    }

    /// The topic of a key that must not name a subscription.
    func topicName(_ key: [UInt8]) throws(RESPError) -> TopicName {
        let name = try validName(key)
        if key.contains(UInt8(ascii: "@")) {
            throw RESPError("ERR messages are published to a topic, not to a subscription; use the key '\(name.topic)'")
        }
        return name.topic
    }

    /// What a key shows as a list: the subscription that it names; for a bare key `default`, or else the one with the
    /// most messages.
    func list(_ key: [UInt8]) -> Subscription? {
        guard let name = name(key), let topic = state.topicsByName[name.topic] else { return nil }
        return list(name, topic, isBare: !key.contains(UInt8(ascii: "@")))
    }

    private func list(_ name: SubscriptionName, _ topic: Topic, isBare: Bool) -> Subscription? {
        if let subscription = topic.subscriptions.first(where: { $0.name.name == name.name }) { return subscription }
        return isBare ? topic.subscriptions.max { state.listCount($0) < state.listCount($1) } : nil
    }

    /// The subscription that a pop takes from; made when it is new, as for a native pop.
    func source(_ key: [UInt8]) throws(RESPError) -> Subscription {
        let name = try validName(key)
        return try brokered { () throws(BrokerError) in try state.ensureSubscription(name, start: .beginning) }
    }

    /// Runs what the broker may refuse.
    func brokered<Result>(_ body: () throws(BrokerError) -> Result) throws(RESPError) -> Result {
        do throws(BrokerError) {
            return try body()
        } catch {
            throw RESPError(error)
        }
    }
}
