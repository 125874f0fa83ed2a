import BrokerProtocol
import Testing

@testable import Broker

@Suite("Dedup") struct DedupTests {
    private func receipt(_ results: [Result<PublishReceipt, BrokerError>]) -> PublishReceipt? {
        try? results.first?.get()
    }

    @Test("The same dedup id inside the window answers the first id as a duplicate")
    func duplicate() {
        let broker = StateHarness()
        let first = receipt(broker.publish(broker.message("t", dedup: "a")))
        broker.pass(milliseconds: 599_999)
        #expect(
            receipt(broker.publish(broker.message("t", dedup: "a"))) == PublishReceipt(id: id(1), isDuplicate: true))
        #expect(first == PublishReceipt(id: id(1)))
        #expect(broker.status("t").ready == 1)
    }

    @Test("After the window the same dedup id is a new message")
    func window() {
        let broker = StateHarness()
        broker.publish(broker.message("t", dedup: "a"))
        broker.pass(milliseconds: 600_000)
        #expect(receipt(broker.publish(broker.message("t", dedup: "a"))) == PublishReceipt(id: id(2)))
    }

    @Test("An acknowledged message still answers its duplicates")
    func acknowledged() {
        let broker = StateHarness()
        broker.publish(broker.message("t", dedup: "a"))
        _ = broker.pop("t", acknowledges: true)
        #expect(receipt(broker.publish(broker.message("t", dedup: "a")))?.isDuplicate == true)
    }

    @Test("Topics have their own dedup ids")
    func topics() {
        let broker = StateHarness()
        broker.publish(broker.message("t", dedup: "a"))
        #expect(receipt(broker.publish(broker.message("u", dedup: "a")))?.isDuplicate == false)
    }

    @Test("Inside one commit and inside one batch the second is the duplicate of the first")
    func together() {
        let broker = StateHarness()
        let pair = [broker.message("t", dedup: "a"), broker.message("t", dedup: "a")]
        let expected = [PublishReceipt(id: id(1)), PublishReceipt(id: id(1), isDuplicate: true)]
        #expect(broker.send(.commit(publishes: pair, settlements: [])) == .committed(expected))
        let batch = broker.publish(broker.message("t", dedup: "b"), broker.message("t", dedup: "b"))
        #expect(batch.map { try? $0.get().isDuplicate } == [false, true])
    }

    @Test("A window of zero knows no duplicates, not even in one commit")
    func zero() {
        let broker = StateHarness()
        broker.configure("t") { $0.dedupWindowMilliseconds = 0 }
        let pair = [broker.message("t", dedup: "a"), broker.message("t", dedup: "a")]
        guard case .committed(let receipts)? = broker.send(.commit(publishes: pair, settlements: [])) else {
            return #expect(Bool(false))
        }
        #expect(receipts.map(\.isDuplicate) == [false, false])
        #expect(receipt(broker.publish(broker.message("t", dedup: "a")))?.isDuplicate == false)
    }

    @Test("A refused publish leaves no dedup id behind")
    func refused() {
        let broker = StateHarness()
        broker.publish("t")
        broker.journal.publishBytesFree = 0
        #expect(receipt(broker.publish(broker.message("t", dedup: "a"))) == nil)
        broker.journal.publishBytesFree = 1 << 30
        #expect(receipt(broker.publish(broker.message("t", dedup: "a")))?.isDuplicate == false)
    }

    @Test("A duplicate is answered even when the topic or the disk is full, because nothing is added")
    func full() {
        let broker = StateHarness()
        broker.configure("t") { $0.messagesMax = 1 }
        broker.publish(broker.message("t", dedup: "a"))
        broker.journal.publishBytesFree = 0
        #expect(receipt(broker.publish(broker.message("t", dedup: "a")))?.isDuplicate == true)
        #expect(code(broker.send(.publish([broker.message("t", dedup: "b")]))) == .topicFull)
    }

    @Test("A duplicate is confirmed only when its first message is durable")
    func durable() {
        let broker = StateHarness()
        broker.publish(broker.message("t", dedup: "a"))
        let end = broker.journal.end
        broker.publish(broker.message("t", dedup: "a"))
        #expect(broker.effects.last!.requires == end)
    }

    @Test("Dedup ids survive a restart, and the recycling of their message's segment")
    func persisted() throws {
        let broker = StateHarness(journal: MemoryJournal(segmentBytes: 16 << 10))
        broker.publish(broker.message("t", dedup: "a"))
        for _ in 0..<100 {
            broker.publish(broker.message("t", body: [UInt8](repeating: 0, count: 1_000)))
            _ = broker.pop("t", acknowledges: true)
        }
        _ = broker.pop("t", acknowledges: true)
        try broker.shortenLog()
        #expect(broker.journal.firstSegment > 0)
        try broker.restart()
        #expect(
            receipt(broker.publish(broker.message("t", dedup: "a"))) == PublishReceipt(id: id(1), isDuplicate: true))
        broker.pass(milliseconds: 600_000)
        #expect(receipt(broker.publish(broker.message("t", dedup: "a")))?.isDuplicate == false)
    }

    @Test("Dedup ids over the count are forgotten, the oldest first")
    func count() {
        var limits = StateLimits()
        limits.dedupMax = 3
        let broker = StateHarness(limits: limits)
        for name in ["a", "b", "c", "d"] { broker.publish(broker.message("t", dedup: name)) }
        #expect(receipt(broker.publish(broker.message("t", dedup: "b")))?.isDuplicate == true)
        #expect(receipt(broker.publish(broker.message("t", dedup: "a")))?.isDuplicate == false)
        #expect(receipt(broker.publish(broker.message("t", dedup: "b")))?.isDuplicate == false)
    }

    @Test("A dedup id has 1 to 255 bytes", arguments: ["", String(repeating: "x", count: 256)])
    func length(text: String) {
        let broker = StateHarness()
        #expect(code(broker.send(.publish([broker.message("t", dedup: text)]))) == .settingInvalid)
    }
}
