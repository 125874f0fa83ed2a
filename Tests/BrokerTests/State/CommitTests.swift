import BrokerProtocol
import Testing

@testable import Broker

@Suite("Commits") struct CommitTests {
    private func leased(_ count: Int = 1) -> StateHarness {
        let broker = StateHarness()
        broker.subscribe("in", credit: 100)
        for _ in 0..<count { broker.publish("in") }
        return broker
    }

    @Test("A commit publishes and settles in one record")
    func oneRecord() throws {
        let broker = leased(2)
        broker.publish("out")
        let records = broker.journal.records.count
        let response = broker.send(
            .commit(
                publishes: [broker.message("out"), broker.message("out")],
                settlements: broker.delivered.map { Settlement($0.notice.lease, .ack) }))
        #expect(response == .committed([PublishReceipt(id: id(4)), PublishReceipt(id: id(5))]))
        #expect(broker.journal.records.count == records + 1)
        #expect(broker.status("in").acknowledged == 2)
        let position = broker.journal.records[records].position
        try broker.restart(keepingBefore: position)
        #expect(broker.status("in").ready == 2)
        #expect(broker.status("out").ready == 1)
    }

    @Test("One lost lease refuses the whole commit: nothing is published, nothing is settled", arguments: [0, 1, 2])
    func lostLease(position: Int) {
        let broker = leased(2)
        broker.publish("out")
        var settlements = broker.delivered.map { Settlement($0.notice.lease, .ack) }
        settlements.insert(Settlement(LeaseID(rawValue: 12_345), .ack), at: position)
        let end = broker.journal.end
        let response = broker.send(.commit(publishes: [broker.message("out")], settlements: settlements))
        #expect(code(response) == .leaseLost)
        #expect(broker.journal.end == end)
        #expect(broker.status("in").leased == 2)
        #expect(broker.status("out").ready == 1)
        #expect(broker.state.disagreements() == [])
    }

    @Test("A lease named twice refuses the whole commit")
    func twice() {
        let broker = leased()
        let settlement = Settlement(broker.last!.lease, .ack)
        #expect(code(broker.send(.commit(publishes: [], settlements: [settlement, settlement]))) == .leaseLost)
        #expect(broker.status("in").leased == 1)
    }

    @Test("One refused publish refuses the whole commit")
    func refusedPublish() {
        let broker = leased()
        broker.configure("out") { $0.messagesMax = 1 }
        let response = broker.send(
            .commit(
                publishes: [broker.message("out"), broker.message("out")],
                settlements: [Settlement(broker.last!.lease, .ack)]))
        #expect(code(response) == .topicFull)
        #expect(broker.status("in").leased == 1)
        #expect(broker.status("out").ready == 0)
        #expect(broker.publish("out") == id(2))
    }

    @Test("A commit that the disk refuses changes nothing")
    func diskFull() {
        let broker = leased()
        broker.publish("out")
        broker.journal.appendsLeft = 0
        let commit = Request.commit(
            publishes: [broker.message("out")], settlements: [Settlement(broker.last!.lease, .ack)])
        #expect(code(broker.send(commit)) == .diskFull)
        #expect(broker.state.disagreements() == [])
        broker.journal.appendsLeft = nil
        #expect(broker.send(commit) == .committed([PublishReceipt(id: id(3))]))
    }

    @Test("A commit without space for its publishes is refused; its verdicts alone are taken")
    func settlesWork() {
        let broker = leased()
        broker.journal.publishBytesFree = 0
        let settlements = [Settlement(broker.last!.lease, .ack)]
        #expect(code(broker.send(.commit(publishes: [broker.message("in")], settlements: settlements))) == .diskFull)
        #expect(broker.send(.commit(publishes: [], settlements: settlements)) == .committed([]))
    }

    @Test("Any verdict can be part of a commit")
    func verdicts() {
        let broker = leased(3)
        let leases = broker.delivered.map(\.notice.lease)
        let response = broker.send(
            .commit(
                publishes: [],
                settlements: [
                    Settlement(leases[0], .reject(reason: "x")), Settlement(leases[1], .fail(error: "y")),
                    Settlement(leases[2], .ack),
                ]))
        #expect(response == .committed([]))
        let status = broker.status("in")
        #expect((status.dead, status.delayed, status.acknowledged, status.leased) == (1, 1, 1, 0))
    }

    @Test("A commit to its own topic is delivered after it is in the log")
    func toItself() {
        let broker = leased()
        broker.send(
            .commit(publishes: [broker.message("in")], settlements: [Settlement(broker.last!.lease, .ack)]))
        #expect(broker.deliveredIDs("in") == [id(1), id(2)])
        #expect(broker.effects.last!.requires <= broker.journal.end)
        #expect(broker.effects.last!.requires > broker.journal.records[2].position)
    }

    @Test("An empty commit is done")
    func empty() {
        let broker = leased()
        #expect(broker.send(.commit(publishes: [], settlements: [])) == .committed([]))
    }
}
