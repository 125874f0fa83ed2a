import BrokerProtocol
import DaemonKit
import LinuxIO
import SegmentLog

/// The broker's one thread for sockets and state.
///
/// A turn: wait, end what is over, read and decide, hand out what is ready, give the records to the writer, send what
/// is durable. The writer wakes the loop when a sync is done.
final class EventLoop {
    let engine: Engine
    private(set) var configuration: BrokerConfiguration
    private let mailbox: Mailbox
    private let pulse: Pulse
    let logger: Logger
    private let nextSession: @Sendable () -> SessionID
    let clock: BrokerClock
    let startedAt: Int64

    var poller: Poller
    private var listeners: [Listener]
    let redis: RedisServer
    private(set) var connections = ConnectionTable()
    private(set) var locals: [SessionID: LocalReference] = [:]
    /// Connections with something to send, or whose interest may have changed.
    var touched: [Connection] = []
    /// What native connections read into, one after another.
    private var input: [UInt8] = []
    /// Redis clients whose commands were held up and go on in the next turn.
    var resuming: [Connection] = []
    /// Histories that are being read from the log.
    var searches: [HistorySearch] = []
    /// Connections whose decoder holds frames for later turns.
    var paused: [Connection] = []
    private var nextTick: Int64
    private var acceptsAgainAt: Int64?
    private var drainDeadline: Int64?
    private(set) var now: Now

    private static let wakeToken: UInt64 = 1
    private static let listenerTokens: UInt64 = 2
    private static let inputBytes = Connection.readBytes + FrameDecoder.borrowedBytesMax
    private static let tickMilliseconds: Int64 = 250
    /// Above this, clients are not read until the disk has caught up.
    static let unsyncedBytesMax = 64 << 20

    init(
        engine: Engine, configuration: BrokerConfiguration, listeners: [Listener], mailbox: Mailbox, pulse: Pulse,
        logger: Logger, clock: BrokerClock, nextSession: @escaping @Sendable () -> SessionID
    ) throws(SystemError) {
        self.engine = engine
        self.configuration = configuration
        self.listeners = listeners
        self.mailbox = mailbox
        self.pulse = pulse
        self.logger = logger
        self.nextSession = nextSession
        self.clock = clock
        now = clock.read()
        redis = RedisServer(state: engine.state, configuration: configuration, processID: Process.identifier)
        startedAt = now.monotonic
        nextTick = now.monotonic + Self.tickMilliseconds
        poller = try Poller()
        input.reserveCapacity(Self.inputBytes)
        try poller.add(mailbox.waker.number, token: Self.wakeToken, interest: .read)
        for (index, listener) in listeners.enumerated() {
            try poller.add(
                listener.descriptor.number, token: Self.listenerTokens + UInt64(index), interest: .read)
        }
        redis.port = listeners.first { $0.wire == .redis && $0.port != nil }?.port ?? 0
        redis.status = { [unowned self] in completed(self.engine.state.status()) }
        redis.bufferedBytes = { [unowned self] id in
            guard case .redis(let wire)? = connections[id]?.wire else { return 0 }
            return wire.decoder.bufferedBytes
        }
    }

    // MARK: Life

    /// Runs until the broker is drained.
    /// - Throws: What makes going on impossible: a failed write or sync, or damage met in the log.
    func run() throws {
        var hasMore = false
        var events: [Poller.Event] = []
        while true {
            try poller.wait(milliseconds: hasMore || !resuming.isEmpty ? 0 : timeout(), &events)
            now = clock.read()
            if let failure = engine.log.failure { throw failure }
            engine.state.advance(now: now)
            runResuming()
            resumePaused()
            for event in events { try handle(event) }
            for message in mailbox.take() { handle(message) }
            try search()
            hasMore = try engine.endTurn(now: now)
            pulse.whileSyncing { engine.log.flush(mayWait: !hasMore) }
            if let failure = engine.readFailure { throw failure }
            if let failure = engine.state.failure { throw failure }
            try engine.release(confirm: confirm) { (effect) throws(LogError) in try perform(effect) }
            if now.monotonic >= nextTick { tick() }
            try flush()
            hasMore = hasMore || paused.contains { $0.hasRoom } || !searches.isEmpty
            pulse.beat(engine.log.heartbeat)
            if isDrained { return }
        }
    }

    private func timeout() -> Int32 {
        var wait = max(nextTick - now.monotonic, 0)
        if let deadline = engine.state.nextDeadline(now: now) { wait = min(wait, deadline) }
        return Int32(min(wait, 60_000))
    }

    /// Writes and syncs what is there, and answers what that makes durable; call after ``run()``, or after a failure to
    /// give up the clients.
    /// - Returns: What went wrong with the last writes; what was not confirmed before may be lost then.
    func finish(_ ending: BrokerError) -> (any Error)? {
        var failure: (any Error)?
        do {
            try engine.log.close()
            try engine.release(confirm: confirm) { (effect) throws(LogError) in try perform(effect) }
            try flush()
        } catch {
            failure = error
        }
        for connection in connections.all { connections.remove(connection) }
        for local in locals.keys.sorted() { locals[local]?.session?.end(ending) }
        locals = [:]
        for message in mailbox.close() {
            switch message {
            case .open(_, let session): session.end(ending)
            case .configure(_, let reply): reply(.failure(ending))
            case .request, .close, .drain: break
            }
        }
        removeListeners()
        return failure
    }

    private var isDrained: Bool {
        guard let drainDeadline else { return false }
        // A group's deliveries may wait for ever; they are waited for while somebody is there to acknowledge them.
        return !engine.state.hasLeases(ofGroups: !redis.sessions.isEmpty) || now.monotonic >= drainDeadline
    }

    private func startDraining(_ milliseconds: Int64) {
        let deadline = now.monotonic + milliseconds
        if let earlier = drainDeadline {
            drainDeadline = min(earlier, deadline)
            return
        }
        drainDeadline = deadline
        removeListeners()
        engine.state.drain()
    }

    private func removeListeners() {
        for listener in listeners {
            poller.remove(listener.descriptor.number)
            listener.close()
        }
        listeners = []
    }

    // MARK: Input

    private func handle(_ event: Poller.Event) throws {
        if event.token == Self.wakeToken {
            mailbox.waker.clear()
        } else if let connection = connections[event.token] {
            if event.isReadable && !connection.interest.contains(.read), !connection.wantsOutput {
                // Nobody asked to read: the connection is broken.
                close(connection)
                return
            }
            if event.isReadable && connection.wantsInput { read(connection) }
            touch(connection)
        } else if event.token >= Self.listenerTokens, event.token < Self.listenerTokens + UInt64(listeners.count) {
            accept(from: listeners[Int(event.token - Self.listenerTokens)])
        }
    }

    private func handle(_ message: LoopMessage) {
        switch message {
        case .open(let id, let session):
            locals[id] = LocalReference(session: session)
            engine.state.open(id, name: session.name)
        case .request(let origin, let request): engine.state.handle(request, from: origin, now: now)
        case .close(let id):
            locals[id] = nil
            engine.state.close(id, now: now)
        case .configure(let new, let reply): reply(configure(new))
        case .drain(let milliseconds): startDraining(milliseconds)
        }
    }

    private func configure(_ new: BrokerConfiguration) -> Result<Void, BrokerError> {
        do throws(BrokerError) {
            // The new limits decide whether the new topics fit.
            engine.state.limits = new.stateLimits
            try engine.state.configure(
                topics: new.topics.map { ($0.name, $0.settings) },
                subscriptions: new.subscriptions.map { ($0.name, $0.settings) })
            configuration = new
            redis.configuration = new
            return .success(())
        } catch {
            engine.state.limits = configuration.stateLimits
            return .failure(error)
        }
    }

    private func accept(from listener: Listener) {
        do throws(SystemError) {
            while let descriptor = try Socket.accept(from: listener.descriptor) {
                let isFull = connections.count >= configuration.connectionsMax
                let id = nextSession()
                let wire = makeWire(id, descriptor, listener)
                let connection = Connection(
                    id: id, token: connections.nextToken, descriptor: descriptor, wire: wire,
                    outputBytesMax: configuration.outputBytesMax, now: now.monotonic)
                connections.insert(connection)
                try poller.add(connection.descriptor.number, token: connection.token, interest: .read)
                if isFull { turnAway(connection) }
            }
        } catch {
            // Out of descriptors or memory: the listener rests, or a ready one would make the loop spin.
            logger.error("a connection could not be accepted: \(error)")
            for listener in listeners { poller.remove(listener.descriptor.number) }
            acceptsAgainAt = now.monotonic + 500
        }
    }

    private func read(_ connection: Connection) {
        do throws(SystemError) {
            switch connection.wire {
            case .native(let wire):
                wire.decoder.borrow(&input)
                defer { wire.decoder.giveBack(&input) }
                guard try connection.read(now: now.monotonic) else { return close(connection) }
                drain(connection, wire)
                if wire.isPaused { paused.append(connection) }
            case .redis(let wire): try readCommands(of: connection, wire)
            }
        } catch {
            close(connection)
        }
    }

    func drain(_ connection: Connection, _ wire: NativeWire) {
        wire.drainDecoder { action in
            perform(action, of: connection)
        } publish: { plain in
            engine.state.publish(
                plain, from: Origin(session: connection.id, correlation: plain.correlation), now: now)
        } handle: { correlation, request in
            engine.state.handle(request, from: Origin(session: connection.id, correlation: correlation), now: now)
        }
    }

    private func perform(_ action: NativeSession.Action, of connection: Connection) {
        switch action {
        case .nothing: break
        case .open(let name, let frame):
            engine.state.open(connection.id, name: name)
            connection.send(frame, now: now.monotonic)
        case .handle(let correlation, let request):
            engine.state.handle(request, from: Origin(session: connection.id, correlation: correlation), now: now)
        case .reply(let frame): connection.send(frame, now: now.monotonic)
        case .end(let frame):
            engine.state.close(connection.id, now: now)
            connection.send(frame, now: now.monotonic)
            connection.end()
        }
    }

    func close(_ connection: Connection) {
        guard connections[connection.token] === connection else { return }
        redis.close(connection.id)
        poller.remove(connection.descriptor.number)
        connections.remove(connection)
        engine.state.close(connection.id, now: now)
    }

    // MARK: Time

    private func tick() {
        nextTick = now.monotonic + Self.tickMilliseconds
        pulse.note(completed(engine.state.status()))
        if let at = acceptsAgainAt, at <= now.monotonic {
            acceptsAgainAt = nil
            for (index, listener) in listeners.enumerated() {
                try? poller.add(
                    listener.descriptor.number, token: Self.listenerTokens + UInt64(index), interest: .read)
            }
        }
        for connection in connections.all {
            switch connection.tick(now: now.monotonic) {
            case .nothing: continue
            case .heartbeat:
                connection.send(.heartbeat, now: now.monotonic)
                touch(connection)
            case .lost(let error):
                logger.notice(
                    "a connection was given up: \(error)", ["BROKER_CONNECTION": String(connection.id.rawValue)])
                switch connection.wire {
                case .native: connection.send(.response(0, .refused(error)), now: now.monotonic)
                case .redis(let wire):
                    let text = RESPError("ERR Protocol error: \(error.message)")
                    connection.send(.error(text), wire.version, now: now.monotonic)
                }
                try? connection.flush(now: now.monotonic) { _, _ in false }
                close(connection)
            }
        }
    }
}
