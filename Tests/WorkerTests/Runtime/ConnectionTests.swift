import BrokerProtocol
import TestSupport
import Testing
import Workers

@Suite(.timeLimit(.minutes(1))) struct ConnectionTests {
    private static let refusal = BrokerError(.connectionRefused, "nobody there")

    @Test("Ready comes after every subscription is subscribed, not before") func ready() async throws {
        let fixture = RuntimeFixture({
            $0.register(ClosureWorker<Parcel> { _, _ in .done })
            $0.register(ClosureWorker<Receipt> { _, _ in .done })
        })
        fixture.broker.fail { $0.subscribes = [BrokerError(.subscriptionLimit, "too many")] }
        try await fixture.run {
            await fixture.until { if case .brokerGone = $0 { true } else { false } }
            #expect(!fixture.events.values.contains(.ready))
            fixture.clock.advance(by: .seconds(10))
            await fixture.untilReady()
            #expect(fixture.broker.record.connects == 2)
            let names = fixture.broker.record.credits.keys.map(\.description).sorted()
            #expect(names == ["parcel.received@post", "parcel.sent@post"])
        }
    }

    @Test("A broker that is gone is sought with full jitter, and the status says so") func jitter() async throws {
        let fixture = RuntimeFixture { _, _ in .done }
        fixture.broker.fail { $0.connects = Array(repeating: Self.refusal, count: 9) }
        try await fixture.run {
            for count in 1...9 {
                await fixture.events.until {
                    $0.count { if case .brokerGone = $0 { true } else { false } } == count
                }
                fixture.clock.advance(by: .seconds(10))
            }
            await fixture.untilReady()
        }
        #expect(fixture.waits.values == [400, 800, 1600, 3200, 6400, 10_000, 10_000, 10_000, 10_000])
        #expect(
            fixture.texts.values.prefix(3) == [
                "connecting to the broker", "broker gone, reconnecting, 2nd try", "broker gone, reconnecting, 3rd try",
            ])
        #expect(fixture.texts.values.contains("0 of 16 slots busy, 0 done, 0 rejected"))
    }

    @Test("After a lost connection everything is subscribed again and nothing is lost") func reconnect() async throws {
        let fixture = RuntimeFixture { _, _ in .done }
        try await fixture.run {
            fixture.send(1)
            await fixture.broker.until { $0.acks.count == 1 }
            fixture.broker.dropConnections()
            fixture.send(2)
            await fixture.until { if case .brokerGone = $0 { true } else { false } }
            #expect(fixture.texts.values.last == "broker gone, reconnecting, 1st try")
            fixture.clock.advance(by: .seconds(10))
            await fixture.until { $0 == .reconnected }
            await fixture.broker.until { $0.acks.count == 2 }
        }
        #expect(fixture.waits.values == [200])
    }

    @Test("A handler outlives its connection, its outcome does not") func running() async throws {
        let gate = Gate()
        let fixture = RuntimeFixture { _, attempt in
            if attempt.number == 1 { await gate.wait() }
            #expect(!Task.isCancelled)
            return .done(publishing: [try Publication(Receipt(number: Int(attempt.number)))])
        }
        try await fixture.run {
            let id = fixture.send(1)
            await fixture.until { if case .started = $0 { true } else { false } }
            fixture.broker.dropConnections()
            await fixture.until { if case .brokerGone = $0 { true } else { false } }
            fixture.clock.advance(by: .seconds(10))
            await fixture.broker.until { $0.deliveries.count == 2 }
            gate.open()
            await fixture.broker.until { $0.acks == [id] }
        }
        #expect(fixture.broker.record.commits == 1)
        #expect(
            fixture.events.values.contains {
                if case .dropped(_, "the connection was lost", _) = $0 { true } else { false }
            })
    }

    @Test("A broker that ends its deliveries gets its settlements, then it is sought again") func shutdown()
        async throws
    {
        let gate = Gate()
        let fixture = RuntimeFixture(configure: { $0.slots = 1 }) { parcel, _ in
            if parcel.number == 1 { await gate.wait() }
            return .done
        }
        try await fixture.run {
            fixture.send(1)
            fixture.send(2)
            await fixture.broker.until { $0.leased == 2 }
            await fixture.until { if case .started = $0 { true } else { false } }
            fixture.broker.endStreams()
            await fixture.broker.until { $0.givenBack.count == 1 }
            gate.open()
            await fixture.broker.until { $0.acks.count == 1 }
            await fixture.until { if case .brokerGone = $0 { true } else { false } }
            fixture.clock.advance(by: .seconds(10))
            await fixture.broker.until { $0.acks.count == 2 }
        }
        #expect(fixture.broker.record.deliveries.map(\.attempt) == [1, 1, 1])
    }

    @Test("A busy subscription gets credit from the idle ones") func credit() async throws {
        let gate = Gate()
        let fixture = RuntimeFixture(
            {
                $0.register(
                    ClosureWorker<Parcel> { _, _ in
                        await gate.wait()
                        return .done
                    })
                $0.register(ClosureWorker<Receipt> { _, _ in .done })
            }, configure: { $0.slots = 8 })
        for number in 1...40 { fixture.send(number) }
        try await fixture.run {
            await fixture.broker.until { $0.leased == 15 }
            #expect(fixture.broker.record.credits.values.sorted() == [1, 15])
            fixture.broker.publish(OutgoingMessage(topic: Receipt.topic, body: Array(#"{"number":1}"#.utf8)))
            await fixture.broker.until { $0.credits.values.sorted() == [8, 8] }
            gate.open()
            await fixture.broker.until { $0.acks.count == 40 }
        }
    }
}

@Suite struct BlockingThreadTests {
    @Test("Work runs in order, and its result and its error come back") func order() async throws {
        let thread = BlockingThread(name: "test")
        let seen = Recorder<Int>()
        async let first: Void = thread.run { seen.add(1) }
        await first
        let value = await thread.run { () -> Int in
            seen.add(2)
            return 7
        }
        #expect(value == 7)
        await #expect(throws: Mishap.self) {
            try await thread.run { () throws(Mishap) in throw Mishap(description: "locked") }
        }
        #expect(seen.values == [1, 2])
    }

    @Test("Work that blocks holds up no task") func blocks() async {
        let thread = BlockingThread(name: "test")
        let opened = Recorder<Void>()
        async let blocked: Void = thread.run { while opened.values.isEmpty { _ = () } }
        await Task.yield()
        opened.add(())
        await blocked
    }
}
