import BrokerProtocol
import TestSupport
import Testing
import Workers

/// Snoozes, pauses of the queue, and what the broker refuses for a time.
@Suite(.timeLimit(.minutes(1))) struct PauseTests {
    private static func starts(_ fixture: RuntimeFixture) -> [UInt64] {
        fixture.events.values.compactMap { if case .started(let attempt) = $0 { attempt.id.rawValue } else { nil } }
    }

    private static func time(_ milliseconds: Int64) -> WallTime { WallTime(milliseconds: milliseconds) }

    @Test("A handler knows attempt, deliveries, publish time, last error, priority and key of its event")
    func knowledge() async throws {
        let attempts = Recorder<Attempt>()
        let fixture = RuntimeFixture { _, attempt in
            attempts.add(attempt)
            switch attempts.values.count {
            case 1: return .fail("no stamps", after: .zero)
            case 2: return .release
            default: return .done
            }
        }
        fixture.broker.advance(milliseconds: 700)
        try await fixture.run {
            fixture.broker.publish(
                OutgoingMessage(
                    topic: Parcel.topic, body: Array(#"{"number":1}"#.utf8), headers: [Header("shop", "north")],
                    priority: 8, orderingKey: "A"))
            await fixture.broker.until { $0.acks.count == 1 }
        }
        #expect(attempts.values.map(\.number) == [1, 2, 2])
        #expect(attempts.values.map(\.deliveries) == [1, 2, 3])
        #expect(attempts.values.map(\.lastError) == [nil, "no stamps", "no stamps"])
        let last = try #require(attempts.values.last)
        #expect(last.priority == 8 && last.orderingKey == "A" && last.header("shop") == "north")
        #expect(last.publishedAt == Self.time(700) && last.redrives == 0)
    }

    @Test("A snooze until a time comes back then and counts no attempt; one in the past comes back at once")
    func snoozeUntil() async throws {
        let fixture = RuntimeFixture { _, attempt in
            #expect(attempt.number == 1)
            switch attempt.deliveries {
            case 1: return .snooze(until: Self.time(5_000))
            case 2: return .snooze(until: Self.time(1))
            default: return .done
            }
        }
        fixture.broker.advance(milliseconds: 2_000)
        try await fixture.run {
            fixture.send(1)
            await fixture.broker.until { $0.givenBack == [3_000] }
            fixture.broker.advance(milliseconds: 2_999)
            #expect(fixture.broker.record.deliveries.count == 1)
            fixture.broker.advance(milliseconds: 1)
            await fixture.broker.until { $0.acks.count == 1 }
        }
        #expect(fixture.broker.record.givenBack == [3_000, 0])
        #expect(fixture.runtime.counters.snoozed == 2)
    }

    @Test("A paused queue gives back what runs and what waits, starts nothing, and goes on at its time")
    func pauseQueue() async throws {
        let isDown = Gate()
        let worker = ClosureWorker<Parcel>(body: { _, attempt in
            if attempt.deliveries == 1, attempt.id.rawValue <= 2 {
                await isDown.wait()
                throw Mishap(description: "no trucks")
            }
            return .done
        }) { _ in .pauseQueue(until: Self.time(60_000)) }
        let fixture = RuntimeFixture({ $0.register(worker) }, configure: { ($0.slots, $0.prefetch) = (2, 4) })
        try await fixture.run {
            for number in 1...10 { fixture.send(number) }
            await fixture.broker.until { $0.leased == 6 }
            isDown.open()
            await fixture.broker.until { $0.givenBack.count == 6 }
            await fixture.broker.until { $0.leased == 0 }
            #expect(Self.starts(fixture) == [1, 2])
            fixture.broker.advance(milliseconds: 59_999)
            #expect(fixture.broker.record.leased == 0)
            fixture.broker.advance(milliseconds: 1)
            await fixture.broker.until { $0.acks.count == 10 }
        }
        let pauses = fixture.broker.record.pauses
        #expect(Set(pauses) == [TestBroker.Pause(RuntimeFixture.parcels, until: Self.time(60_000))])
        #expect(pauses.count <= 2)
        #expect(fixture.broker.record.givenBack == Array(repeating: nil, count: 6))
        #expect(fixture.broker.record.deliveries.map(\.attempt) == Array(repeating: 1, count: 16))
        #expect(
            fixture.events.values.contains(
                .queuePaused(RuntimeFixture.parcels, until: Self.time(60_000), reason: "no trucks")))
        #expect(fixture.runtime.counters.pausedQueue == 2)
    }

    @Test("A pause in the past pauses nothing, and the event comes again with a backoff") func pauseInThePast()
        async throws
    {
        let fixture = RuntimeFixture { _, attempt in
            attempt.deliveries == 1 ? .pauseQueue(until: Self.time(0)) : .done
        }
        try await fixture.run {
            fixture.send(1)
            await fixture.broker.until { $0.givenBack == [1_000] }
            fixture.broker.advance(milliseconds: 1_000)
            await fixture.broker.until { $0.acks.count == 1 }
        }
        #expect(fixture.broker.record.pauses.isEmpty)
    }

    @Test(
        "A pause that is refused still gives the event back, with a backoff that grows and no attempt counted",
        arguments: [BrokerError.Code.unauthorized, .unsupported, .settingInvalid])
    func refusedPause(_ code: BrokerError.Code) async throws {
        let refusal = BrokerError(code, "no pauses here")
        let fixture = RuntimeFixture { _, attempt in
            #expect(attempt.number == 1)
            return attempt.deliveries <= 8 ? .pauseQueue(for: .seconds(30)) : .done
        }
        fixture.broker.fail { $0.pauses = Array(repeating: refusal, count: 8) }
        let waits: [Int64] = [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000]
        try await fixture.run {
            let id = fixture.send(1)
            for (index, wait) in waits.enumerated() {
                await fixture.broker.until { $0.givenBack.count == index + 1 }
                fixture.broker.advance(milliseconds: wait)
            }
            await fixture.broker.until { $0.acks == [id] }
        }
        #expect(fixture.broker.record.givenBack == waits)
        #expect(fixture.waits.values.prefix(3) == [1_000, 2_000, 4_000])
        #expect(fixture.runtime.counters.postponed == 8)
        let told = fixture.events.values.contains {
            if case .postponed(_, refusal, .seconds(1)) = $0 { true } else { false }
        }
        #expect(told)
    }

    @Test("A connection that is lost over a pause loses and doubles nothing") func lostPause() async throws {
        let fixture = RuntimeFixture { _, attempt in
            attempt.deliveries == 1 ? .pauseQueue(until: Self.time(60_000)) : .done
        }
        fixture.broker.fail { $0.pauses = [TestConnection.lost] }
        try await fixture.run {
            let id = fixture.send(1)
            await fixture.until { if case .brokerGone = $0 { true } else { false } }
            fixture.clock.advance(by: .seconds(10))
            await fixture.broker.until { $0.acks == [id] }
        }
        #expect(fixture.runtime.counters.dropped == 1)
        #expect(fixture.broker.record.deliveries.count == 2)
    }

    @Test("A lease that is lost before the pause is answered drops the outcome; the event comes again")
    func lostLease() async throws {
        let fixture = RuntimeFixture { _, attempt in
            attempt.deliveries == 1 ? .pauseQueue(until: Self.time(60_000)) : .done
        }
        fixture.broker.fail { $0.settles = [BrokerError(.leaseLost, "too late")] }
        try await fixture.run {
            let id = fixture.send(1)
            await fixture.until { if case .dropped(_, "LEASE_LOST (105): too late", _) = $0 { true } else { false } }
            fixture.broker.loseLeases()
            fixture.broker.advance(milliseconds: 60_000)
            await fixture.broker.until { $0.acks == [id] }
        }
        #expect(fixture.broker.record.pauses.count == 1)
    }

    @Test(
        "A publish that is refused for a time gives its event back without an attempt, with a backoff",
        arguments: [BrokerError.Code.topicPaused, .topicFull, .delayedLimit])
    func refusedPublish(_ code: BrokerError.Code) async throws {
        let refusal = BrokerError(code, "parcel.received takes nothing now")
        let fixture = RuntimeFixture { parcel, attempt in
            #expect(attempt.number == 1)
            return .done(publishing: [try Publication(Receipt(number: parcel.number))])
        }
        fixture.broker.fail { $0.commits = [refusal, refusal] }
        try await fixture.run {
            let id = fixture.send(1)
            await fixture.broker.until { $0.givenBack == [1_000] }
            fixture.broker.advance(milliseconds: 1_000)
            await fixture.broker.until { $0.givenBack == [1_000, 2_000] }
            fixture.broker.advance(milliseconds: 2_000)
            await fixture.broker.until { $0.acks == [id] }
        }
        #expect(fixture.broker.record.fails.isEmpty)
        #expect(fixture.broker.record.published.count { $0.topic == Receipt.topic } == 1)
        #expect(fixture.broker.record.commits == 1)
    }

    @Test("On a full disk the same outcome is tried again under its lease, and no handler runs twice")
    func diskFull() async throws {
        let refusal = BrokerError(.diskFull, "the disk is full; the lease stays")
        let fixture = RuntimeFixture { parcel, attempt in
            parcel.number == 1 ? .done(publishing: [try Publication(Receipt(number: 1))]) : .fail("no stamps")
        }
        fixture.broker.fail { faults in
            faults.commits = [refusal, refusal]
            faults.settles = [refusal]
        }
        func waiting(_ count: Int) async {
            await fixture.events.until { events in
                events.count { if case .waitsForDisk(_, refusal, .seconds(5)) = $0 { true } else { false } } == count
            }
        }
        try await fixture.run {
            let first = fixture.send(1)
            await waiting(1)
            fixture.clock.advance(by: .seconds(5))
            await waiting(2)
            #expect(fixture.broker.record.leased == 1)
            fixture.clock.advance(by: .seconds(5))
            await fixture.broker.until { $0.acks == [first] }
            fixture.send(2)
            await waiting(3)
            fixture.clock.advance(by: .seconds(5))
            await fixture.broker.until { $0.fails.map(\.error).first == "no stamps" }
        }
        #expect(fixture.broker.record.published.count { $0.topic == Receipt.topic } == 1)
        #expect(Self.starts(fixture).first == 1 && Self.starts(fixture).count { $0 == 1 } == 1)
        #expect(fixture.runtime.counters.dropped == 0)
    }

    @Test("A drain over a full disk ends at its deadline; the event is not lost") func drainOnFullDisk() async throws {
        let refusal = BrokerError(.diskFull, "the disk is full; the lease stays")
        let fixture = RuntimeFixture { _, _ in .fail }
        fixture.broker.fail { $0.settles = Array(repeating: refusal, count: 100) }
        let run = fixture.start()
        fixture.send(1)
        await fixture.until { if case .waitsForDisk = $0 { true } else { false } }
        fixture.runtime.drain()
        fixture.runtime.drain()
        await fixture.until { if case .cancelling = $0 { true } else { false } }
        fixture.clock.advance(by: .seconds(10))
        try await run.value
        #expect(fixture.broker.record.leased == 0)
        #expect(fixture.broker.record.acks.isEmpty)
    }
}
