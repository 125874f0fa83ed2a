import BrokerProtocol
import TestSupport
import Testing

@testable import Broker

/// The Redis commands on a state with a log in memory: bytes go in by hand, replies come out when they are durable.
final class RedisDesk {
    final class Client {
        let session: RedisSession
        fileprivate var decoder = RESPCommandDecoder(
            limits: RESPCommandDecoder.Limits(bulkBytesMax: 1 << 20, commandBytesMax: 1 << 20))
        fileprivate var version = RESPVersion.two
        /// Everything that has left, oldest first.
        fileprivate(set) var replies: [RESPValue] = []
        fileprivate(set) var isHungUp = false

        fileprivate init(_ session: RedisSession) { self.session = session }
    }

    let journal: MemoryJournal
    private(set) var state: BrokerState
    private(set) var server: RedisServer
    var now = Now(monotonic: 5_000_000, wall: WallTime(milliseconds: 1_700_000_000_000))
    /// Whether each turn ends with a sync.
    var syncs = true
    private var limits: StateLimits
    private var clients: [Client] = []
    private var held: [PendingEffect] = []
    private var epoch: UInt32 = 1
    private var nextSession: UInt64 = 1
    /// What native sessions were answered.
    private(set) var effects: [Effect] = []

    init(limits: StateLimits = StateLimits(), journal: MemoryJournal = MemoryJournal()) {
        self.limits = limits
        self.journal = journal
        state = BrokerState(limits: limits, journal: journal, seed: 1)
        state.begin(epoch: 1)
        server = Self.serve(state, journal)
        state.advance(now: now)
    }

    private static func serve(_ state: BrokerState, _ journal: MemoryJournal) -> RedisServer {
        state.readMessage = { (address) throws(BrokerError) in
            guard let payload = journal.payload(at: address.position),
                let message = try? FactCodec.message(in: payload, at: address.offset)
            else { throw BrokerError(.unsupported, "no message at \(address)") }
            return message
        }
        return RedisServer(
            state: state, configuration: BrokerConfiguration(dataDirectory: "memory"), processID: 1)
    }

    /// A new state from what the log holds before `position` (nil: all of it). Clients are gone.
    func restart(keepingBefore position: UInt64? = nil) throws {
        journal.crash(keepingBefore: position ?? journal.end)
        epoch += 1
        clients = []
        held = []
        state = try StateHarness.replay(journal, limits: limits, epoch: epoch)
        server = Self.serve(state, journal)
        state.advance(now: now)
    }

    // MARK: Clients

    func connect() -> Client {
        let id = SessionID(rawValue: nextSession)
        nextSession += 1
        let client = Client(
            server.open(id, address: "127.0.0.1:\(nextSession)", localAddress: "127.0.0.1:7471", now: now))
        clients.append(client)
        return client
    }

    func close(_ client: Client) {
        server.close(client.session.id)
        state.close(client.session.id, now: now)
        clients.removeAll { $0 === client }
        turn()
    }

    /// What arrives is run as far as may be.
    func send(_ bytes: [UInt8], _ client: Client) {
        client.decoder.append(bytes)
        turn()
    }

    func send(_ text: String, _ client: Client) { send(Self.command(text), client) }

    /// - Returns: The next reply to this client; nil when none has come.
    func ask(_ text: String, _ client: Client) -> RESPValue? { ask(Self.words(text), client) }

    func ask(_ words: [[UInt8]], _ client: Client) -> RESPValue? {
        let before = client.replies.count
        send(Self.command(words), client)
        return client.replies.count > before ? client.replies[before] : nil
    }

    static func words(_ text: String) -> [[UInt8]] { text.split(separator: " ").map { Array($0.utf8) } }

    static func command(_ text: String) -> [UInt8] { command(words(text)) }

    static func command(_ words: [[UInt8]]) -> [UInt8] { RESPValue.array(words.map { .bulk($0) }).bytes(as: .two) }

    // MARK: Turns

    func pass(milliseconds: Int64) {
        now.monotonic += milliseconds
        now.wall = now.wall.adding(milliseconds: milliseconds)
        state.advance(now: now)
        turn()
    }

    func turn() {
        // A client that waits goes on when it has its answer.
        for _ in 0..<4 {
            for client in clients { run(client) }
            state.dispatch(now: now)
            held += state.effects
            state.effects = []
            if syncs { journal.sync() }
            while let first = held.first, first.requires <= journal.durableEnd { perform(held.removeFirst().effect) }
        }
    }

    private func run(_ client: Client) {
        while !client.session.isEnding, !server.isWaiting(client.session) {
            do throws(RESPError) {
                guard let command = try client.decoder.next() else { return }
                server.receive(command, from: client.session, now: now)
            } catch {
                server.refuse(error, to: client.session)
            }
        }
    }

    private func perform(_ effect: Effect) {
        switch effect {
        case .answerRedis(let session, let reply):
            guard let client = clients.first(where: { $0.session.id == session }) else { return }
            if case .inVersion(let version, _) = reply { client.version = version }
            do {
                let value = try reply.value(in: client.version) { notice in
                    try state.readMessage(state.messages[notice.id]?.address ?? notice.address)
                }
                var decoder = RESPReplyDecoder()
                decoder.append(value.bytes(as: client.version))
                if let seen = try decoder.next() { client.replies.append(seen) }
            } catch {
                Issue.record("a body cannot be read: \(error)")
            }
            client.session.noteAnswered(bytes: reply.messageBytes)
        case .hangUp(let session): clients.first { $0.session.id == session }?.isHungUp = true
        default: effects.append(effect)
        }
    }

    // MARK: Native side

    /// A request of a native client.
    func native(_ request: Request, session: UInt64 = 9_000) -> Response? {
        let id = SessionID(rawValue: session)
        if state.sessions[id] == nil { state.open(id, name: "native") }
        let before = effects.count
        state.handle(request, from: Origin(session: id, correlation: UInt32(before)), now: now)
        turn()
        for case .respond(_, let response) in effects[before...] { return response }
        return nil
    }

    @discardableResult
    func publish(_ topic: String, _ body: String, headers: [Header] = []) -> MessageID? {
        let message = OutgoingMessage(topic: TopicName(topic)!, body: Array(body.utf8), headers: headers)
        guard case .published(let results)? = native(.publish([message])) else { return nil }
        return try? results.first?.get().id
    }

    /// Takes the first message natively, unacknowledged.
    func take(_ name: String, session: UInt64 = 9_000) -> (notice: Notice, message: PublishedMessage)? {
        let before = effects.count
        _ = native(.pop([SubscriptionName(name)!], timeoutMilliseconds: 0, acknowledges: false), session: session)
        for case .answerPop(_, let notice) in effects[before...] {
            guard let message = try? state.readMessage(notice.address) else { return nil }
            return (notice, message)
        }
        return nil
    }

    /// How many records of the log carry anything but definitions.
    var recordCount: Int { journal.records.count }
}

func texts(_ words: String...) -> RESPValue { .array(words.map { .bulk($0) }) }

extension RESPValue {
    /// The code of an error, such as `NOGROUP`.
    var errorCode: String? {
        guard case .error(let error) = self else { return nil }
        return error.description.split(separator: " ").first.map(String.init)
    }

    var items: [RESPValue] {
        switch self {
        case .array(let values): values
        case .map(let fields): fields.flatMap { [$0.key, $0.value] }
        default: []
        }
    }

    var text: String? {
        switch self {
        case .bulk(let bytes): String(decoding: bytes, as: UTF8.self)
        case .simple(let text): text
        default: nil
        }
    }

    subscript(index: Int) -> RESPValue { index < items.count ? items[index] : .null }
}
