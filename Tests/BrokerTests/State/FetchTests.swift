import BrokerProtocol
import Testing

@testable import Broker

@Suite("Fetch") struct FetchTests {
    private let broker = StateHarness()

    private func fetch(_ fetch: Fetch, session: UInt64 = 1) -> [Notice]? {
        let before = broker.effects.count
        broker.send(.fetch(fetch), session)
        return answer(after: before)
    }

    /// Nil: nothing came yet.
    private func answer(after count: Int) -> [Notice]? {
        for effect in broker.effects[count...].map(\.effect) {
            if case .answerFetch(_, let notices) = effect { return notices }
            if case .respond(_, .fetched(let none)) = effect {
                #expect(none.isEmpty)
                return []
            }
        }
        return nil
    }

    private func ids(_ notices: [Notice]?) -> [MessageID]? { notices?.map(\.id) }

    @Test("A fetch takes up to so many messages of the first subscription that has one, each under a lease")
    func takes() throws {
        _ = broker.publish("t", count: 5)
        _ = broker.publish("u", count: 2)
        let order = Fetch(["empty", "t", "u"].map(broker.name), messagesMax: 3, leaseMilliseconds: 7_000)
        let notices = try #require(fetch(order))
        #expect(notices.map(\.id) == [1, 2, 3].map { id($0) })
        #expect(Set(notices.map(\.leaseMilliseconds)) == [7_000])
        #expect(broker.status("t").leased == 3)
        for notice in notices { #expect(broker.settle(notice, .ack) == nil) }
        #expect(ids(fetch(order)) == [id(4), id(5)])
        #expect(ids(fetch(order)) == [id(6), id(7)])
        #expect(fetch(order) == [])
        #expect(broker.state.disagreements() == [])
    }

    @Test("A fetch that waits is answered by the first message, with all that is there by then")
    func waits() throws {
        let before = broker.effects.count
        broker.send(.fetch(Fetch([broker.name("t@a")], messagesMax: 10, waitMilliseconds: -1)))
        #expect(answer(after: before) == nil)
        broker.send(.publish([broker.message("t"), broker.message("t")]))
        #expect(ids(answer(after: before)) == [id(1), id(2)])
        #expect(broker.state.waitingPopCount == 0)
    }

    @Test("A fetch whose wait is over gets an empty list")
    func waitIsOver() {
        let before = broker.effects.count
        broker.send(.fetch(Fetch([broker.name("t@a")], waitMilliseconds: 1_000)))
        broker.pass(milliseconds: 999)
        #expect(answer(after: before) == nil)
        broker.pass(milliseconds: 1)
        #expect(answer(after: before) == [])
    }

    @Test("The bytes of bodies and headers bound a fetch, but one message always comes")
    func bytes() throws {
        broker.publish(broker.message("t", body: [UInt8](repeating: 1, count: 100)))
        broker.publish(broker.message("t", body: [UInt8](repeating: 1, count: 50)))
        broker.publish(
            OutgoingMessage(
                topic: broker.topic("t"), body: [UInt8](repeating: 1, count: 40), headers: [Header("abc", "def")]))
        let order = Fetch([broker.name("t")], bytesMax: 100)
        #expect(ids(fetch(Fetch([broker.name("t")], bytesMax: 10))) == [id(1)])
        #expect(ids(fetch(order)) == [id(2), id(3)])
    }

    @Test("The answer fits into a frame, whatever the messages carry")
    func frame() throws {
        var limits = StateLimits()
        limits.frameBytesMax = 4_096
        let broker = StateHarness(limits: limits)
        for index in 0..<60 {
            var message = broker.message("t", body: [UInt8](repeating: 1, count: index * 7 % 90))
            message.headers = (0..<(index % 5)).map { _ in Header("", "") }
            message.orderingKey = "key-\(index)"
            broker.publish(message)
        }
        var sizes: [Int] = []
        for _ in 0..<60 {
            let before = broker.effects.count
            broker.send(.fetch(Fetch([broker.name("t")], messagesMax: 100, acknowledges: true)))
            for case .answerFetch(_, let notices) in broker.effects[before...].map(\.effect) {
                let deliveries = try notices.map { notice in
                    let message = try broker.state.readMessage(notice.address)
                    return Delivery(
                        consumer: notice.consumer, lease: notice.lease, leaseMilliseconds: 0, id: notice.id,
                        subscription: notice.subscription, attempt: 1, publishedAt: message.publishedAt,
                        orderingKey: message.orderingKey, headers: message.headers, body: message.body)
                }
                var writer = ByteWriter()
                Frame.response(1, .fetched(deliveries)).encode(into: &writer)
                sizes.append(writer.bytes.count - 4)
            }
        }
        #expect(sizes.count > 2)
        #expect(sizes.allSatisfy { $0 <= 4_096 })
        #expect(sizes.contains { $0 > 3_000 })
        #expect(broker.state.messages.count == 0)
    }

    @Test("With automatic ack the messages are settled before they are handed over, also across a restart")
    func acknowledges() throws {
        _ = broker.publish("t", count: 4)
        let order = Fetch([broker.name("t")], messagesMax: 3, acknowledges: true)
        #expect(fetch(order)?.map(\.lease.rawValue) == [0, 0, 0])
        let answer = try #require(
            broker.effects.last { if case .answerFetch = $0.effect { true } else { false } })
        #expect(answer.requires == broker.journal.end)
        try broker.restart()
        #expect(ids(fetch(order)) == [id(4)])
        #expect(broker.state.disagreements() == [])
    }

    @Test("Attempts of a fetch are in the log")
    func attempts() throws {
        _ = broker.publish("t", count: 2)
        #expect(fetch(Fetch([broker.name("t")]))?.map(\.attempt) == [1, 1])
        try broker.restart()
        #expect(fetch(Fetch([broker.name("t")]))?.map(\.attempt) == [2, 2])
    }

    @Test("A fetch takes no more leases than its connection may have, and says so when it has none left")
    func leaseLimit() {
        var limits = StateLimits()
        limits.leasesPerConnectionMax = 3
        let broker = StateHarness(limits: limits)
        _ = broker.publish("t", count: 5)
        broker.send(.fetch(Fetch([broker.name("t")], messagesMax: 10)))
        #expect(broker.status("t").leased == 3)
        #expect(code(broker.send(.fetch(Fetch([broker.name("t")], messagesMax: 10)))) == .leaseLimit)
    }

    @Test("Numbers that are out of their range refuse a fetch")
    func refusals() {
        let name = broker.name("t")
        let orders: [(Fetch, BrokerError.Code)] = [
            (Fetch([]), .batchTooLarge), (Fetch([SubscriptionName](repeating: name, count: 101)), .batchTooLarge),
            (Fetch([name], messagesMax: 0), .settingInvalid), (Fetch([name], messagesMax: 10_001), .settingInvalid),
            (Fetch([name], leaseMilliseconds: 99), .settingInvalid),
            (Fetch([name], leaseMilliseconds: 43_200_001), .settingInvalid),
            (Fetch([name], leaseMilliseconds: -2), .settingInvalid),
        ]
        for (order, expected) in orders { #expect(code(broker.send(.fetch(order))) == expected) }
        #expect(broker.state.topics.isEmpty)
    }

    @Test("A fetch that waits is refused when the broker drains, or its subscription is deleted")
    func ends() {
        broker.send(.subscriptionCreate(broker.name("t@a"), .beginning))
        var before = broker.effects.count
        broker.send(.fetch(Fetch([broker.name("t@a")], waitMilliseconds: -1)))
        broker.send(.subscriptionDelete(broker.name("t@a")), 2)
        func refusal() -> BrokerError.Code? {
            for case .respond(let origin, let response) in broker.effects[before...].map(\.effect)
            where origin.session == SessionID(rawValue: 1) { return code(response) }
            return nil
        }
        #expect(refusal() == .subscriptionUnknown)
        before = broker.effects.count
        broker.send(.fetch(Fetch([broker.name("t@a")], waitMilliseconds: -1)))
        broker.drain()
        #expect(refusal() == .shuttingDown)
    }
}
