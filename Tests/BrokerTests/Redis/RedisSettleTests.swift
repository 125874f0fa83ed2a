import BrokerProtocol
import Testing

@testable import Broker

@Suite("Redis extension commands")
struct RedisSettleTests {
    let desk = RedisDesk()

    @Test("BTAKE leases, ACK is final, and a token works once and on its own connection")
    func acknowledging() throws {
        let (client, other) = (desk.connect(), desk.connect())
        #expect(desk.ask("PUBLISHX q hello HEADER a 1 HEADER b 2", client) == .array([.bulk("1"), .integer(0)]))
        let taken = desk.ask("BTAKE none q 0", client)?[0]
        #expect(taken?.items.count == 6)
        #expect(taken?[0] == .bulk("1"))
        #expect(taken?[2] == .integer(1))
        #expect(taken?[3] == .bulk("hello"))
        #expect(taken?[4] == texts("a", "1", "b", "2"))
        #expect(taken?[5] == .bulk("q"))
        let token = taken?[1].text ?? ""
        #expect(desk.ask("ACK \(token)", other)?.errorCode == "LEASE_LOST")
        #expect(desk.ask("ACK \(token)", client) == .ok)
        #expect(desk.ask("ACK \(token)", client)?.errorCode == "LEASE_LOST")
        try desk.restart()
        #expect(desk.ask("LLEN q", desk.connect()) == .integer(0))
    }

    @Test("FAIL counts and waits, RELEASE does not count, REJECT dead-letters")
    func verdicts() {
        let client = desk.connect()
        _ = desk.ask("LPUSH q x", client)
        func take() -> RESPValue? { desk.ask("BTAKE q 0.001", client)?[0] }
        let first = take()?[1].text ?? ""
        #expect(desk.ask("FAIL \(first) broken AFTER 500", client) == .ok)
        #expect(desk.ask("LLEN q", client) == .integer(0))
        desk.pass(milliseconds: 500)
        let second = take()
        #expect(second?[2] == .integer(2))
        #expect(desk.ask("RELEASE \(second?[1].text ?? "")", client) == .ok)
        desk.pass(milliseconds: 1)
        let third = take()
        #expect(third?[2] == .integer(2))
        #expect(desk.ask("REJECT \(third?[1].text ?? "") unreadable", client) == .ok)
        let dead = desk.state.subscription(named: SubscriptionName("q")!)
        #expect(dead?.slots[id(1)]?.deathReason == "rejected: unreadable")
        #expect(dead?.slots[id(1)]?.lastError == "broken")
    }

    @Test("Several tokens are one record, each with its own answer")
    func several() {
        let client = desk.connect()
        _ = desk.ask("LPUSH q a b", client)
        let taken = desk.ask("BTAKE q 0 COUNT 5", client)?.items ?? []
        #expect(taken.count == 2)
        let before = desk.recordCount
        let reply = desk.ask("ACK \(taken[0][1].text ?? "") 7 \(taken[1][1].text ?? "")", client)
        #expect(reply?[0] == .ok)
        #expect(reply?[1].errorCode == "LEASE_LOST")
        #expect(reply?[2] == .ok)
        #expect(desk.recordCount == before + 1)
    }

    @Test("A lease ends at its time, later with EXTEND, and with its connection")
    func leases() {
        let (client, other) = (desk.connect(), desk.connect())
        _ = desk.ask("LPUSH q a", client)
        let token = desk.ask("BTAKE q 0 LEASE 1000", client)?[0][1].text ?? ""
        desk.pass(milliseconds: 900)
        #expect(desk.ask("EXTEND \(token) 1000", client) == .ok)
        desk.pass(milliseconds: 900)
        #expect(desk.ask("EXTEND \(token) 60000", client) == .ok)
        desk.close(client)
        desk.pass(milliseconds: 2_000)
        #expect(desk.ask("BTAKE q 0", other)?[0][2] == .integer(2))
        #expect(desk.ask("EXTEND \(token) 1000", other)?.errorCode == "LEASE_LOST")
    }

    @Test("BTAKE waits, and times out")
    func waiting() {
        let (client, other) = (desk.connect(), desk.connect())
        desk.send("BTAKE q 0.5", client)
        _ = desk.ask("LPUSH q a", other)
        #expect(client.replies.first?[0][3] == .bulk("a"))
        desk.send("BTAKE q 0.5", client)
        desk.pass(milliseconds: 500)
        #expect(client.replies.last == .nullArray)
    }

    @Test("PUBLISHX: delay, expiry, priority, key, dedup")
    func options() {
        let client = desk.connect()
        _ = desk.ask("PUBLISHX q late DELAY 1000", client)
        #expect(desk.ask("LLEN q", client) == .integer(0))
        _ = desk.ask("PUBLISHX q low PRIORITY 0", client)
        _ = desk.ask("PUBLISHX q high PRIORITY 9", client)
        _ = desk.ask("PUBLISHX q gone EXPIRE 10", client)
        #expect(desk.ask("PUBLISHX q once DEDUP d", client)?[1] == .integer(0))
        #expect(desk.ask("PUBLISHX q once DEDUP d", client)?[1] == .integer(1))
        desk.pass(milliseconds: 1_000)
        #expect(desk.ask("RPOP q 9", client) == texts("high", "late", "once", "low"))
        for wrong in ["PRIORITY 10", "PRIORITY x", "DELAY -1", "HEADER a", "NONSENSE 1", "KEY"] {
            #expect(desk.ask("PUBLISHX q x \(wrong)", client)?.errorCode == "ERR", "\(wrong)")
        }
    }

    @Test("The limit of leases holds")
    func limit() {
        var limits = StateLimits()
        limits.leasesPerConnectionMax = 2
        let desk = RedisDesk(limits: limits)
        let client = desk.connect()
        _ = desk.ask("LPUSH q a b c", client)
        #expect(desk.ask("BTAKE q 0 COUNT 9", client)?.items.count == 2)
        #expect(desk.ask("BTAKE q 0", client)?.errorCode == "ERR")
    }
}
