import BrokerProtocol
import Testing

@testable import Broker

@Suite("Redis streams as topics")
struct RedisStreamTests {
    let desk = RedisDesk()

    private func add(_ fields: String, to key: String = "s", _ client: RedisDesk.Client) -> String {
        desk.ask("XADD \(key) * \(fields)", client)?.text ?? ""
    }

    private func ids(_ reply: RESPValue?) -> [String] { (reply?.items ?? []).compactMap { $0[0].text } }

    @Test("An entry's id is the publish time and the message id, and ranges go by it")
    func ids() {
        let client = desk.connect()
        let first = add("f 1", client)
        desk.pass(milliseconds: 10)
        let second = add("f 2", client)
        #expect(first == "1700000000000-1")
        #expect(second == "1700000000010-2")
        #expect(desk.ask("XLEN s", client) == .integer(2))
        #expect(ids(desk.ask("XRANGE s - +", client)) == [first, second])
        #expect(ids(desk.ask("XREVRANGE s + - COUNT 1", client)) == [second])
        #expect(ids(desk.ask("XRANGE s (\(first) +", client)) == [second])
        #expect(ids(desk.ask("XRANGE s - (\(second)", client)) == [first])
        #expect(ids(desk.ask("XRANGE s 1700000000001 +", client)) == [second])
        #expect(ids(desk.ask("XRANGE s - 1700000000009", client)) == [first])
    }

    @Test("A reader misses nothing when the clock is set back")
    func clockSetBack() {
        let client = desk.connect()
        let first = add("f 1", client)
        desk.now.wall = desk.now.wall.adding(milliseconds: -60_000)
        let second = add("f 2", client)
        #expect(ids(desk.ask("XREAD STREAMS s \(first)", client)?[0][1]) == [second])
    }

    @Test("A reader that waits gets what is published, by whomever")
    func blockingRead() {
        let (reader, writer) = (desk.connect(), desk.connect())
        _ = add("f 0", writer)
        desk.send("XREAD BLOCK 1000 STREAMS s t $ $", reader)
        #expect(reader.replies.isEmpty)
        desk.publish("t", "hello")
        #expect(reader.replies.count == 1)
        #expect(reader.replies[0][0][1][0][1] == texts("body", "hello"))
        desk.send("XREAD BLOCK 50 STREAMS s $", reader)
        desk.pass(milliseconds: 50)
        #expect(reader.replies.last == .nullArray)
        #expect(desk.ask("RPOP t", writer) == .bulk("hello"))
    }

    @Test("XDEL and MAXLEN delete for everybody; dead letters stay")
    func deleting() {
        let client = desk.connect()
        _ = desk.ask("XGROUP CREATE s g 0 MKSTREAM", client)
        let first = add("f 1", client)
        _ = desk.ask("XGROUP CREATE s h 0", client)
        let token = desk.ask("BTAKE s@g 0", client)?[0][1].text ?? ""
        _ = desk.ask("REJECT \(token) bad", client)
        #expect(desk.ask("XDEL s \(first) 1-1", client) == .integer(1))
        #expect(desk.ask("XLEN s", client) == .integer(0))
        #expect(desk.state.subscription(named: SubscriptionName("s@g")!)?.dead.count == 1)
        for number in 2...5 { _ = desk.ask("XADD s MAXLEN 2 * f \(number)", client) }
        #expect(desk.ask("XLEN s", client) == .integer(2))
        #expect(desk.ask("LLEN s@h", client) == .integer(2))
        #expect(desk.ask("XTRIM s MAXLEN 0", client) == .integer(2))
        #expect(desk.state.disagreements() == [])
    }

    @Test("NOMKSTREAM makes nothing; an explicit id is refused; IDMP finds the first entry")
    func additions() {
        let client = desk.connect()
        #expect(desk.ask("XADD s NOMKSTREAM * f v", client) == .null)
        #expect(desk.state.topics.isEmpty)
        #expect(desk.ask("XADD s 5-1 f v", client)?.errorCode == "ERR")
        let first = desk.ask("XADD s IDMP shop 17 * f v", client)
        desk.pass(milliseconds: 5)
        #expect(desk.ask("XADD s IDMP shop 17 * f v", client) == first)
        #expect(desk.ask("XLEN s", client) == .integer(1))
        _ = desk.ask("XDEL s \(first?.text ?? "")", client)
        #expect(desk.ask("XADD s IDMP shop 17 * f v", client) == first)
        #expect(desk.ask("XADD s IDMP shop 18 * f v", client) != first)
    }

    @Test("A subscription's key is a list and no stream")
    func wrongType() {
        let client = desk.connect()
        #expect(desk.ask("XLEN s@g", client)?.errorCode == "WRONGTYPE")
        #expect(desk.ask("XADD s@g * f v", client)?.errorCode == "WRONGTYPE")
    }

    // MARK: Fields

    @Test("A native consumer reads the body and the headers that XADD wrote")
    func toNative() {
        let client = desk.connect()
        _ = add("body hello type greeting", client)
        let canonical = desk.take("s")?.message
        #expect(canonical?.body == Array("hello".utf8))
        #expect(canonical?.headers == [Header("type", "greeting")])
        _ = add("order 17 price 3", client)
        let first = desk.take("s")?.message
        #expect(first?.body == Array("17".utf8))
        #expect(first?.headers == [Header("price", "3"), Header("redis-body", "0:order")])
    }

    @Test("XRANGE shows a native message as body and headers")
    func fromNative() {
        let client = desk.connect()
        desk.publish("s", "hello", headers: [Header("a", "1"), Header("redis-body", "nonsense")])
        #expect(
            desk.ask("XRANGE s - +", client)?[0][1] == texts("body", "hello", "a", "1", "redis-body", "nonsense"))
    }

    @Test("Any fields come back as they were", arguments: 0..<40)
    func roundTrip(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        let names: [[UInt8]] = ["body", "redis-body", "a", "", "é", "1:x"].map { Array($0.utf8) } + [[0xFF, 0x00]]
        for _ in 0..<50 {
            var fields: [[UInt8]] = []
            for _ in 0..<Int.random(in: 1...6, using: &random) {
                fields.append(names[Int.random(in: 0..<names.count, using: &random)])
                let length =
                    Int.random(in: 0...30, using: &random) * (Int.random(in: 0...9, using: &random) == 0 ? 90 : 1)
                let isText = Int.random(in: 0...3, using: &random) > 0
                fields.append(
                    (0..<length).map { _ in
                        isText ? UInt8.random(in: 32...126, using: &random) : .random(in: 0...255, using: &random)
                    })
            }
            let (body, headers) = RedisFields.message(fields[...], headersBytesMax: 2_000)
            let bytes = headers.reduce(0) { $0 + $1.key.utf8.count + $1.value.utf8.count + 4 }
            #expect(bytes <= 2_000)
            let message = PublishedMessage(
                id: id(1), topic: TopicID(rawValue: 1), publishedAt: WallTime(milliseconds: 0), priority: 4,
                orderingKey: nil, deliverAt: nil, expiresAt: nil, dedupID: nil, headers: headers, body: body)
            #expect(RedisFields.fields(of: message) == fields)
        }
    }

    @Test("In RESP3 a read answers a map")
    func maps() {
        let client = desk.connect()
        _ = desk.ask("HELLO 3", client)
        let id = add("f v", client)
        #expect(
            desk.ask("XREAD STREAMS s 0", client)
                == .map([RESPField(.bulk("s"), .array([.array([.bulk(id), texts("f", "v")])]))]))
    }

    @Test("A read names a hundred streams at most")
    func manyStreams() {
        let client = desk.connect()
        let id = add("f v", client)
        func read(_ count: Int) -> RESPValue? {
            let (keys, ids) = (Array(repeating: "s", count: count), Array(repeating: "0", count: count))
            return desk.ask("XREAD COUNT 1 STREAMS " + (keys + ids).joined(separator: " "), client)
        }
        #expect(read(100)?.items.count == 100 && read(100)?[0][1][0][0] == .bulk(id))
        #expect(read(101)?.errorCode == "ERR")
    }
}
