import BrokerProtocol
import Testing

@testable import Broker

@Suite("Redis lists as topics")
struct RedisListTests {
    let desk = RedisDesk()

    @Test("LPUSH with RPOP and RPUSH with LPOP are queues")
    func queues() {
        let client = desk.connect()
        #expect(desk.ask("LPUSH q a b c", client) == .integer(3))
        #expect(desk.ask("RPOP q", client) == .bulk("a"))
        #expect(desk.ask("BRPOP q 0", client) == texts("q", "b"))
        #expect(desk.ask("RPUSH p 1 2", client) == .integer(2))
        #expect(desk.ask("LPOP p", client) == .bulk("1"))
        #expect(desk.ask("BLPOP p 0", client) == texts("p", "2"))
        #expect(desk.ask("LLEN q", client) == .integer(1))
    }

    @Test("The values of one push are one record")
    func oneRecord() {
        let client = desk.connect()
        _ = desk.ask("LPUSH q first", client)
        let before = desk.recordCount
        _ = desk.ask("LPUSH q a b c", client)
        #expect(desk.recordCount == before + 1)
    }

    @Test("A reply leaves when its record is durable, and not before; replies keep their order")
    func durability() {
        let client = desk.connect()
        desk.syncs = false
        desk.send("LPUSH q a", client)
        desk.send("PING", client)
        #expect(client.replies.isEmpty)
        desk.journal.sync()
        desk.turn()
        #expect(client.replies == [.integer(1), .simple("PONG")])
    }

    @Test("A pop is a durable acknowledgement")
    func popIsDurable() throws {
        let client = desk.connect()
        _ = desk.ask("LPUSH q a b", client)
        #expect(desk.ask("RPOP q", client) == .bulk("a"))
        try desk.restart()
        let again = desk.connect()
        #expect(desk.ask("LRANGE q 0 -1", again) == texts("b"))
    }

    @Test("After LPUSH index 0 is the newest, after RPUSH the oldest")
    func views() {
        let client = desk.connect()
        _ = desk.ask("LPUSH q a b c", client)
        #expect(desk.ask("LRANGE q 0 -1", client) == texts("c", "b", "a"))
        #expect(desk.ask("LINDEX q 0", client) == .bulk("c"))
        #expect(desk.ask("LINDEX q -1", client) == .bulk("a"))
        _ = desk.ask("RPUSH q d", client)
        #expect(desk.ask("LRANGE q 0 -1", client) == texts("a", "b", "c", "d"))
        #expect(desk.ask("LRANGE q 1 2", client) == texts("b", "c"))
        #expect(desk.ask("LRANGE q 5 9", client) == .array([]))
        #expect(desk.ask("LINDEX q 4", client) == .null)
    }

    @Test("A list shows what would be popped, by priority, with returned and blocked messages")
    func priorities() {
        let client = desk.connect()
        for (body, priority) in [("low", 1), ("a", 4), ("high", 9), ("b", 4)] {
            _ = desk.ask("PUBLISHX q \(body) PRIORITY \(priority) KEY k\(priority)", client)
        }
        _ = desk.ask("RPUSH q c", client)
        let taken = desk.ask("BTAKE q 0", client)?[0]
        #expect(taken?[3] == .bulk("high"))
        #expect(desk.ask("LRANGE q 0 -1", client) == texts("a", "b", "c", "low"))
        #expect(desk.ask("RELEASE \(taken?[1].text ?? "")", client) == .ok)
        desk.pass(milliseconds: 1)
        #expect(desk.ask("LRANGE q 0 -1", client) == texts("high", "a", "b", "c", "low"))
        #expect(desk.ask("RPOP q 9", client) == texts("high", "a", "b", "c", "low"))
        #expect(desk.state.disagreements() == [])
    }

    @Test("RPOP with a count, and its nulls")
    func counts() {
        let client = desk.connect()
        #expect(desk.ask("RPOP q", client) == .null)
        #expect(desk.ask("RPOP q 2", client) == .nullArray)
        _ = desk.ask("LPUSH q a b c", client)
        #expect(desk.ask("RPOP q 0", client) == .array([]))
        #expect(desk.ask("LPOP q 2", client) == texts("a", "b"))
        #expect(desk.ask("RPOP q 9", client) == texts("c"))
        #expect(desk.ask("RPOP q -1", client)?.errorCode == "ERR")
    }

    @Test("A pop that finds no topic makes none; one that waits does")
    func making() {
        let client = desk.connect()
        _ = desk.ask("RPOP q", client)
        #expect(desk.state.topics.isEmpty)
        desk.send("BRPOP q 1", client)
        #expect(desk.state.topics.count == 1)
        desk.pass(milliseconds: 1_000)
        #expect(client.replies.last == .nullArray)
        #expect(desk.ask("KEYS *", client) == .array([]))
        #expect(desk.ask("EXISTS q", client) == .integer(0))
    }

    @Test("The first key that has something wins")
    func severalKeys() {
        let client = desk.connect()
        _ = desk.ask("LPUSH b x", client)
        _ = desk.ask("LPUSH c y", client)
        #expect(desk.ask("BRPOP a b c 0", client) == texts("b", "x"))
        #expect(desk.ask("BRPOP a b c 0", client) == texts("c", "y"))
    }

    @Test("Blocked clients are served first come first served, native and Redis alike")
    func firstCome() {
        let (first, second, pusher) = (desk.connect(), desk.connect(), desk.connect())
        desk.send("BRPOP q 0", first)
        _ = desk.native(.pop([SubscriptionName("q")!], timeoutMilliseconds: -1, acknowledges: true))
        desk.send("BRPOP q 0", second)
        let before = desk.effects.count
        #expect(desk.ask("LPUSH q a b c", pusher) == .integer(3))
        #expect(first.replies == [texts("q", "a")])
        #expect(second.replies == [texts("q", "c")])
        #expect(desk.effects[before...].contains { if case .answerPop = $0 { true } else { false } })
        #expect(desk.ask("LLEN q", pusher) == .integer(0))
    }

    @Test("A push into a topic whose intake is paused is refused with the reason; after the resume it is taken")
    func pausedIntake() throws {
        let client = desk.connect()
        _ = desk.ask("LPUSH q a", client)
        let topic = PauseTarget.topic(try #require(TopicName("q")))
        #expect(desk.native(.pause(topic, .intake, until: nil)) == .done)
        for push in ["LPUSH q b", "RPUSH q b", "LPUSHX q b", "PUBLISHX q b"] {
            guard case .error(let error)? = desk.ask(push, client) else {
                Issue.record("\(push) was not refused")
                continue
            }
            #expect(error.description.contains("TOPIC_PAUSED"), "\(error)")
        }
        #expect(desk.ask("RPOP q 9", client) == texts("a"))
        #expect(desk.native(.resume(topic, .intake)) == .done)
        #expect(desk.ask("LPUSH q b", client) == .integer(1))
    }

    @Test("While the delivery is paused pops find nothing, a blocked one waits; it gets the message at the resume")
    func pausedDelivery() throws {
        let (waiting, other) = (desk.connect(), desk.connect())
        let topic = PauseTarget.topic(try #require(TopicName("q")))
        _ = desk.ask("LPUSH q a b", other)
        #expect(desk.native(.pause(topic, .delivery, until: nil)) == .done)
        desk.send("BRPOP q 0", waiting)
        desk.pass(milliseconds: 5_000)
        #expect(waiting.replies.isEmpty)
        #expect(desk.ask("RPOP q", other) == .null)
        #expect(desk.ask("LPUSH q c", other) == .integer(3))
        #expect(waiting.replies.isEmpty)
        #expect(desk.native(.resume(topic, .delivery)) == .done)
        #expect(waiting.replies == [texts("q", "a")])
        #expect(desk.ask("RPOP q 9", other) == texts("b", "c"))
    }

    @Test("LREM finds a body also where headers stand with it, and takes no other one")
    func removalWithHeaders() {
        let client = desk.connect()
        desk.publish("q", "a", headers: [Header("n", "1")])
        desk.publish("q", "b")
        desk.publish("q", "a")
        desk.publish("q", "aa", headers: [Header("n", "2")])
        #expect(desk.ask("LREM q 0 a", client) == .integer(2))
        #expect(desk.ask("LRANGE q 0 -1", client).map { Set($0.items.map(\.text)) } == ["b", "aa"])
    }

    @Test("A blocked command holds up its own connection only")
    func holdsUp() {
        let (waiting, other) = (desk.connect(), desk.connect())
        desk.send(RedisDesk.command("BRPOP q 0") + RedisDesk.command("PING"), waiting)
        #expect(desk.ask("PING", other) == .simple("PONG"))
        #expect(waiting.replies.isEmpty)
        _ = desk.ask("LPUSH q a", other)
        #expect(waiting.replies == [texts("q", "a"), .simple("PONG")])
    }

    @Test("A message is never given to a client that has gone")
    func gone() {
        let (waiting, other) = (desk.connect(), desk.connect())
        desk.send("BRPOP q 0", waiting)
        desk.close(waiting)
        #expect(desk.ask("LPUSH q a", other) == .integer(1))
        #expect(desk.ask("RPOP q", other) == .bulk("a"))
    }

    @Test("A move is one record: a crash leaves the message in one of the two places")
    func move() throws {
        let client = desk.connect()
        _ = desk.ask("LPUSH q first a b", client)
        _ = desk.ask("LPUSH r z", client)
        // The first pop makes the subscription one that was asked for.
        _ = desk.ask("RPOP q", client)
        let before = (records: desk.recordCount, end: desk.journal.end)
        desk.syncs = false
        _ = desk.ask("LMOVE q r RIGHT LEFT", client)
        #expect(desk.recordCount == before.records + 1)
        try desk.restart(keepingBefore: before.end)
        desk.syncs = true
        let again = desk.connect()
        #expect(desk.ask("LRANGE q 0 -1", again) == texts("b", "a"))
        #expect(desk.ask("LRANGE r 0 -1", again) == texts("z"))
        #expect(desk.ask("RPOPLPUSH q r", again) == .bulk("a"))
        #expect(desk.ask("LMOVE q q LEFT RIGHT", again) == .bulk("b"))
        #expect(desk.ask("LRANGE r 0 -1", again) == texts("a", "z"))
        #expect(desk.state.disagreements() == [])
    }

    @Test("A move that waits passes on what comes, with its headers")
    func blockingMove() {
        let (waiting, other) = (desk.connect(), desk.connect())
        desk.send("BLMOVE q r RIGHT LEFT 0", waiting)
        desk.publish("q", "body", headers: [Header("colour", "red")])
        #expect(waiting.replies == [.bulk("body")])
        #expect(desk.ask("BTAKE r 0", other)?[0][4] == texts("colour", "red"))
    }

    @Test("LREM and LTRIM drop messages of one subscription")
    func removals() {
        let client = desk.connect()
        _ = desk.native(.subscriptionCreate(SubscriptionName("q@audit")!, .beginning))
        _ = desk.native(.subscriptionCreate(SubscriptionName("q@default")!, .beginning))
        _ = desk.ask("RPUSH q a b a c a", client)
        #expect(desk.ask("LREM q 2 a", client) == .integer(2))
        #expect(desk.ask("LRANGE q 0 -1", client) == texts("b", "c", "a"))
        #expect(desk.ask("LREM q -1 a", client) == .integer(1))
        #expect(desk.ask("LREM q 0 no", client) == .integer(0))
        #expect(desk.ask("LTRIM q 1 -1", client) == .ok)
        #expect(desk.ask("LRANGE q 0 -1", client) == texts("c"))
        #expect(desk.ask("LRANGE q@audit 0 -1", client) == texts("a", "b", "a", "c", "a"))
        #expect(desk.state.disagreements() == [])
    }

    @Test("Without a default subscription, a removal does not guess which one is meant")
    func noGuess() {
        let client = desk.connect()
        _ = desk.native(.subscriptionCreate(SubscriptionName("q@audit")!, .beginning))
        _ = desk.ask("RPUSH q a", client)
        #expect(desk.ask("LREM q 0 a", client)?.errorCode == "ERR")
        #expect(desk.ask("LLEN q", client) == .integer(1))
        #expect(desk.ask("LREM q@audit 0 a", client) == .integer(1))
    }

    @Test("DEL never destroys what named subscriptions wait for")
    func deletion() {
        let client = desk.connect()
        _ = desk.native(.subscriptionCreate(SubscriptionName("q@email")!, .beginning))
        _ = desk.ask("LPUSH q a", client)
        _ = desk.ask("LPUSH p a", client)
        #expect(desk.ask("DEL p q", client)?.errorCode == "ERR")
        #expect(desk.ask("LLEN p", client) == .integer(1))
        #expect(desk.ask("DEL q@email p none", client) == .integer(2))
        #expect(desk.ask("LLEN q", client) == .integer(0))
        #expect(desk.state.topics.values.map(\.name.text) == ["q"])
    }

    @Test("DEL empties a topic that is more than what waits in it")
    func emptying() {
        let (client, waiting) = (desk.connect(), desk.connect())
        _ = desk.ask("LPUSH q a b", client)
        let token = desk.ask("BTAKE q 0", client)?[0][1].text ?? ""
        #expect(desk.ask("DEL q", client) == .integer(1))
        #expect(desk.ask("EXISTS q", client) == .integer(0))
        #expect(desk.ask("ACK \(token)", client) == .ok)
        desk.send("BRPOP q 0", waiting)
        _ = desk.ask("LPUSH q c", client)
        #expect(waiting.replies == [texts("q", "c")])
    }

    @Test("A key may name a subscription for pops, never for pushes")
    func subscriptionKeys() {
        let client = desk.connect()
        _ = desk.native(.subscriptionCreate(SubscriptionName("q@email")!, .beginning))
        #expect(desk.ask("LPUSH q a", client) == .integer(1))
        #expect(desk.ask("LPUSH q@email a", client)?.errorCode == "ERR")
        #expect(desk.ask("BRPOP q@email 0", client) == texts("q@email", "a"))
        #expect(desk.ask("LPUSH no:@name a", client)?.errorCode == "ERR")
    }

    @Test("Keys, their kinds, and pieces of them")
    func keys() {
        let client = desk.connect()
        for topic in ["a1", "a2", "b1"] { _ = desk.ask("LPUSH \(topic) x", client) }
        _ = desk.ask("XADD s * f v", client)
        #expect(desk.ask("KEYS a[12]", client) == texts("a1", "a2"))
        #expect(desk.ask("DBSIZE", client) == .integer(4))
        #expect(desk.ask("TYPE s", client) == .simple("stream"))
        #expect(desk.ask("TYPE a1", client) == .simple("list"))
        #expect(desk.ask("EXISTS a1 a1 none", client) == .integer(2))
        var cursor = "0"
        var found: [RESPValue] = []
        repeat {
            let reply = desk.ask("SCAN \(cursor) COUNT 1 TYPE list", client)
            found += reply?[1].items ?? []
            cursor = reply?[0].text ?? "0"
        } while cursor != "0"
        #expect(found == [.bulk("a1"), .bulk("a2"), .bulk("b1")])
    }

    @Test("A full topic and a full disk answer with the codes that clients know")
    func full() {
        let client = desk.connect()
        var settings = TopicSettings()
        settings.messagesMax = 2
        _ = desk.native(.topicCreate(TopicName("q")!, settings))
        #expect(desk.ask("LPUSH q a b c", client)?.errorCode == "OOM")
        #expect(desk.ask("LPUSH q a b", client) == .integer(2))
        desk.journal.publishBytesFree = 0
        #expect(desk.ask("LPUSH r a", client)?.errorCode == "MISCONF")
        #expect(desk.ask("RPOP q", client) == .bulk("a"))
    }

    @Test("A stop hangs up on those who wait and takes no publishes")
    func drain() {
        let (waiting, client) = (desk.connect(), desk.connect())
        desk.send("BRPOP q 0", waiting)
        desk.state.drain()
        desk.turn()
        #expect(waiting.isHungUp)
        #expect(waiting.replies.isEmpty)
        #expect(desk.ask("LPUSH q a", client)?.errorCode == "LOADING")
        #expect(desk.ask("BRPOP q 0", client)?.errorCode == "LOADING")
    }
}
