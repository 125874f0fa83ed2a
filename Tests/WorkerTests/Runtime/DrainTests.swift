import BrokerProtocol
import TestSupport
import Testing
import Workers

@Suite(.timeLimit(.minutes(1))) struct DrainTests {
    /// Slots for one, the rest waits prefetched.
    private func fixture(handling body: @escaping @Sendable (Parcel, Attempt) async throws -> Outcome) -> RuntimeFixture
    {
        RuntimeFixture(
            configure: {
                $0.slots = 1
                $0.prefetch = 3
                $0.attemptTimeout = .seconds(600)
            }, handling: body)
    }

    @Test("A drain gives back what waits, lets the handler finish, and returns") func drain() async throws {
        let gate = Gate()
        let fixture = fixture { _, _ in
            await gate.wait()
            return .done(publishing: [try Publication(Receipt(number: 1))])
        }
        for number in 1...6 { fixture.send(number) }
        let run = fixture.start()
        await fixture.broker.until { $0.leased == 4 }
        await fixture.until { if case .started = $0 { true } else { false } }
        fixture.runtime.drain()
        await fixture.broker.until { $0.givenBack.count == 3 && $0.leased == 1 }
        #expect(fixture.broker.record.acks.isEmpty)
        gate.open()
        try await run.value
        let record = fixture.broker.record
        #expect(record.acks.count == 1)
        #expect(record.commits == 1)
        #expect(record.givenBack == [nil, nil, nil])
        #expect(record.fails.isEmpty)
        #expect(record.deliveries.count == 4)
        #expect(fixture.events.values.last == .drained)
    }

    @Test("The events that a drain gave back go to the next worker as first attempts") func handover() async throws {
        let gate = Gate()
        let first = fixture { _, _ in
            try await gate.waitOrCancel()
            return .done
        }
        for number in 1...6 { first.send(number) }
        let run = first.start()
        await first.broker.until { $0.leased == 4 }
        first.runtime.drain()
        first.runtime.drain()
        try await run.value
        let second = RuntimeFixture(broker: first.broker) { _, attempt in
            #expect(attempt.number == 1)
            return .done
        }
        try await second.run { await second.broker.until { $0.acks.count == 6 } }
    }

    @Test("At the drain's deadline the handlers are cancelled and their events given back") func deadline() async throws
    {
        let fixture = fixture { _, _ in
            try await Gate().waitOrCancel()
            return .done
        }
        fixture.send(1)
        let run = fixture.start()
        await fixture.until { if case .started = $0 { true } else { false } }
        fixture.runtime.drain()
        await fixture.until { if case .draining(1) = $0 { true } else { false } }
        fixture.clock.advance(by: .seconds(59))
        #expect(fixture.broker.record.leased == 1)
        fixture.clock.advance(by: .seconds(1))
        try await run.value
        #expect(fixture.broker.record.givenBack == [nil])
        #expect(fixture.broker.record.fails.isEmpty)
    }

    @Test("A cancelled handler that throws something else has used no attempt") func otherError() async throws {
        let fixture = fixture { _, _ in
            try? await Gate().waitOrCancel()
            throw Mishap(description: "the transfer was interrupted")
        }
        fixture.send(1)
        let run = fixture.start()
        await fixture.until { if case .started = $0 { true } else { false } }
        fixture.runtime.drain()
        fixture.runtime.drain()
        try await run.value
        #expect(fixture.broker.record.givenBack == [nil])
        #expect(fixture.broker.record.fails.isEmpty)
        #expect(fixture.events.values.contains(.cancelling(running: 1)))
    }

    @Test("A handler that ignores its cancellation delays the end by the grace period only") func stubborn()
        async throws
    {
        let gate = Gate()
        let fixture = fixture { _, _ in
            await gate.wait()
            return .done
        }
        fixture.send(1)
        let run = fixture.start()
        await fixture.until { if case .started = $0 { true } else { false } }
        fixture.runtime.drain()
        fixture.runtime.drain()
        await fixture.until { if case .cancelling = $0 { true } else { false } }
        fixture.clock.advance(by: .seconds(5))
        try await run.value
        #expect(fixture.broker.record.givenBack == [nil])
        gate.open()
    }

    @Test("A drain without a broker ends at once") func withoutBroker() async throws {
        let fixture = RuntimeFixture { _, _ in .done }
        fixture.broker.fail { $0.connects = [BrokerError(.connectionRefused, "nobody there")] }
        let run = fixture.start()
        await fixture.until { if case .brokerGone = $0 { true } else { false } }
        fixture.runtime.drain()
        try await run.value
        #expect(fixture.broker.record.connects == 1)
    }

    @Test("A connection lost in a drain is not sought again; the handler may finish") func lostInDrain() async throws {
        let gate = Gate()
        let fixture = fixture { _, _ in
            await gate.wait()
            return .done
        }
        fixture.send(1)
        let run = fixture.start()
        await fixture.until { if case .started = $0 { true } else { false } }
        fixture.runtime.drain()
        await fixture.until { if case .draining = $0 { true } else { false } }
        fixture.broker.dropConnections()
        gate.open()
        try await run.value
        #expect(fixture.broker.record.connects == 1)
        #expect(fixture.broker.record.acks.count <= 1)
    }

    @Test("A drain asked for before the start is kept") func early() async throws {
        let fixture = RuntimeFixture { _, _ in .done }
        fixture.runtime.drain()
        try await fixture.start().value
    }
}
