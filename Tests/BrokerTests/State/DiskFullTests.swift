import BrokerProtocol
import Testing

@testable import Broker

@Suite("A full disk") struct DiskFullTests {
    private func full() -> StateHarness {
        let broker = StateHarness()
        broker.subscribe("t", credit: 3)
        for _ in 0..<3 { broker.publish("t") }
        broker.journal.publishBytesFree = 0
        return broker
    }

    @Test("Publishes and all that makes the log longer are refused with a clear code")
    func refused() {
        let broker = full()
        let end = broker.journal.end
        let settings = TopicSettings()
        for request in [
            Request.publish([broker.message("t")]), .publish([broker.message("new")]),
            .topicCreate(broker.topic("new"), settings), .topicSet(broker.topic("t"), settings),
            .subscriptionCreate(broker.name("t@new"), .now),
            .subscriptionSet(broker.name("t"), DeliverySettings()),
            .commit(publishes: [broker.message("t")], settlements: []),
        ] {
            #expect(code(broker.send(request)) == .diskFull)
        }
        #expect(broker.journal.end == end)
    }

    @Test("Settles still work, and deliveries go on")
    func settles() {
        let broker = full()
        let notices = broker.delivered.map(\.notice)
        #expect(broker.settle(notices[0], .ack) == nil)
        #expect(broker.settle(notices[1], .reject(reason: "x")) == nil)
        #expect(broker.settle(notices[2], .release()) == nil)
        broker.pass(milliseconds: 0)
        #expect(broker.delivered.count == 4)
        #expect(broker.send(.deadPurge(broker.name("t"), [])) == .count(1))
        #expect(broker.send(.subscriptionDelete(broker.name("t"))) == .done)
    }

    @Test("A publish is admitted only with space for a verdict of every subscription")
    func reserve() {
        let broker = StateHarness()
        for name in ["a", "b", "c"] { broker.send(.subscriptionCreate(broker.name("t@\(name)"), .beginning)) }
        for _ in 0..<10 { broker.publish("t") }
        let size = 3 + 512
        let verdicts = (30 + 3) * BrokerState.settleBytes
        broker.journal.publishBytesFree = size + verdicts - 1
        #expect(code(broker.send(.publish([broker.message("t")]))) == .diskFull)
        broker.journal.publishBytesFree = size + verdicts
        #expect(code(broker.send(.publish([broker.message("t")]))) == nil)
    }

    @Test("A commit over several topics reserves the verdicts of each")
    func reserveOfCommit() {
        let broker = StateHarness()
        for name in ["a", "b", "c"] { broker.send(.subscriptionCreate(broker.name("t@\(name)"), .beginning)) }
        broker.publish("u")
        let commit = Request.commit(publishes: [broker.message("t"), broker.message("u")], settlements: [])
        broker.journal.publishBytesFree = 2 * 515 + (1 + 3 + 1) * BrokerState.settleBytes - 1
        #expect(code(broker.send(commit)) == .diskFull)
        broker.journal.publishBytesFree += 1
        #expect(code(broker.send(commit)) == nil)
    }

    @Test("A new subscription from the beginning needs space for its verdicts")
    func reserveOfSubscription() {
        let broker = StateHarness()
        broker.subscribe("t@a", credit: 0)
        for _ in 0..<100 { broker.publish("t") }
        broker.journal.publishBytesFree = 200 * BrokerState.settleBytes
        #expect(code(broker.send(.subscriptionCreate(broker.name("t@b"), .beginning))) == .diskFull)
        #expect(code(broker.send(.subscriptionCreate(broker.name("t@b"), .now))) == nil)
    }

    @Test("When even the reserve is used up, settles are refused, the lease stays, and all goes on later")
    func reserveUsedUp() {
        let broker = full()
        broker.journal.appendsLeft = 0
        #expect(broker.settle(broker.last, .ack) == .diskFull)
        #expect(broker.status("t").leased == 3)
        broker.close(1)
        broker.pass(milliseconds: 500)
        #expect(broker.status("t").leased == 3)
        #expect(broker.state.disagreements() == [])
        broker.journal.appendsLeft = nil
        broker.pass(milliseconds: 500)
        #expect(broker.status("t").delayed == 3)
        #expect(broker.state.disagreements() == [])
    }

    @Test("What keeps a message cannot take the space of the acks; item by item, and a commit as a whole")
    func spaceOfAcks() {
        let broker = full()
        let notices = broker.delivered.map(\.notice)
        // Room for three acks and a failure of `session-1` with a word of five bytes, and not a byte more.
        broker.journal.bytesFree = 4 * BrokerState.settleBytes + 14
        func settle(_ verdicts: [Verdict]) -> [BrokerError.Code?] {
            let settlements = zip(notices, verdicts).map { Settlement($0.lease, $1) }
            guard case .settled(let results)? = broker.send(.settle(settlements)) else { return [] }
            return results.map { $0?.code }
        }
        #expect(settle([.fail(error: "123456"), .reject(reason: "123456")]) == [.diskFull, .diskFull])
        #expect(
            code(
                broker.send(.commit(publishes: [], settlements: [Settlement(notices[0].lease, .fail(error: "123456"))]))
            )
                == .diskFull)
        #expect(broker.status("t").leased == 3)
        #expect(
            settle([.fail(error: "12345", afterMilliseconds: 3_600_000), .release(), .ack]) == [nil, .diskFull, nil])
        #expect(broker.status("t").leased == 1)
        broker.journal.bytesFree = 0
        broker.close(1)
        broker.pass(milliseconds: 999)
        #expect(broker.status("t").leased == 1)
        broker.journal.bytesFree = 1 << 20
        broker.pass(milliseconds: 1)
        #expect(broker.status("t").leased == 0)
        #expect(broker.state.disagreements() == [])
    }

    @Test("Attempts are counted even when they cannot be logged")
    func attemptsWithoutLog() {
        let broker = StateHarness()
        broker.publish("t")
        broker.send(.subscriptionCreate(broker.name("t"), .beginning))
        broker.journal.appendsLeft = 0
        broker.subscribe("t", credit: 1)
        #expect(broker.last?.attempt == 1)
        broker.journal.appendsLeft = nil
        broker.settle(broker.last, .fail(error: "x", afterMilliseconds: 0))
        broker.pass(milliseconds: 0)
        #expect(broker.last?.attempt == 2)
    }

    @Test("A message that cannot be expired for want of space is not delivered, and dies later")
    func expiry() {
        let broker = StateHarness()
        broker.publish(broker.message("t", expiresAt: broker.later(10)))
        broker.send(.subscriptionCreate(broker.name("t"), .beginning))
        broker.pass(milliseconds: 10)
        broker.journal.appendsLeft = 0
        broker.subscribe("t", credit: 1)
        #expect(broker.delivered.isEmpty)
        broker.journal.appendsLeft = nil
        broker.pass(milliseconds: 1_000)
        #expect(broker.delivered.isEmpty)
        #expect(broker.dead("t").map(\.grave?.text) == ["expired"])
    }

    @Test("A record that is too large is refused as what it is")
    func recordTooLarge() {
        let broker = full()
        broker.journal.publishBytesFree = 1 << 30
        broker.journal.recordBytesMax = 100
        #expect(
            code(broker.send(.publish([broker.message("t", body: [UInt8](repeating: 0, count: 100))])))
                == .recordTooLarge)
        #expect(broker.settle(broker.last, .reject(reason: String(repeating: "x", count: 200))) == .recordTooLarge)
        #expect(broker.settle(broker.last, .ack) == nil)
        #expect(broker.state.disagreements() == [])
    }
}
