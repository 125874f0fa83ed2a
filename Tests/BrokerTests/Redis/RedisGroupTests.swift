import BrokerProtocol
import Testing

@testable import Broker

@Suite("Redis groups as subscriptions")
struct RedisGroupTests {
    private func open(_ change: (inout StateLimits) -> Void = { _ in }) -> (RedisDesk, RedisDesk.Client) {
        var limits = StateLimits()
        limits.defaults.delivery.backoffBaseMilliseconds = 0
        change(&limits)
        let desk = RedisDesk(limits: limits)
        return (desk, desk.connect())
    }

    /// A stream `s` with a group `g` and entries.
    private func fill(_ desk: RedisDesk, _ client: RedisDesk.Client, _ count: Int) -> [String] {
        _ = desk.ask("XGROUP CREATE s g 0 MKSTREAM", client)
        return (0..<count).compactMap { desk.ask("XADD s * n \($0)", client)?.text }
    }

    private func read(
        _ desk: RedisDesk, _ client: RedisDesk.Client, _ consumer: String = "c", _ options: String = "",
        from id: String = ">"
    ) -> [String] {
        let reply = desk.ask("XREADGROUP GROUP g \(consumer) \(options) STREAMS s \(id)", client)
        return (reply?[0][1].items ?? []).compactMap { $0[0].text }
    }

    @Test("Groups and keys that are not there, or are there already")
    func errors() {
        let (desk, client) = open()
        #expect(desk.ask("XGROUP CREATE s g $", client)?.errorCode == "ERR")
        #expect(desk.ask("XGROUP CREATE s g $ MKSTREAM", client) == .ok)
        #expect(desk.ask("XGROUP CREATE s g $", client)?.errorCode == "BUSYGROUP")
        #expect(desk.ask("XREADGROUP GROUP h c STREAMS s >", client)?.errorCode == "NOGROUP")
        #expect(desk.ask("XPENDING s h", client)?.errorCode == "NOGROUP")
        #expect(desk.ask("XACK s h 1-1", client) == .integer(0))
        #expect(desk.ask("XGROUP DESTROY s g", client) == .integer(1))
        #expect(desk.ask("XGROUP DESTROY s g", client) == .integer(0))
    }

    @Test("Where a group begins: at the beginning, now, or behind an id")
    func starts() {
        let (desk, client) = open()
        _ = desk.native(.subscriptionCreate(SubscriptionName("s@keep")!, .beginning))
        let first = desk.ask("XADD s * n 1", client)?.text ?? ""
        let second = desk.ask("XADD s * n 2", client)?.text ?? ""
        for (group, start) in [("a", "0"), ("b", "$"), ("c", first)] {
            #expect(desk.ask("XGROUP CREATE s \(group) \(start)", client) == .ok)
        }
        func count(_ group: String) -> Int? {
            desk.ask("XREADGROUP GROUP \(group) x STREAMS s >", client)?[0][1].items.count
        }
        #expect(count("a") == 2)
        #expect(count("b") == 0)
        #expect(count("c") == 1)
        #expect(second > first)
    }

    @Test("What was delivered and not acknowledged stays pending when its connection ends")
    func outlivesConnections() {
        let (desk, client) = open()
        let ids = fill(desk, client, 3)
        #expect(read(desk, client, "c", "COUNT 2") == Array(ids[..<2]))
        desk.close(client)
        let other = desk.connect()
        #expect(desk.ask("XPENDING s g", other)?[0] == .integer(2))
        #expect(read(desk, other, "c", from: "0") == Array(ids[..<2]))
        #expect(read(desk, other, "d") == [ids[2]])
        // Whoever asks.
        #expect(desk.ask("XACK s g \(ids[0]) \(ids[2]) \(ids[0]) 1-1", other) == .integer(2))
        #expect(read(desk, other, "c", from: "0") == [ids[1]])
        #expect(desk.state.disagreements() == [])
    }

    @Test("A pending entry waits for ever; a lease of redis_lease ends, counts and dead-letters")
    func leases() {
        let (patient, client) = open()
        _ = fill(patient, client, 1)
        _ = read(patient, client)
        patient.pass(milliseconds: 400 * 86_400_000)
        #expect(patient.ask("XPENDING s g", client)?[0] == .integer(1))

        let (desk, other) = open {
            $0.groupLeaseMilliseconds = 1_000
            $0.defaults.delivery.poisonDeathsMax = 2
        }
        let ids = fill(desk, other, 1)
        #expect(read(desk, other) == ids)
        desk.pass(milliseconds: 1_000)
        desk.pass(milliseconds: 1)
        #expect(desk.ask("XPENDING s g", other)?[0] == .integer(0))
        #expect(read(desk, other, "d") == ids)
        #expect(desk.ask("XPENDING s g - + 10", other)?[0][3] == .integer(2))
        desk.pass(milliseconds: 1_000)
        #expect(desk.state.subscription(named: SubscriptionName("s@g")!)?.dead.count == 1)
        #expect(desk.state.disagreements() == [])
    }

    @Test("After a restart pending entries come again as new ones, with their count")
    func restart() throws {
        let (desk, client) = open()
        let ids = fill(desk, client, 2)
        _ = read(desk, client)
        _ = desk.ask("XACK s g \(ids[0])", client)
        try desk.restart()
        let again = desk.connect()
        #expect(read(desk, again, "c", from: "0") == [])
        #expect(read(desk, again, "c") == [ids[1]])
        #expect(desk.ask("XPENDING s g - + 10", again)?[0][3] == .integer(2))
    }

    @Test("A claim respects the idle time, moves the entry and counts")
    func claims() {
        let (desk, client) = open()
        let ids = fill(desk, client, 2)
        _ = read(desk, client, "a")
        desk.pass(milliseconds: 50)
        #expect(desk.ask("XCLAIM s g b 100 \(ids[0])", client) == .array([]))
        desk.pass(milliseconds: 50)
        #expect(desk.ask("XCLAIM s g b 100 \(ids[0]) JUSTID", client) == texts(ids[0]))
        #expect(desk.ask("XPENDING s g - + 10 b", client)?[0][3] == .integer(1))
        #expect(desk.ask("XCLAIM s g b 0 \(ids[0]) RETRYCOUNT 7 IDLE 1000", client)?.items.count == 1)
        #expect(desk.ask("XPENDING s g IDLE 1000 - + 10", client)?[0][3] == .integer(7))
        let claimed = desk.ask("XAUTOCLAIM s g z 0 0 COUNT 1", client)
        #expect(claimed?[0] == .bulk(ids[1]))
        #expect(claimed?[1][0][0] == .bulk(ids[0]))
        #expect(desk.ask("XAUTOCLAIM s g z 0 \(ids[1]) JUSTID", client)?[1] == texts(ids[1]))
        #expect(desk.state.disagreements() == [])
    }

    @Test("Only FORCE claims what nobody has, and never a native lease")
    func force() {
        let (desk, client) = open()
        let ids = fill(desk, client, 2)
        #expect(desk.ask("XCLAIM s g b 0 \(ids[1])", client) == .array([]))
        #expect(desk.ask("XCLAIM s g b 0 \(ids[1]) FORCE", client)?.items.count == 1)
        let native = desk.take("s@g")
        #expect(native?.message.id == id(1))
        #expect(desk.ask("XCLAIM s g b 0 \(ids[0]) FORCE", client) == .array([]))
        #expect(desk.ask("XACK s g \(ids[0])", client) == .integer(0))
        let settled = desk.native(.settle([Settlement(native?.notice.lease ?? LeaseID(rawValue: 0), .ack)]))
        #expect(settled == .settled([nil]))
        #expect(desk.state.disagreements() == [])
    }

    @Test("A deleted consumer's entries are ready again")
    func deleteConsumer() {
        let (desk, client) = open()
        let ids = fill(desk, client, 2)
        _ = read(desk, client, "a")
        #expect(desk.ask("XGROUP CREATECONSUMER s g a", client) == .integer(0))
        #expect(desk.ask("XGROUP DELCONSUMER s g a", client) == .integer(2))
        #expect(read(desk, client, "b") == ids)
        #expect(desk.ask("XINFO CONSUMERS s g", client)?.items.count == 1)
        #expect(desk.state.disagreements() == [])
    }

    @Test("NOACK acknowledges at once; a blocked read is served; groups share nothing")
    func reads() {
        let (desk, client) = open()
        _ = fill(desk, client, 0)
        _ = desk.ask("XGROUP CREATE s h 0", client)
        let waiting = desk.connect()
        desk.send("XREADGROUP GROUP g c BLOCK 0 STREAMS s >", waiting)
        let id = desk.ask("XADD s * f v", client)?.text ?? ""
        #expect(waiting.replies.first?[0][1][0][0] == .bulk(id))
        #expect(desk.ask("XREADGROUP GROUP h c NOACK STREAMS s >", client)?[0][1].items.count == 1)
        #expect(desk.ask("XPENDING s h", client)?[0] == .integer(0))
        #expect(desk.ask("XACK s g \(id)", client) == .integer(1))
        #expect(desk.ask("XLEN s", client) == .integer(0))
    }

    @Test("A group that is destroyed ends the wait for it")
    func destroyed() {
        let (desk, client) = open()
        _ = fill(desk, client, 0)
        let waiting = desk.connect()
        desk.send("XREADGROUP GROUP g c BLOCK 0 STREAMS s >", waiting)
        #expect(desk.ask("XGROUP DESTROY s g", client) == .integer(1))
        #expect(waiting.replies.first?.errorCode == "NOGROUP")
        #expect(!desk.state.sessions.keys.contains { $0.isOfGroup })
    }

    @Test("SETID forward drops what was not delivered, for its group alone")
    func setID() {
        let (desk, client) = open()
        let ids = fill(desk, client, 3)
        _ = desk.ask("XGROUP CREATE s h 0", client)
        #expect(desk.ask("XGROUP SETID s g \(ids[1])", client) == .ok)
        #expect(read(desk, client) == [ids[2]])
        #expect(desk.ask("LLEN s@h", client) == .integer(3))
        #expect(desk.ask("XGROUP SETID s h $", client) == .ok)
        #expect(desk.ask("LLEN s@h", client) == .integer(0))
    }

    @Test("Consumers that hold nothing make room for new names")
    func consumerLimit() {
        let (desk, client) = open { $0.consumersPerConnectionMax = 2 }
        _ = fill(desk, client, 2)
        _ = read(desk, client, "a", "COUNT 1")
        _ = read(desk, client, "b", "COUNT 1")
        #expect(desk.ask("XREADGROUP GROUP g c STREAMS s >", client)?.errorCode == "ERR")
        #expect(desk.ask("XACK s g \(read(desk, client, "a", from: "0")[0])", client) == .integer(1))
        #expect(desk.ask("XGROUP CREATECONSUMER s g c", client) == .integer(1))
        #expect(desk.ask("XINFO CONSUMERS s g", client)?.items.count == 2)
    }

    @Test("XCLAIM FORCE takes what is ready in its own stream, never another stream's entry")
    func claimOfAnotherStream() {
        let (desk, client) = open()
        let own = fill(desk, client, 1)[0]
        let other = desk.ask("XADD other * f v", client)?.text ?? ""
        #expect(desk.ask("XCLAIM s g c 0 \(other) FORCE", client) == .array([]))
        #expect(desk.ask("XCLAIM s g c 0 \(own) FORCE", client)?.items.count == 1)
        #expect(desk.ask("LLEN s@g", client) == .integer(0))
        #expect(desk.state.disagreements() == [])
    }
}
