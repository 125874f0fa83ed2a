import BrokerProtocol
import Testing

@testable import Broker

@Suite("Parked ordering keys") struct ParkingTests {
    private func broker(credit: UInt32 = 100, segmentBytes: UInt64 = 1 << 20, parks: Bool = true) -> StateHarness {
        let broker = StateHarness(journal: MemoryJournal(segmentBytes: segmentBytes))
        broker.configure("t") {
            $0.delivery.parksAfterDead = parks
            $0.delivery.attemptsMax = 3
            $0.delivery.backoffBaseMilliseconds = 0
        }
        broker.subscribe("t", credit: credit)
        return broker
    }

    private func publish(_ broker: StateHarness, _ keys: String...) {
        for key in keys { broker.publish(keyed(broker, key)) }
    }

    private func keyed(_ broker: StateHarness, _ key: String, expiresIn milliseconds: Int64? = nil) -> OutgoingMessage {
        var message = broker.message("t", expiresAt: milliseconds.map { broker.later($0) })
        message.orderingKey = key
        return message
    }

    private func keys(
        _ broker: StateHarness, after: String = "", limit: UInt32 = 100, parkedOnly: Bool = false
    ) -> [KeyStatus] {
        let request = Request.keyList(broker.name("t"), after: after, limit: limit, parkedOnly: parkedOnly)
        guard case .keys(let keys)? = broker.send(request) else { return [] }
        return keys
    }

    private func release(_ broker: StateHarness, _ keys: String...) -> UInt64? {
        guard case .count(let count)? = broker.send(.keyRelease(broker.name("t"), keys)) else { return nil }
        return count
    }

    private func ids(_ numbers: UInt64...) -> [MessageID] { numbers.map { id($0) } }

    /// The key `a` is parked by message 1, and message 2 waits behind it.
    private func parked(restarts: Bool, segmentBytes: UInt64 = 1 << 20) throws -> (StateHarness, seen: Int) {
        let broker = broker(segmentBytes: segmentBytes)
        publish(broker, "a", "a", "b")
        broker.settle(broker.delivered[0].notice, .reject(reason: "no"))
        broker.settle(broker.delivered[1].notice, .ack)
        if restarts {
            try broker.restart()
            broker.subscribe("t")
        }
        #expect(broker.state.disagreements() == [])
        return (broker, broker.delivered.count)
    }

    @Test("A dead letter parks its key; other keys go on", arguments: [false, true])
    func parks(restarts: Bool) throws {
        let (broker, seen) = try parked(restarts: restarts)
        publish(broker, "a", "c")
        #expect(broker.delivered[seen...].map(\.notice.id) == ids(5))
        #expect(broker.pop("t") == nil)
        #expect(
            keys(broker) == [
                KeyStatus(key: "a", state: .parked, owner: id(1), held: 2),
                KeyStatus(key: "c", state: .inFlight, owner: id(5), held: 0),
            ])
        #expect(broker.status("t").figures == [Figure("held", 2), Figure("parked_keys", 1)])
        #expect(broker.status("t").ready == 2)
        #expect(broker.state.disagreements() == [])
    }

    @Test("The parking and the death are one record")
    func oneRecord() throws {
        let broker = broker()
        publish(broker, "a")
        broker.settle(broker.last, .reject(reason: "no"))
        let facts = try FactCodec.decode(try #require(broker.journal.records.last).payload).map(\.fact)
        guard facts.count == 2, case .keyParked(_, "a", id(1)) = facts[0], case .died = facts[1] else {
            Issue.record("\(facts)")
            return
        }
    }

    @Test("A released key goes on, and its dead letter stays", arguments: [false, true])
    func released(restarts: Bool) throws {
        let (broker, seen) = try parked(restarts: restarts)
        #expect(release(broker, "a", "zebra") == 1)
        #expect(broker.delivered[seen...].map(\.notice.id) == ids(2))
        #expect(release(broker) == 0)
        #expect(broker.dead("t").map(\.id) == ids(1))
        try broker.restart()
        #expect(keys(broker, parkedOnly: true) == [])
        #expect(broker.status("t").dead == 1)
        broker.send(.deadRedrive(broker.name("t"), []))
        broker.subscribe("t", 7)
        #expect(broker.delivered.last?.notice.id == id(2), "it was handed out before")
        broker.settle(broker.last, .ack, 7)
        #expect(broker.delivered.last?.notice.id == id(1))
        #expect(broker.state.disagreements() == [])
    }

    @Test(
        "A redriven dead letter goes before the others of its key, which goes on when it is done", arguments: [0, 1, 2])
    func redriven(restarts: Int) throws {
        let (broker, seen) = try parked(restarts: restarts > 0)
        broker.send(.deadRedrive(broker.name("t"), []))
        #expect(broker.delivered[seen...].map(\.notice.id) == ids(1))
        #expect(keys(broker).map(\.state) == [.parked])
        if restarts == 2 {
            try broker.restart()
            broker.subscribe("t")
        }
        #expect(broker.last?.id == id(1))
        broker.settle(broker.last, .fail(error: "x", afterMilliseconds: 0))
        broker.pass(milliseconds: 1)
        #expect(broker.last?.id == id(1))
        broker.settle(broker.last, .ack)
        #expect(broker.last?.id == id(2))
        broker.settle(broker.last, .ack)
        #expect(keys(broker) == [])
        #expect(broker.state.messages.count == 0)
        #expect(broker.state.disagreements() == [])
    }

    @Test("A redriven dead letter that dies again parks its key again")
    func diesAgain() throws {
        let (broker, _) = try parked(restarts: false)
        broker.send(.deadRedrive(broker.name("t"), []))
        broker.settle(broker.last, .reject(reason: "still not"))
        #expect(keys(broker, parkedOnly: true).map(\.owner) == ids(1))
        #expect(broker.last?.id == id(1))
        #expect(broker.state.disagreements() == [])
    }

    @Test("When the dead letter is purged, the key goes on", arguments: [false, true])
    func purged(restarts: Bool) throws {
        let (broker, seen) = try parked(restarts: restarts)
        broker.send(.deadPurge(broker.name("t"), []))
        #expect(broker.delivered[seen...].map(\.notice.id) == ids(2))
        #expect(broker.state.disagreements() == [])
    }

    @Test("A second dead letter of a parked key parks it too: it goes on when both are gone", arguments: [false, true])
    func second(restarts: Bool) throws {
        let broker = broker()
        broker.publish(keyed(broker, "a"), keyed(broker, "a"), keyed(broker, "a"))
        broker.settle(broker.last, .reject(reason: "no"))
        #expect(release(broker, "a") == 1)
        broker.settle(broker.last, .reject(reason: "no"))
        #expect(keys(broker).map(\.owner) == ids(2))
        #expect(release(broker) == 1)
        broker.settle(broker.last, .ack)
        broker.publish(keyed(broker, "a"))
        broker.settle(broker.last, .reject(reason: "no"))
        broker.publish(keyed(broker, "a"))
        broker.send(.deadRedrive(broker.name("t"), DeadSelection(ids: ids(1))))
        if restarts {
            try broker.restart()
            broker.subscribe("t")
        }
        // Message 1 parks the key no more since its release; message 4 does.
        #expect(broker.last?.id == id(4))
        broker.send(.deadPurge(broker.name("t"), DeadSelection(ids: ids(4))))
        #expect(broker.last?.id == id(1))
        #expect(broker.state.disagreements() == [])
    }

    @Test("Every way to die parks: attempts, a lost consumer, expiry")
    func everyWay() throws {
        let broker = broker(credit: 0)
        broker.configure("t") { $0.delivery.poisonDeathsMax = 1 }
        broker.subscribe("t", 2, consumer: 1)
        publish(broker, "a", "a", "b", "b")
        for _ in 0..<3 {
            broker.settle(
                broker.delivered.last { [id(1), id(2)].contains($0.notice.id) }?.notice, .fail(error: "x"), 2)
            broker.pass(milliseconds: 1)
        }
        broker.publish(keyed(broker, "c", expiresIn: -1), keyed(broker, "c"))
        broker.turn()
        broker.close(2)
        broker.subscribe("t", 3)
        #expect(keys(broker).map(\.key) == ["a", "b", "c"])
        #expect(keys(broker).allSatisfy { $0.state == .parked })
        #expect(broker.dead("t").map(\.id) == ids(1, 3, 5))
        #expect(release(broker, "c", "b") == 2)
        #expect(broker.delivered.suffix(2).map(\.notice.id) == ids(4, 6))
        #expect(broker.state.disagreements() == [])
    }

    @Test("Without the setting the key goes on; one that is parked stays so when the setting changes")
    func setting() {
        let broker = broker(parks: false)
        publish(broker, "a", "a", "a")
        broker.settle(broker.last, .reject(reason: "no"))
        #expect(broker.last?.id == id(2))
        broker.configure("t") { $0.delivery.parksAfterDead = true }
        broker.settle(broker.last, .reject(reason: "no"))
        broker.configure("t") { $0.delivery.parksAfterDead = false }
        #expect(broker.last?.id == id(2))
        #expect(keys(broker, parkedOnly: true).map(\.owner) == ids(2))
        #expect(broker.state.parkingCount == 0)
        #expect(release(broker) == 1)
        #expect(broker.last?.id == id(3))
    }

    @Test("A dead letter that moves forward in the log keeps its key parked", arguments: [false, true])
    func moved(isRedriven: Bool) throws {
        let (broker, _) = try parked(restarts: false, segmentBytes: 16 << 10)
        if isRedriven {
            broker.send(.credit(consumer: ConsumerID(rawValue: 1), credit: 0))
            broker.send(.deadRedrive(broker.name("t"), []))
            broker.send(.credit(consumer: ConsumerID(rawValue: 1), credit: 1))
        }
        for _ in 0..<400 {
            broker.publish(broker.message("other", body: [UInt8](repeating: 7, count: 1_000)))
            #expect(broker.pop("other", acknowledges: true) != nil)
        }
        try broker.shortenLog()
        #expect(broker.journal.firstSegment > 0)
        try broker.restart()
        #expect(keys(broker).map(\.owner) == ids(1))
        broker.subscribe("t", credit: 5)
        if !isRedriven { broker.send(.deadRedrive(broker.name("t"), [])) }
        #expect(broker.last?.id == id(1))
        broker.settle(broker.last, .ack)
        #expect(broker.last?.id == id(2))
        #expect(broker.state.disagreements() == [])
    }

    @Test("Keys are listed in pages by their text, with what they wait for")
    func pages() throws {
        let broker = broker()
        publish(broker, "d", "b", "a", "c", "c")
        broker.settle(broker.delivered[0].notice, .fail(error: "x", afterMilliseconds: 5_000))
        broker.settle(broker.delivered[1].notice, .reject(reason: "no"))
        #expect(keys(broker).map(\.key) == ["a", "b", "c", "d"])
        #expect(keys(broker).map(\.state) == [.inFlight, .parked, .inFlight, .waiting])
        #expect(keys(broker).map(\.held) == [0, 0, 1, 0])
        #expect(keys(broker, limit: 2).map(\.key) == ["a", "b"])
        #expect(keys(broker, after: "b", limit: 1).map(\.key) == ["c"])
        #expect(keys(broker, after: "d") == [])
        #expect(keys(broker, limit: 0) == [])
        #expect(keys(broker, parkedOnly: true).map(\.key) == ["b"])
    }

    @Test("Keys of what does not exist are refused")
    func refusals() {
        let broker = broker()
        #expect(code(broker.send(.keyRelease(broker.name("t@x"), []))) == .subscriptionUnknown)
        #expect(code(broker.send(.keyRelease(broker.name("x@x"), ["a"]))) == .topicUnknown)
        let request = Request.keyList(broker.name("t@x"), after: "", limit: 1, parkedOnly: true)
        #expect(code(broker.send(request)) == .subscriptionUnknown)
        #expect(release(broker, "a") == 0)
    }
}
