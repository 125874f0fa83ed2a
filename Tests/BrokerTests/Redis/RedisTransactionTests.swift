import BrokerProtocol
import Testing

@testable import Broker

@Suite("Redis transactions")
struct RedisTransactionTests {
    private func queue(_ commands: [String], _ desk: RedisDesk, _ client: RedisDesk.Client) {
        #expect(desk.ask("MULTI", client) == .ok)
        for command in commands { #expect(desk.ask(command, client) == .simple("QUEUED"), "\(command)") }
    }

    @Test("Publishes, pops and settles of a transaction are one record: all of it, or nothing after a crash")
    func oneRecord() throws {
        for isKept in [true, false] {
            let desk = RedisDesk()
            let client = desk.connect()
            _ = desk.ask("RPUSH q a b", client)
            _ = desk.ask("RPUSH out seen", client)
            let token = desk.ask("BTAKE q 0", client)?[0][1].text ?? ""
            let before = (records: desk.recordCount, end: desk.journal.end)
            desk.syncs = false
            queue(["RPUSH out one two", "ACK \(token)", "RPOP q", "LLEN out"], desk, client)
            #expect(desk.recordCount == before.records)
            #expect(client.replies.last == .simple("QUEUED"))
            desk.send("EXEC", client)
            #expect(desk.recordCount == before.records + 1)
            // Not durable yet.
            #expect(client.replies.last == .simple("QUEUED"))
            #expect(desk.state.disagreements() == [])
            if isKept {
                desk.journal.sync()
                desk.turn()
                #expect(client.replies.last == .array([.integer(3), .ok, .bulk("b"), .integer(3)]))
            }
            try desk.restart(keepingBefore: isKept ? nil : before.end)
            desk.syncs = true
            let again = desk.connect()
            #expect(desk.ask("LLEN q", again) == .integer(isKept ? 0 : 2))
            #expect(desk.ask("RPOP out 9", again) == (isKept ? texts("seen", "one", "two") : texts("seen")))
        }
    }

    @Test("A command sees what the ones before it did, bodies included")
    func sees() {
        let desk = RedisDesk()
        let client = desk.connect()
        queue(["RPUSH q a b", "LPOP q", "LRANGE q 0 -1", "LMOVE q r LEFT RIGHT", "LREM r 0 b", "LLEN r"], desk, client)
        #expect(
            desk.ask("EXEC", client)
                == .array([.integer(2), .bulk("a"), texts("b"), .bulk("b"), .integer(1), .integer(0)]))
    }

    @Test("A lost lease discards the whole transaction")
    func lostLease() {
        let desk = RedisDesk()
        let client = desk.connect()
        _ = desk.ask("LPUSH q a", client)
        let token = desk.ask("BTAKE q 0 LEASE 1000", client)?[0][1].text ?? ""
        queue(["LPUSH out x", "ACK \(token)"], desk, client)
        desk.pass(milliseconds: 5_000)
        #expect(desk.ask("EXEC", client)?.errorCode == "EXECABORT")
        #expect(desk.ask("EXISTS out", client) == .integer(0))
        #expect(desk.ask("EXEC", client)?.errorCode == "ERR")
    }

    @Test("A publish that would be refused discards the whole transaction")
    func refusedPublish() {
        var limits = StateLimits()
        limits.defaults.messagesMax = 2
        limits.bodyBytesMax = 100
        let desk = RedisDesk(limits: limits)
        let client = desk.connect()
        queue(["LPUSH q a", "LPUSH p b", "LPUSH q c d"], desk, client)
        #expect(desk.ask("EXEC", client)?.errorCode == "EXECABORT")
        queue(["LPUSH q a", "LPUSH p \(String(repeating: "x", count: 101))"], desk, client)
        #expect(desk.ask("EXEC", client)?.errorCode == "EXECABORT")
        queue(["LPUSH q a", "LPUSH p b"], desk, client)
        desk.journal.publishBytesFree = 100
        #expect(desk.ask("EXEC", client)?.errorCode == "EXECABORT")
        #expect(desk.ask("DBSIZE", client) == .integer(0))
        #expect(desk.state.failure == nil)
    }

    @Test("Blocking commands do not wait inside")
    func blocking() {
        let desk = RedisDesk()
        let client = desk.connect()
        queue(["BRPOP q 0", "BLMOVE q r LEFT LEFT 0", "XREAD BLOCK 0 STREAMS s $", "BTAKE q 0"], desk, client)
        #expect(desk.ask("EXEC", client) == .array([.nullArray, .null, .nullArray, .nullArray]))
    }

    @Test("Those who wait are served after EXEC, in one piece")
    func waiting() {
        let desk = RedisDesk()
        let (client, waiting) = (desk.connect(), desk.connect())
        desk.send("BRPOP q 0", waiting)
        queue(["LPUSH q a", "LPUSH q b", "LLEN q"], desk, client)
        #expect(desk.ask("EXEC", client) == .array([.integer(1), .integer(2), .integer(2)]))
        #expect(waiting.replies == [texts("q", "a")])
    }

    @Test("WATCH is refused, DISCARD forgets, errors while queueing break the transaction")
    func words() {
        let desk = RedisDesk()
        let client = desk.connect()
        #expect(desk.ask("WATCH q", client)?.errorCode == "ERR")
        #expect(desk.ask("UNWATCH", client) == .ok)
        #expect(desk.ask("EXEC", client) == .error("ERR EXEC without MULTI"))
        #expect(desk.ask("DISCARD", client) == .error("ERR DISCARD without MULTI"))
        queue(["LPUSH q a"], desk, client)
        #expect(desk.ask("MULTI", client) == .error("ERR MULTI calls can not be nested"))
        #expect(desk.ask("DISCARD", client) == .ok)
        queue(["LPUSH q a"], desk, client)
        #expect(desk.ask("NONSENSE", client)?.errorCode == "ERR")
        #expect(desk.ask("EXEC", client) == .error("EXECABORT Transaction discarded because of previous errors."))
        #expect(desk.ask("LLEN q", client) == .integer(0))
        #expect(desk.ask("MULTI", client) == .ok)
        #expect(desk.ask("EXEC", client) == .array([]))
    }

    @Test("Many transactions over many small segments replay to what they were", arguments: 1...8)
    func random(seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        var limits = StateLimits()
        limits.headersBytesMax = 100
        let desk = RedisDesk(limits: limits, journal: MemoryJournal(segmentBytes: 256 << 10))
        var client = desk.connect()
        for round in 0..<600 {
            let count = Int.random(in: 1...6, using: &random)
            let commands = (0..<count).map { index in
                let body =
                    String(repeating: "x", count: Int.random(in: 0...2_000, using: &random)) + "\(round).\(index)"
                return [
                    "RPUSH q \(body)", "XADD s * body \(body)", "RPOP q", "LMOVE q r LEFT RIGHT", "LTRIM r -2 -1",
                    "XTRIM s MAXLEN 3", "PUBLISHX q \(body) DEDUP \(index)", "LRANGE q 0 -1",
                    "XREADGROUP GROUP g c COUNT 1 STREAMS s >", "XGROUP CREATE s g 0 MKSTREAM",
                ].randomElement(using: &random) ?? "PING"
            }
            queue(commands, desk, client)
            #expect(desk.ask("EXEC", client)?.items.count == count)
            let problems = desk.state.disagreements()
            #expect(problems == [])
            if !problems.isEmpty { return }
            if round % 10 == 0 {
                let keys = ["q", "r", "s"]
                func shown() -> [RESPValue?] {
                    keys.map { desk.ask("LRANGE \($0) 0 -1", client) }
                        + keys.map { desk.ask("XRANGE \($0) - +", client) }
                }
                let ids =
                    desk.ask("XREADGROUP GROUP g c STREAMS s 0", client)?[0][1].items.compactMap { $0[0].text } ?? []
                if !ids.isEmpty { _ = desk.ask("XACK s g \(ids.joined(separator: " "))", client) }
                for key in keys { desk.state.topicsByName[TopicName(key)!]?.view = .newestFirst }
                let before = shown()
                try desk.restart()
                client = desk.connect()
                #expect(shown() == before)
                #expect(desk.state.disagreements() == [])
            }
        }
        #expect(desk.journal.currentSegment > 0)
    }

    @Test("Replies of a transaction are together not much longer than output_max; what is not read is not taken")
    func longReplies() {
        var limits = StateLimits()
        limits.replyBytesMax = 4_000
        let desk = RedisDesk(limits: limits)
        let client = desk.connect()
        let body = String(repeating: "x", count: 1_000)
        _ = desk.ask("RPUSH q" + String(repeating: " \(body)", count: 6), client)
        queue(["LPUSH r a"] + Array(repeating: "RPOP q", count: 6) + ["LPUSH r b"], desk, client)
        let pops = desk.ask("EXEC", client)?.items ?? []
        #expect(pops.first == .integer(1) && pops.last == .integer(2))
        #expect(pops[1...4].allSatisfy { $0 == .bulk(body) })
        #expect(pops[5...6].allSatisfy { $0.errorCode == "ERR" })
        #expect(desk.ask("LLEN q", client) == .integer(2))

        queue(Array(repeating: "LRANGE q 0 -1", count: 50), desk, client)
        let ranges = desk.ask("EXEC", client)?.items ?? []
        #expect(ranges[0].items.count == 2 && ranges[1...].allSatisfy { $0.errorCode == "ERR" })
        #expect(desk.ask("LRANGE q 0 -1", client)?.items.count == 2)
    }

    @Test("A transaction takes what it pushed before those who wait; they get what it leaves")
    func takesItsOwn() {
        let desk = RedisDesk()
        let (waiter, client) = (desk.connect(), desk.connect())
        desk.send("BRPOP q r 0", waiter)
        queue(["LPUSH q 1 2", "RPOP q", "RPOPLPUSH q r", "LLEN q"], desk, client)
        #expect(desk.ask("EXEC", client) == .array([.integer(2), .bulk("1"), .bulk("2"), .integer(0)]))
        #expect(waiter.replies == [texts("r", "2")])
        #expect(desk.state.disagreements() == [])
    }
}
