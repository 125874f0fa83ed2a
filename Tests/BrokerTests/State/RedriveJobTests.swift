import BrokerProtocol
import Testing

@testable import Broker

@Suite("Redrives with a rate") struct RedriveJobTests {
    private func broker(_ count: Int, segmentBytes: UInt64 = 1 << 20) -> StateHarness {
        let broker = StateHarness(journal: MemoryJournal(segmentBytes: segmentBytes))
        broker.subscribe("t", credit: 1)
        for _ in 0..<count {
            broker.publish("t")
            broker.settle(broker.last, .reject(reason: "no"))
        }
        broker.send(.unsubscribe(consumer: ConsumerID(rawValue: 1)))
        return broker
    }

    private func jobs(_ broker: StateHarness) -> [DeadJob] {
        guard case .deadJobs(let jobs)? = broker.send(.deadJobs) else { return [] }
        return jobs
    }

    @Test("It redrives one at once, then by its rate, and is gone when it is done")
    func rate() {
        let broker = broker(5)
        guard case .deadJobs(let started)? = broker.send(.deadRedrive(broker.name("t"), [], rate: 2)) else {
            Issue.record("no job")
            return
        }
        #expect(started.map(\.rate) == [2])
        #expect(broker.status("t").dead == 4)
        #expect(jobs(broker).map(\.moved) == [1])
        #expect(broker.state.nextDeadline(now: broker.now) == 500)
        broker.pass(milliseconds: 499)
        #expect(broker.status("t").dead == 4)
        broker.pass(milliseconds: 1)
        #expect(broker.status("t").dead == 3)
        for _ in 0..<4 { broker.pass(milliseconds: 500) }
        #expect(broker.status("t").dead == 0)
        #expect(jobs(broker) == [])
        #expect(broker.state.disagreements() == [])
    }

    @Test("A high rate makes few records") func highRate() {
        let broker = broker(1_000)
        let records = broker.journal.records.count
        broker.send(.deadRedrive(broker.name("t"), [], rate: 10_000))
        for _ in 0..<30 { broker.pass(milliseconds: 10) }
        #expect(broker.status("t").dead == 0)
        #expect(broker.journal.records.count - records < 20)
    }

    @Test("What dies after its start is not part of it, not even after restarts")
    func laterDeaths() throws {
        let broker = broker(3)
        broker.send(.deadRedrive(broker.name("t"), [], rate: 1))
        // The first is delivered again and dies again; a fourth one dies for the first time.
        broker.publish("t")
        broker.subscribe("t", credit: 2)
        for (_, notice) in broker.delivered.suffix(2) { broker.settle(notice, .reject(reason: "again")) }
        broker.send(.unsubscribe(consumer: ConsumerID(rawValue: 1)))
        #expect(broker.dead("t").map(\.id.rawValue) == [1, 2, 3, 4])
        try broker.restart()
        for _ in 0..<5 {
            broker.pass(milliseconds: 1_000)
            try broker.restart()
        }
        #expect(broker.dead("t").map(\.id.rawValue) == [1, 4])
        #expect(jobs(broker) == [])
    }

    @Test("It goes on where it was after a restart, also when the log has forgotten its start")
    func restarts() throws {
        let broker = broker(10, segmentBytes: 16 << 10)
        var selection = DeadSelection()
        selection.limit = 8
        selection.reasons = [.rejected]
        broker.send(.deadRedrive(broker.name("t"), selection, rate: 1))
        broker.pass(milliseconds: 1_000)
        let before = jobs(broker)
        #expect(before.map(\.moved) == [2])
        for _ in 0..<2_000 {
            broker.publish("u")
            broker.pop("u", acknowledges: true)
        }
        try broker.shortenLog()
        #expect(broker.journal.firstSegment > 0)
        try broker.restart()
        #expect(jobs(broker).map(\.selection) == [selection])
        #expect(jobs(broker).map(\.id) == before.map(\.id))
        for _ in 0..<10 { broker.pass(milliseconds: 1_000) }
        #expect(broker.status("t").dead == 2)
        #expect(broker.status("t").ready == 8)
        #expect(jobs(broker) == [])
    }

    @Test("A header is read from the log, in steps, until the job is done")
    func header() {
        let broker = broker(300)
        var message = broker.message("t")
        message.headers = [Header("who", "me")]
        broker.publish(message)
        while let notice = broker.pop("t") { broker.settle(notice, .reject(reason: "no")) }
        var selection = DeadSelection()
        selection.headers = [Header("who", "me")]
        broker.send(.deadRedrive(broker.name("t"), selection, rate: 1_000))
        for _ in 0..<10 { broker.turn() }
        #expect(broker.status("t").ready == 1)
        for _ in 0..<3 { broker.pass(milliseconds: 10) }
        #expect(jobs(broker) == [])
        #expect(broker.status("t").dead == 300)
    }

    @Test("A cancelled job moves nothing more; it is unknown then")
    func cancel() throws {
        let broker = broker(5)
        broker.send(.deadRedrive(broker.name("t"), [], rate: 1))
        let job = try #require(jobs(broker).first)
        #expect(broker.send(.deadJobCancel(job.id)) == .done)
        broker.pass(milliseconds: 10_000)
        try broker.restart()
        broker.pass(milliseconds: 10_000)
        #expect(broker.status("t").dead == 4)
        #expect(code(broker.send(.deadJobCancel(job.id))) == .messageUnknown)
    }

    @Test("Ids, too high a rate and too many jobs are refused; a deleted subscription ends its jobs")
    func refusals() {
        let broker = broker(1)
        let name = broker.name("t")
        #expect(code(broker.send(.deadRedrive(name, [id(1)], rate: 1))) == .settingInvalid)
        #expect(code(broker.send(.deadRedrive(name, [], rate: 1_000_001))) == .settingInvalid)
        var dry = DeadSelection()
        dry.isDryRun = true
        #expect(broker.send(.deadRedrive(name, dry, rate: 1)) == .count(1))
        let bytes = broker.state.definitionBytes
        for _ in 0..<BrokerState.jobsMax { broker.ask(.deadRedrive(name, [], rate: 1)) }
        #expect(code(broker.ask(.deadRedrive(name, [], rate: 1))) == .batchTooLarge)
        broker.send(.subscriptionDelete(name))
        #expect(jobs(broker) == [])
        #expect(broker.state.definitionBytes == bytes)
    }

    @Test("A job without space in the log waits and tries again")
    func fullLog() {
        let broker = broker(3)
        broker.send(.deadRedrive(broker.name("t"), [], rate: 100))
        broker.journal.bytesFree = 0
        broker.pass(milliseconds: 100)
        #expect(broker.status("t").dead == 2)
        #expect(broker.state.nextDeadline(now: broker.now) == 1_000)
        broker.journal.bytesFree = 1 << 30
        broker.pass(milliseconds: 1_000)
        broker.pass(milliseconds: 10)
        #expect(broker.status("t").dead == 0)
    }
}
