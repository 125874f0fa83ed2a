import BrokerProtocol
import LinuxIO
import SegmentLog

/// The loop's part for two protocols, and for Redis clients.
extension EventLoop {
    func makeWire(
        _ id: SessionID, _ descriptor: borrowing Descriptor, _ listener: Listener
    ) -> Connection.Wire {
        if listener.wire == .redis { return .redis(makeRedisWire(id, descriptor, listener)) }
        let greeting = NativeSession.Greeting(
            limits: configuration.protocolLimits, identity: engine.log.identity,
            heartbeatMilliseconds: configuration.heartbeatMilliseconds, unconfirmedMax: configuration.unconfirmedMax)
        return .native(NativeWire(greeting, now: now.monotonic))
    }

    /// Too many are here.
    func turnAway(_ connection: Connection) {
        let error = BrokerError(
            .connectionLimit, "there are \(configuration.connectionsMax) connections, the limit connections_max")
        switch connection.wire {
        case .native: connection.send(.response(0, .refused(error)), now: now.monotonic)
        case .redis: connection.send(.error("ERR max number of clients reached"), .two, now: now.monotonic)
        }
        connection.end()
        touch(connection)
    }

    private func makeRedisWire(_ id: SessionID, _ descriptor: borrowing Descriptor, _ listener: Listener) -> RedisWire {
        let local = Socket.localName(of: descriptor) ?? "\(listener.path ?? "unix"):0"
        let address = Socket.peerName(of: descriptor) ?? local
        let session = redis.open(id, address: address, localAddress: local, now: now)
        return RedisWire(session, frameBytesMax: configuration.frameBytesMax, now: now.monotonic)
    }

    // MARK: Input

    /// Goes on with the requests of native connections that were paused, as far as their output has room.
    func resumePaused() {
        let batch = paused
        paused = []
        for connection in batch where connections[connection.token] === connection {
            guard case .native(let wire) = connection.wire else { continue }
            if connection.hasRoom, !connection.isEnding {
                drain(connection, wire)
                var none: [UInt8] = []
                wire.decoder.giveBack(&none)
            }
            if wire.isPaused, !connection.isEnding { paused.append(connection) }
            touch(connection)
        }
    }

    func readCommands(of connection: Connection, _ wire: RedisWire) throws(SystemError) {
        if try !connection.read(now: now.monotonic) { wire.isInputOver = true }
        runCommands(of: connection, wire)
    }

    /// How long a turn goes on with the commands of one client while others wait.
    private static let turnMilliseconds: Int64 = 20
    /// Commands between two looks at the clock.
    private static let commandsPerLook = 16

    /// Runs the commands that have arrived, as far as may be now.
    func runCommands(of connection: Connection, _ wire: RedisWire) {
        let session = wire.session
        var count = 0
        while !session.isEnding, !mustHold(connection, wire) {
            if count == Self.commandsPerLook {
                if clock.monotonicMilliseconds() - now.monotonic > Self.turnMilliseconds {
                    resume(connection, wire)
                    break
                }
                count = 0
            }
            count += 1
            do throws(RESPError) {
                guard let command = try wire.decoder.next() else { break }
                redis.receive(command, from: session, now: now)
            } catch {
                redis.refuse(error, to: session)
            }
        }
        wire.isHeld = wire.isResuming || mustHold(connection, wire)
        endWhenOver(connection, wire)
        if session.isEnding { connection.end() }
        touch(connection)
        endKilled()
    }

    /// What a client asked before it ended its side is still answered, unless that takes a message to come.
    private func endWhenOver(_ connection: Connection, _ wire: RedisWire) {
        guard wire.isInputOver else { return }
        if redis.isWaiting(wire.session) { return close(connection) }
        if !wire.isHeld { wire.session.isEnding = true }
    }

    private func mustHold(_ connection: Connection, _ wire: RedisWire) -> Bool {
        let session = wire.session
        return session.unansweredCount >= configuration.unconfirmedMax
            || session.unansweredBytes + connection.outputBytes >= configuration.outputBytesMax
            || redis.isWaiting(session)
    }

    /// Whether there is a reason no more to leave its commands alone.
    func resumeWhenFree(_ connection: Connection, _ wire: RedisWire) {
        if wire.isHeld, !mustHold(connection, wire) { resume(connection, wire) }
    }

    private func resume(_ connection: Connection, _ wire: RedisWire) {
        if wire.isResuming { return }
        wire.isResuming = true
        resuming.append(connection)
    }

    /// Goes on with the commands of those who were held.
    func runResuming() {
        let batch = resuming
        resuming = []
        for connection in batch where connections[connection.token] === connection {
            guard case .redis(let wire) = connection.wire else { continue }
            wire.isResuming = false
            runCommands(of: connection, wire)
        }
    }

    private func endKilled() {
        let killed = redis.killed
        redis.killed = []
        for id in killed {
            guard let connection = connections[id], case .redis(let wire) = connection.wire else { continue }
            connection.end()
            if redis.isWaiting(wire.session) { close(connection) } else { touch(connection) }
        }
    }

    // MARK: Output

    func answer(_ session: SessionID, _ reply: RedisReply) throws(LogError) {
        guard let connection = connections[session], case .redis(let wire) = connection.wire else { return }
        if case .inVersion(let version, _) = reply { wire.version = version }
        let value = try reply.value(in: wire.version) { (notice) throws(LogError) in try engine.message(notice) }
        connection.send(value, wire.version, now: now.monotonic)
        wire.session.noteAnswered(bytes: reply.messageBytes)
        touch(connection)
    }

    func hangUp(_ session: SessionID) {
        if let connection = connections[session] { close(connection) }
    }
}
