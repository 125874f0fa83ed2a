import BrokerProtocol
import Testing

@testable import BrokerClient

/// A session that is fed by hand; waiters and outlets are words.
private struct Bench {
    var session: ClientSession<String, String>
    var events: [String] = []

    init(heartbeatMilliseconds: UInt32 = 1000) throws {
        session = ClientSession(
            hello: .hello(versions: [1], client: "c", instance: "i", heartbeatMilliseconds: 0), waiter: "hello",
            now: 0)
        #expect(try sent().count == 1)
        try feed(.response(1, ScriptedBroker.hello(heartbeatMilliseconds: heartbeatMilliseconds)))
        #expect(events == ["hello: hello"])
        events = []
    }

    mutating func feed(_ frames: Frame..., now: Int64 = 0) throws {
        try feed(bytes: frames.flatMap(\.bytes), now: now)
    }

    mutating func feed(bytes: [UInt8], now: Int64 = 0) throws {
        session.fill(now: now) { $0.append(contentsOf: bytes) }
        var events: [ClientSession<String, String>.Event] = []
        defer { self.events += events.map(describe) }
        try session.takeEvents(into: &events)
    }

    private func describe(_ event: ClientSession<String, String>.Event) -> String {
        switch event {
        case .answered(let waiter, .hello): "\(waiter): hello"
        case .answered(let waiter, .count(let count)): "\(waiter): \(count)"
        case .answered(let waiter, .refused(let error)): "\(waiter): \(error.code.name)"
        case .answered(let waiter, let response): "\(waiter): \(response)"
        case .delivered(let outlet, let deliveries): "\(outlet) gets \(deliveries.map(\.lease.rawValue))"
        case .ended(let outlet, let error): "\(outlet) ends \(error?.code.name ?? "in order")"
        }
    }

    /// The frames that wait to be written.
    mutating func sent(now: Int64 = 0) throws -> [Frame] {
        var decoder = FrameDecoder(side: .broker, frameBytesMax: 8 << 20)
        session.flush(now: now) { bytes, offset in
            decoder.append(bytes[offset...])
            return bytes.count - offset
        }
        var frames: [Frame] = []
        while let frame = try decoder.next() { frames.append(frame) }
        return frames
    }

    mutating func ask(_ waiter: String?) { session.send(Frame.request(0, .status).bytes, waiter: waiter) }

    mutating func subscribe(_ number: UInt32, _ outlet: String) {
        let consumer = ConsumerID(rawValue: number)
        let request = Request.subscribe(
            consumer: consumer, subscription: .mail, credit: 10, start: .beginning, leaseMilliseconds: nil)
        session.subscribe(Frame.request(0, request).bytes, consumer: consumer, outlet: outlet, waiter: "subscribed")
    }
}

@Suite("The client's session, fed by hand") struct ClientSessionTests {
    @Test("Answers in any order find who waits for them") func outOfOrder() throws {
        var bench = try Bench()
        for name in ["a", "b", "c"] { bench.ask(name) }
        #expect(try bench.sent() == [2, 3, 4].map { .request($0, .status) })
        try bench.feed(.response(4, .count(4)), .response(2, .count(2)), .response(3, .count(3)))
        #expect(bench.events == ["c: 4", "a: 2", "b: 3"])
        #expect(bench.session.hasPending == false)
    }

    @Test("An answer that nobody asked for, or nobody wants, is passed over") func unasked() throws {
        var bench = try Bench()
        bench.ask(nil)
        try bench.feed(.response(2, .count(1)), .response(99, .count(1)), .response(2, .count(1)))
        #expect(bench.events == [])
    }

    @Test("Bytes that come one at a time mean the same") func byteByByte() throws {
        var bench = try Bench()
        bench.subscribe(1, "mail")
        bench.ask("a")
        let bytes = [
            Frame.push(.deliveries([Delivery(5)])), .heartbeat, .response(2, .done), .response(3, .count(8)),
        ].flatMap(\.bytes)
        for byte in bytes { try bench.feed(bytes: [byte]) }
        #expect(bench.events == ["mail gets [5]", "subscribed: done", "a: 8"])
    }

    @Test("Deliveries may come before the answer to their subscription") func pushFirst() throws {
        var bench = try Bench()
        bench.subscribe(1, "mail")
        bench.subscribe(2, "stock")
        let deliveries = [Delivery(5), Delivery(6), Delivery(7, consumer: 2), Delivery(8)]
        try bench.feed(.push(.deliveries(deliveries)), .response(2, .done))
        #expect(bench.events == ["mail gets [5, 6]", "stock gets [7]", "mail gets [8]", "subscribed: done"])
    }

    @Test("What arrives for an abandoned consumer goes back at once") func abandoned() throws {
        var bench = try Bench()
        bench.subscribe(1, "mail")
        try bench.feed(.response(2, .done))
        bench.session.abandon(ConsumerID(rawValue: 1))
        bench.session.abandon(ConsumerID(rawValue: 1))
        _ = try bench.sent()
        try bench.feed(.push(.deliveries([Delivery(5), Delivery(6)])))
        #expect(
            try bench.sent() == [
                .request(4, .settle([Settlement(LeaseID(5), .release()), Settlement(LeaseID(6), .release())]))
            ])
        #expect(bench.events == ["subscribed: done"])
    }

    @Test("Abandoning sends one unsubscribe") func unsubscribes() throws {
        var bench = try Bench()
        bench.subscribe(9, "mail")
        _ = try bench.sent()
        bench.session.abandon(ConsumerID(rawValue: 9))
        bench.session.abandon(ConsumerID(rawValue: 9))
        bench.session.abandon(ConsumerID(rawValue: 3))
        #expect(try bench.sent() == [.request(3, .unsubscribe(consumer: ConsumerID(rawValue: 9)))])
    }

    @Test("A refused subscription has no outlet") func refusedSubscription() throws {
        var bench = try Bench()
        bench.subscribe(1, "mail")
        _ = try bench.sent()
        try bench.feed(.response(2, .refused(BrokerError(.topicUnknown, "no"))))
        try bench.feed(.push(.deliveries([Delivery(5)])))
        #expect(bench.events == ["subscribed: TOPIC_UNKNOWN"])
        #expect(try bench.sent() == [.request(3, .settle([Settlement(LeaseID(5), .release())]))])
    }

    @Test("An unsubscribe that is answered ends the stream behind the last delivery") func unsubscribed() throws {
        var bench = try Bench()
        bench.subscribe(1, "mail")
        let request = Request.unsubscribe(consumer: ConsumerID(rawValue: 1))
        bench.session.send(
            Frame.request(0, request).bytes, waiter: "unsubscribed",
            purpose: .unsubscribe(ConsumerID(rawValue: 1)))
        try bench.feed(
            .response(2, .done), .push(.deliveries([Delivery(5)])), .response(3, .done))
        #expect(
            bench.events == ["subscribed: done", "mail gets [5]", "mail ends in order", "unsubscribed: done"])
    }

    @Test("A consumer that the broker ends knows why") func consumerEnded() throws {
        var bench = try Bench()
        bench.subscribe(1, "mail")
        bench.subscribe(2, "stock")
        let gone = BrokerError(.subscriptionUnknown, "deleted")
        try bench.feed(
            .push(.consumerEnded(ConsumerID(rawValue: 2), gone)), .push(.consumerEnded(ConsumerID(rawValue: 1), nil)),
            .push(.consumerEnded(ConsumerID(rawValue: 1), nil)))
        #expect(bench.events == ["stock ends SUBSCRIPTION_UNKNOWN", "mail ends in order"])
    }

    @Test("Another version is told from damage") func wrongVersion() throws {
        var bench = try Bench()
        #expect {
            try bench.feed(bytes: [0, 0, 0, 8, 2, 0x82, 0, 0, 0, 0, 0, 2])
        } throws: {
            ($0 as? BrokerError)?.code == .versionUnsupported
        }
    }

    @Test("What came before a bad frame still counts") func malformed() throws {
        var bench = try Bench()
        bench.ask("a")
        let unknownKind: [UInt8] = [0, 0, 0, 8, 1, 0xEE, 0, 0, 0, 0, 0, 2]
        #expect {
            try bench.feed(bytes: Frame.response(2, .count(1)).bytes + unknownKind)
        } throws: {
            ($0 as? BrokerError)?.code == .responseMalformed
        }
        #expect(bench.events == ["a: 1"])
    }

    @Test("A frame above the limit of HELLO is refused from its length alone") func tooLarge() throws {
        var bench = try Bench()
        #expect {
            try bench.feed(bytes: [0x7F, 0, 0, 0, 1])
        } throws: {
            ($0 as? BrokerError)?.code == .responseMalformed
        }
    }

    @Test("The broker's last words are kept") func lastWords() throws {
        var bench = try Bench()
        let words = BrokerError(.slowConsumer, "too slow")
        try bench.feed(.response(0, .refused(BrokerError(.topicUnknown, "no"))), .response(0, .refused(words)))
        #expect(bench.session.lastWords == words)
    }

    @Test("Bytes are written in order, however few at a time") func partialWrites() throws {
        var bench = try Bench()
        for index in 0..<200 { bench.ask("\(index)") }
        var written: [UInt8] = []
        while bench.session.unwrittenCount > 0 {
            bench.session.flush(now: 0) { bytes, offset in
                let count = min(7, bytes.count - offset)
                written += bytes[offset..<offset + count]
                return count
            }
        }
        #expect(written == (2..<202).flatMap { Frame.request($0, .status).bytes })
    }

    @Test("Who still waits at the end is told in order") func ends() throws {
        var bench = try Bench()
        bench.subscribe(2, "stock")
        bench.subscribe(1, "mail")
        for name in ["a", "b"] { bench.ask(name) }
        let (waiters, outlets) = bench.session.takeAll()
        #expect(waiters == ["subscribed", "subscribed", "a", "b"])
        #expect(outlets == ["mail", "stock"])
        #expect(bench.session.hasPending == false)
    }
}

@Suite("Heartbeats of the client") struct ClientHeartbeatTests {
    @Test("One goes out after half an interval of silence, not before") func sends() throws {
        var bench = try Bench(heartbeatMilliseconds: 1000)
        #expect(bench.session.deadline == 500)
        try bench.session.keepAlive(now: 499)
        #expect(try bench.sent() == [])
        try bench.session.keepAlive(now: 500)
        try bench.session.keepAlive(now: 501)
        #expect(try bench.sent(now: 501) == [.heartbeat])
        #expect(bench.session.deadline == 1001)
    }

    @Test("A request takes the place of a heartbeat") func requestCounts() throws {
        var bench = try Bench(heartbeatMilliseconds: 1000)
        bench.ask("a")
        #expect(try bench.sent(now: 400).count == 1)
        try bench.session.keepAlive(now: 800)
        #expect(try bench.sent() == [])
        #expect(bench.session.deadline == 900)
    }

    @Test("None is added to bytes that the broker does not take") func blocked() throws {
        var bench = try Bench(heartbeatMilliseconds: 1000)
        bench.ask("a")
        let count = bench.session.unwrittenCount
        try bench.session.keepAlive(now: 1900)
        #expect(bench.session.unwrittenCount == count)
        #expect(bench.session.deadline == 2000)
    }

    @Test("A broker that is silent for two intervals is lost; any byte counts") func missed() throws {
        var bench = try Bench(heartbeatMilliseconds: 1000)
        try bench.feed(bytes: [0], now: 700)
        try bench.session.keepAlive(now: 2699)
        #expect(throws: BrokerError(.heartbeatMissed, "the broker sent nothing for 2000 ms")) {
            try bench.session.keepAlive(now: 2700)
        }
    }

    @Test("An interval of 0 means none at all") func none() throws {
        var bench = try Bench(heartbeatMilliseconds: 0)
        #expect(bench.session.deadline == .max)
        try bench.session.keepAlive(now: 1_000_000_000)
        #expect(try bench.sent() == [])
    }

    @Test("HELLO must be answered in time") func handshake() throws {
        var session = ClientSession<String, String>(
            hello: .hello(versions: [1], client: "c", instance: "i", heartbeatMilliseconds: 0), waiter: "hello",
            now: 5)
        #expect(session.deadline == 10_005)
        try session.keepAlive(now: 10_004)
        #expect(throws: BrokerError.self) { try session.keepAlive(now: 10_005) }
    }
}
