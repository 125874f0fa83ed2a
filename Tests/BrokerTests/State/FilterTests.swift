import BrokerProtocol
import Testing

@testable import Broker

@Suite("Filters") struct FilterTests {
    private func create(
        _ broker: StateHarness, _ name: String, _ filter: [Header], _ start: StartPosition = .beginning
    ) -> Response? {
        broker.send(.subscriptionCreate(broker.name(name), start, filter: filter))
    }

    private func message(_ broker: StateHarness, _ headers: String..., dedup: String? = nil) -> OutgoingMessage {
        var message = broker.message("t", dedup: dedup)
        message.headers = headers.map { text in
            let parts = text.split(separator: "=")
            return Header(String(parts[0]), String(parts[1]))
        }
        return message
    }

    private func ids(_ broker: StateHarness, _ name: String) throws -> [UInt64] {
        try #require(broker.state.subscription(named: broker.name(name))).owed().map(\.rawValue)
    }

    private let eu = [Header("region", "eu")]

    @Test("A filtered subscription gets the messages that have all of its headers, others get all")
    func publish() throws {
        let broker = StateHarness()
        #expect(create(broker, "t@all", []) == .done)
        #expect(create(broker, "t@eu", eu) == .done)
        #expect(create(broker, "t@both", eu + [Header("kind", "a")]) == .done)
        broker.publish(message(broker, "region=eu"))
        broker.publish(message(broker, "kind=a", "region=eu"))
        broker.publish(message(broker, "kind=a", "region=us"))
        broker.publish(message(broker, "region=us", "region=eu"))
        func check() throws {
            #expect(try ids(broker, "t@all") == [1, 2, 3, 4])
            #expect(try ids(broker, "t@eu") == [1, 2, 4])
            #expect(try ids(broker, "t@both") == [2])
            #expect(broker.state.disagreements() == [])
        }
        try check()
        try broker.restart()
        try check()
        broker.publish(message(broker, "region=eu", "kind=a"))
        #expect(broker.pop("t@both")?.id == id(2))
        #expect(broker.pop("t@both")?.id == id(5))
        #expect(broker.pop("t@both") == nil)
        #expect(broker.status("t@eu").filter == eu)
    }

    @Test("A message that nobody wants is not kept: its id and its dedup id are used, also after a restart")
    func unwanted() throws {
        let broker = StateHarness()
        _ = create(broker, "t@eu", eu)
        let first = try broker.publish(message(broker, "region=us", dedup: "d"))[0].get()
        #expect(first == PublishReceipt(id: id(1), isUnwanted: true))
        #expect(broker.state.messages.count == 0)
        #expect(broker.state.segments.totalBytes == 0)
        try broker.restart()
        let again = try broker.publish(message(broker, "region=eu", dedup: "d"))[0].get()
        #expect(again == PublishReceipt(id: id(1), isDuplicate: true))
        #expect(broker.publish(message(broker, "region=eu")) == [.success(PublishReceipt(id: id(2)))])
        #expect(broker.state.disagreements() == [])
        let journalBytes = broker.journal.records.reduce(0) { $0 + $1.payload.count }
        var large = message(broker, "region=us")
        large.body = [UInt8](repeating: 1, count: 10_000)
        broker.publish(large)
        #expect(broker.journal.records.reduce(0) { $0 + $1.payload.count } < journalBytes + 200)
    }

    @Test("A commit may publish what nobody wants; ids of the others go on")
    func commit() throws {
        let broker = StateHarness()
        _ = create(broker, "t@eu", eu)
        broker.publish(message(broker, "region=eu"))
        let lease = try #require(broker.pop("t@eu")).lease
        let publishes = [
            message(broker, "region=us"), message(broker, "region=eu"), message(broker, "region=us", dedup: "x"),
            message(broker, "region=us", dedup: "x"),
        ]
        let answer = broker.send(.commit(publishes: publishes, settlements: [Settlement(lease, .ack)]))
        #expect(
            answer
                == .committed([
                    PublishReceipt(id: id(2), isUnwanted: true), PublishReceipt(id: id(3)),
                    PublishReceipt(id: id(4), isUnwanted: true), PublishReceipt(id: id(4), isDuplicate: true),
                ]))
        #expect(try ids(broker, "t@eu") == [3])
        try broker.restart()
        #expect(try ids(broker, "t@eu") == [3])
        #expect(broker.publish("other") == id(5))
    }

    @Test("A limit of open messages is not reached by what nobody wants")
    func messagesMax() throws {
        let broker = StateHarness()
        broker.configure("t") { $0.messagesMax = 1 }
        _ = create(broker, "t@eu", eu)
        let results = (0..<3).map { _ in broker.publish(message(broker, "region=us"))[0] }
        #expect(try results.map { try $0.get().isUnwanted } == [true, true, true])
        #expect(try !broker.publish(message(broker, "region=eu"))[0].get().isUnwanted)
        #expect(code(broker.send(.publish([message(broker, "region=eu")]))) == .topicFull)
    }

    @Test("The first named subscription, filtered, takes over what it wants of a plain queue; the rest goes")
    func takesOver() throws {
        let broker = StateHarness()
        for region in ["eu", "us", "eu"] { broker.publish(message(broker, "region=\(region)")) }
        #expect(create(broker, "t@eu", eu) == .done)
        #expect(try ids(broker, "t@eu") == [1, 3])
        #expect(broker.state.topicsByName[broker.topic("t")]?.subscriptions.count == 1)
        #expect(broker.state.messages.count == 2)
        #expect(broker.state.disagreements() == [])
        try broker.restart()
        #expect(try ids(broker, "t@eu") == [1, 3])
        #expect(broker.state.disagreements() == [])
    }

    @Test("Older messages are read in pieces, in order, over restarts; the answer comes when all were looked at")
    func pieces() throws {
        let broker = StateHarness()
        _ = create(broker, "t@all", [])
        for index in 0..<1_300 { broker.publish(message(broker, index % 2 == 0 ? "region=eu" : "region=us")) }
        let before = broker.effects.count
        #expect(broker.ask(.subscriptionCreate(broker.name("t@eu"), .beginning, filter: eu)) == nil)
        #expect(try ids(broker, "t@eu").count == 250)
        #expect(broker.state.nextDeadline(now: broker.now) == 0)
        try broker.restart()
        #expect(try ids(broker, "t@eu").count == 500)
        // What was not looked at may come before what is newer.
        broker.publish(message(broker, "region=eu"))
        #expect(try ids(broker, "t@eu") == (0..<650).map { UInt64(2 * $0 + 1) } + [1_301])
        broker.turn()
        #expect(broker.state.readings.isEmpty)
        #expect(broker.state.nextDeadline(now: broker.now) == nil)
        #expect(broker.state.disagreements() == [])
        _ = before
        try broker.restart()
        #expect(try ids(broker, "t@eu").count == 651)
    }

    @Test("While a subscription reads, it delivers what it has looked at, and nothing newer")
    func orderWhileReading() throws {
        let broker = StateHarness()
        _ = create(broker, "t@all", [])
        for _ in 0..<700 { broker.publish(message(broker, "region=eu")) }
        broker.ask(.subscriptionCreate(broker.name("t@eu"), .beginning, filter: eu))
        broker.ask(.publish([message(broker, "region=eu")]))
        var popped: [MessageID] = []
        for _ in 0..<600 {
            broker.ask(.pop([broker.name("t@eu")], timeoutMilliseconds: 0, acknowledges: true))
        }
        for case .answerPop(_, let notice) in broker.effects.map(\.effect) { popped.append(notice.id) }
        #expect(popped == (1...500).map { id($0) })
        broker.turn()
        #expect(broker.pop("t@eu")?.id == id(501))
        broker.subscribe("t@eu", credit: 1_000)
        #expect(broker.deliveredIDs("t@eu") == (502...701).map { id($0) })
    }

    @Test("The start of a filtered subscription counts", arguments: [0, 1, 2, 3])
    func start(kind: Int) throws {
        let broker = StateHarness()
        _ = create(broker, "t@all", [])
        for _ in 0..<2 { broker.publish(message(broker, "region=eu")) }
        broker.pass(milliseconds: 1_000)
        let noon = broker.now.wall
        for _ in 0..<2 { broker.publish(message(broker, "region=eu")) }
        let starts: [(StartPosition, [UInt64])] = [
            (.beginning, [1, 2, 3, 4]), (.now, []), (.time(noon), [3, 4]), (.message(id(2)), [2, 3, 4]),
        ]
        _ = create(broker, "t@eu", eu, starts[kind].0)
        #expect(try ids(broker, "t@eu") == starts[kind].1)
        try broker.restart()
        #expect(try ids(broker, "t@eu") == starts[kind].1)
    }

    @Test("Delayed messages stay delayed, and dead letters of others are new to it")
    func places() throws {
        let broker = StateHarness()
        _ = create(broker, "t@all", [])
        var later = message(broker, "region=eu")
        later.deliverAt = broker.later(1_000)
        broker.publish(later)
        broker.publish(message(broker, "region=eu"))
        broker.settle(broker.pop("t@all"), .reject(reason: "x"))
        _ = create(broker, "t@eu", eu)
        #expect((broker.status("t@eu").delayed, broker.status("t@eu").ready) == (1, 1))
        #expect(broker.state.disagreements() == [])
        broker.pass(milliseconds: 1_000)
        #expect(broker.status("t@eu").ready == 2)
        var unwanted = message(broker, "region=us")
        unwanted.deliverAt = broker.later(1_000)
        broker.publish(unwanted)
        #expect(broker.status("t@eu").delayed == 0)
    }

    @Test("What a filtered subscription owes survives the recycling of the log")
    func restated() throws {
        let broker = StateHarness(journal: MemoryJournal(segmentBytes: 64 << 10))
        _ = create(broker, "t@eu", eu)
        _ = create(broker, "t@all", [])
        broker.publish(message(broker, "region=eu"))
        for _ in 0..<600 {
            var filler = message(broker, "region=us")
            filler.body = [UInt8](repeating: 1, count: 2_000)
            broker.publish(filler)
            broker.pop("t@all", acknowledges: true)
        }
        try broker.shortenLog()
        #expect(broker.journal.firstSegment > 1)
        #expect(try ids(broker, "t@eu") == [1])
        try broker.restart()
        #expect(try ids(broker, "t@eu") == [1])
        broker.publish(message(broker, "region=us"))
        #expect(try ids(broker, "t@eu") == [1])
        #expect(broker.state.disagreements() == [])
    }

    @Test("A filtered subscription stays queued when fair sharing is switched on and off")
    func fair() throws {
        let broker = StateHarness()
        _ = create(broker, "t@eu", eu)
        _ = create(broker, "t@all", [])
        for header in ["tenant", nil] {
            var settings = DeliverySettings()
            settings.fairHeader = header ?? ""
            #expect(broker.send(.subscriptionSet(broker.name("t@eu"), settings)) == .done)
            broker.publish(message(broker, "region=eu"))
            broker.publish(message(broker, "region=us"))
            #expect(broker.state.disagreements() == [])
        }
        #expect(try ids(broker, "t@eu") == [1, 3])
    }

    @Test("An existing subscription with another filter is refused; the same filter in other words is the same")
    func exists() {
        let broker = StateHarness()
        let pairs = eu + [Header("kind", "a")]
        #expect(create(broker, "t@eu", pairs) == .done)
        #expect(create(broker, "t@eu", pairs.reversed() + eu) == .done)
        #expect(code(create(broker, "t@eu", eu)) == .subscriptionExists)
        #expect(code(create(broker, "t@eu", [])) == .subscriptionExists)
        #expect(create(broker, "t@plain", []) == .done)
        #expect(code(create(broker, "t@plain", eu)) == .subscriptionExists)
        #expect(broker.subscribe("t@eu") == .done)
    }

    @Test("A filter of default, or one that is too large, is refused and makes nothing")
    func refusals() {
        let broker = StateHarness()
        #expect(code(create(broker, "t", eu)) == .settingInvalid)
        #expect(code(create(broker, "t@a", (0...16).map { Header("k\($0)", "v") })) == .settingInvalid)
        #expect(code(create(broker, "t@a", [Header("k", String(repeating: "v", count: 5_000))])) == .settingInvalid)
        #expect(broker.state.topics.isEmpty)
        #expect(create(broker, "t@a", (0..<16).map { Header("k\($0)", "v") }) == .done)
    }

    @Test("Deleting a subscription that still reads refuses who waits for it, and ends the reading")
    func deleted() throws {
        let broker = StateHarness()
        _ = create(broker, "t@all", [])
        for _ in 0..<700 { broker.publish(message(broker, "region=eu")) }
        broker.ask(.subscriptionCreate(broker.name("t@eu"), .beginning, filter: eu))
        let before = broker.effects.count
        broker.ask(.subscriptionDelete(broker.name("t@eu")), 2)
        var codes: [BrokerError.Code?] = []
        for case .respond(let origin, let response) in broker.effects[before...].map(\.effect)
        where origin.session == SessionID(rawValue: 1) { codes.append(code(response)) }
        #expect(codes == [.subscriptionUnknown])
        #expect(broker.state.readings.isEmpty)
        #expect(broker.state.disagreements() == [])
        try broker.restart()
        #expect(broker.state.disagreements() == [])
    }

    @Test("Without space the reading waits, and goes on when there is some")
    func fullDisk() throws {
        let broker = StateHarness()
        _ = create(broker, "t@all", [])
        for _ in 0..<700 { broker.publish(message(broker, "region=eu")) }
        broker.ask(.subscriptionCreate(broker.name("t@eu"), .beginning, filter: eu))
        broker.journal.publishBytesFree = 0
        broker.turn()
        #expect(try ids(broker, "t@eu").count == 500)
        #expect(broker.state.nextDeadline(now: broker.now) == 1_000)
        broker.journal.publishBytesFree = 1 << 40
        broker.turn()
        #expect(try ids(broker, "t@eu").count == 700)
        #expect(broker.state.disagreements() == [])
    }
}
