import Broker
import BrokerProtocol
import LinuxIO
import TestSupport
import Testing

/// A broker with both listeners on a directory of its own.
private final class RedisHouse {
    let directory: TemporaryDirectory
    private let configuration: BrokerConfiguration
    private(set) var broker: Broker
    private(set) var url: String

    init(_ change: (inout BrokerConfiguration) -> Void = { _ in }) throws {
        directory = try TemporaryDirectory()
        var configuration = BrokerHouse.configuration(in: directory.path + "/data")
        change(&configuration)
        self.configuration = configuration
        (broker, url) = try Self.start(configuration, directory.path)
    }

    private static func start(_ configuration: BrokerConfiguration, _ path: String) throws -> (Broker, String) {
        let redis = try Listener(on: .tcp(host: "127.0.0.1", port: 0), wire: .redis)
        let unix = try Listener(on: .unix(path: path + "/redis.sock"), wire: .redis)
        return (try Broker.start(configuration, listeners: [redis, unix]), redis.name)
    }

    func restart() async throws {
        await broker.stop()
        (broker, url) = try Self.start(configuration, directory.path)
    }

    func connect() throws -> RedisClient { try RedisClient(url) }
}

@Suite("The Redis listener over sockets")
struct RedisSocketTests {
    @Test("What the shop pushes reaches native workers, and what they publish reaches the shop")
    func bothDirections() async throws {
        let house = try RedisHouse()
        let native = try house.broker.connect(instance: "worker")
        let orders = SubscriptionName("order.created@email")!
        let stream = try await native.deliveries(
            of: orders, credit: 10, start: .beginning, leaseMilliseconds: nil)
        let shop = try house.connect()
        #expect(try shop.ask("LPUSH order.created {\"id\":1}") == .integer(1))
        var deliveries = stream.makeAsyncIterator()
        let delivery = try await deliveries.next()
        #expect(delivery?.body == Array("{\"id\":1}".utf8))
        try shop.send("BRPOP payment.done 0")
        try await native.publish(OutgoingMessage(topic: TopicName("payment.done")!, body: Array("paid".utf8)))
        #expect(try shop.next() == texts("payment.done", "paid"))
        await native.close()
        await house.broker.stop()
    }

    @Test("A pipeline is answered in order, and what was confirmed outlives a restart")
    func pipeline() async throws {
        let house = try RedisHouse()
        let client = try house.connect()
        let commands = (0..<2_000).flatMap { RedisDesk.command("RPUSH q m\($0)") }
        try client.send(bytes: commands)
        for number in 1...2_000 { #expect(try client.next() == .integer(Int64(number))) }
        try await house.restart()
        let again = try RedisClient("unix://\(house.directory.path)/redis.sock")
        #expect(try again.ask("LLEN q") == .integer(2_000))
        try again.send("RPOP q 2000")
        #expect(try again.next()?.items.map(\.text) == (0..<2_000).map { "m\($0)" })
        await house.broker.stop()
    }

    @Test("A client that sends no more still gets its answers")
    func halfClosed() async throws {
        let house = try RedisHouse()
        let client = try house.connect()
        try client.send(bytes: Array("LPUSH q a\r\nLLEN q\r\n".utf8))
        client.endOutput()
        #expect(try client.next() == .integer(1))
        #expect(try client.next() == .integer(1))
        #expect(try client.next() == nil)
        await house.broker.stop()
    }

    @Test("A client that sends no more gets all its answers, also those that were held up")
    func halfClosedAndHeld() async throws {
        let house = try RedisHouse { $0.unconfirmedMax = 100 }
        let client = try house.connect()
        try client.send(bytes: (0..<5_000).flatMap { _ in RedisDesk.command("LPUSH q a") })
        client.endOutput()
        var last: RESPValue?
        while let reply = try client.next() { last = reply }
        #expect(last == .integer(5_000))
        await house.broker.stop()
    }

    @Test("A waiting client that disconnects takes no message with it")
    func disconnected() async throws {
        let house = try RedisHouse()
        let other = try house.connect()
        do {
            let waiting = try house.connect()
            try waiting.send("BRPOP q 0")
            while try other.ask("INFO clients")?.text?.contains("blocked_clients:1") != true {}
        }
        while try other.ask("INFO clients")?.text?.contains("blocked_clients:0") != true {}
        #expect(try other.ask("LPUSH q a") == .integer(1))
        #expect(try other.ask("LLEN q") == .integer(1))
        await house.broker.stop()
    }

    @Test(
        "What is no command is answered with Redis's error, and the connection ends",
        arguments: [
            ("*1000000000\r\n", "ERR Protocol error: invalid multibulk length"),
            ("*2\r\n$-5\r\n", "ERR Protocol error: invalid bulk length"),
            ("*1\r\n$99999999999\r\n", "ERR Protocol error: invalid bulk length"),
            ("*1\r\n*1\r\n", "ERR Protocol error: expected '$', got '*'"),
            ("PING \"half\r\n", "ERR Protocol error: unbalanced quotes in request"),
        ])
    func malformed(bytes: String, error: String) async throws {
        let house = try RedisHouse()
        let client = try house.connect()
        try client.send(bytes: Array(("PING\r\n" + bytes).utf8))
        #expect(try client.next() == .simple("PONG"))
        #expect(try client.next() == .error(RESPError(error)))
        #expect(try client.next() == nil)
        await house.broker.stop()
    }

    @Test("An inline line without an end is cut off")
    func endlessLine() async throws {
        let house = try RedisHouse()
        let client = try house.connect()
        try client.send(bytes: [UInt8](repeating: UInt8(ascii: "a"), count: 80_000))
        #expect(try client.next() == .error("ERR Protocol error: too big inline request"))
        #expect(try client.next() == nil)
        await house.broker.stop()
    }

    @Test("A client that never reads is held up before its replies take much memory")
    func neverReads() async throws {
        let house = try RedisHouse { $0.outputBytesMax = 1 << 20 }
        let greedy = try house.connect()
        let other = try house.connect()
        let body = String(repeating: "x", count: 200_000)
        #expect(try other.ask("LPUSH q \(body)") == .integer(1))
        // A hundred times 20 MB, asked for in a few bytes.
        try greedy.send(bytes: (0..<10_000).flatMap { _ in RedisDesk.command("LRANGE q 0 -1") })
        for _ in 0..<50 { #expect(try other.ask("PING") == .simple("PONG")) }
        for _ in 0..<200 { #expect(try greedy.next()?[0].text?.count == body.count) }
        #expect(try other.ask("LLEN q") == .integer(1))
        await house.broker.stop()
    }

    @Test("Long replies that come from no message are held up as well")
    func longTables() async throws {
        let house = try RedisHouse { $0.outputBytesMax = 1 << 20 }
        let (greedy, other) = (try house.connect(), try house.connect())
        // Some 100 KB each: a gigabyte.
        try greedy.send(bytes: (0..<10_000).flatMap { _ in RedisDesk.command("COMMAND DOCS") })
        let before = Clocks.monotonicMilliseconds()
        for _ in 0..<50 { #expect(try other.ask("PING") == .simple("PONG")) }
        #expect(Clocks.monotonicMilliseconds() - before < 5_000)
        for _ in 0..<20 { #expect(try greedy.next() != nil) }
        await house.broker.stop()
    }

    @Test("QUIT is answered, then the connection ends; CLIENT KILL ends another one")
    func endings() async throws {
        let house = try RedisHouse()
        let (client, other) = (try house.connect(), try house.connect())
        let number = try client.ask("CLIENT ID")
        guard case .integer(let id)? = number else {
            Issue.record("no id: \(String(describing: number))")
            return
        }
        #expect(try other.ask("CLIENT KILL ID \(id)") == .integer(1))
        #expect(try client.next() == nil)
        try other.send("BRPOP q 0.01")
        try other.send("QUIT")
        #expect(try other.next() == .nullArray)
        #expect(try other.next() == .ok)
        #expect(try other.next() == nil)
        await house.broker.stop()
    }

    @Test("Too many connections are turned away in Redis's words")
    func tooMany() async throws {
        let house = try RedisHouse { $0.connectionsMax = 1 }
        let first = try house.connect()
        #expect(try first.ask("PING") == .simple("PONG"))
        #expect(try house.connect().next() == .error("ERR max number of clients reached"))
        await house.broker.stop()
    }

    @Test("HELLO switches the version from its own reply on")
    func hello() async throws {
        let house = try RedisHouse()
        let client = try house.connect()
        try client.send(bytes: RedisDesk.command("CONFIG GET save") + RedisDesk.command("HELLO 3"))
        try client.send(bytes: RedisDesk.command("CONFIG GET save") + RedisDesk.command("RESET"))
        try client.send("CONFIG GET save")
        #expect(try client.next() == texts("save", ""))
        guard case .map? = try client.next() else {
            Issue.record("HELLO 3 is not answered by a map")
            return
        }
        #expect(try client.next() == .map([RESPField(.bulk("save"), .bulk(""))]))
        #expect(try client.next() == .simple("RESET"))
        #expect(try client.next() == texts("save", ""))
        await house.broker.stop()
    }

    @Test("A transaction is seen whole by everybody, also after a restart")
    func transaction() async throws {
        let house = try RedisHouse()
        let client = try house.connect()
        for command in ["MULTI", "RPUSH q a b", "LMOVE q r LEFT RIGHT", "XADD s * f v"] { _ = try client.ask(command) }
        #expect(try client.ask("EXEC")?.items.count == 3)
        try await house.restart()
        let again = try house.connect()
        #expect(try again.ask("LRANGE q 0 -1") == texts("b"))
        #expect(try again.ask("RPOP r") == .bulk("a"))
        #expect(try again.ask("XRANGE s - +")?[0][1] == texts("f", "v"))
        await house.broker.stop()
    }
}
