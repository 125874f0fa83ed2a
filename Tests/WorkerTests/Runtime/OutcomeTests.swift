import BrokerProtocol
import TestSupport
import Testing
import Workers

@Suite(.timeLimit(.minutes(1))) struct OutcomeTests {
    @Test("A done event is acknowledged with its publications in one commit") func done() async throws {
        let fixture = RuntimeFixture { parcel, _ in
            .done(publishing: [
                try Publication(
                    Receipt(number: parcel.number), key: "k", dedupID: "d", headers: [Header("shop", "north")],
                    deliverAt: WallTime(milliseconds: 5), delay: .milliseconds(1500), priority: 7,
                    expiresAt: WallTime(milliseconds: 9))
            ])
        }
        try await fixture.run {
            let id = fixture.send(7)
            await fixture.broker.until { $0.acks == [id] }
            let record = fixture.broker.record
            #expect(record.commits == 1)
            #expect(
                record.published.last
                    == OutgoingMessage(
                        topic: Receipt.topic, body: Array(#"{"number":7}"#.utf8), headers: [Header("shop", "north")],
                        priority: 7, orderingKey: "k", deliverAt: WallTime(milliseconds: 5),
                        expiresAt: WallTime(milliseconds: 9), dedupID: "d", delayMilliseconds: 1500))
        }
        #expect(fixture.runtime.counters.done == 1)
        #expect(fixture.broker.record.leased == 0)
    }

    @Test("An event done without publications is acknowledged without a commit") func doneAlone() async throws {
        let fixture = RuntimeFixture { _, _ in .done }
        try await fixture.run {
            let id = fixture.send(1)
            await fixture.broker.until { $0.acks == [id] }
        }
        #expect(fixture.broker.record.commits == 0)
    }

    @Test("A thrown error is a retry with the error's text, and the next attempt knows it") func thrown() async throws {
        let fixture = RuntimeFixture { _, attempt in
            if attempt.number == 1 { throw Mishap(description: "no stamps") }
            #expect(attempt.lastError == "no stamps")
            return .done
        }
        try await fixture.run {
            let id = fixture.send(1)
            await fixture.broker.until { $0.acks == [id] }
            #expect(fixture.broker.record.fails.map(\.error) == ["no stamps"])
            #expect(fixture.broker.record.deliveries.map(\.attempt) == [1, 2])
        }
        #expect(fixture.runtime.counters.failed == 1)
    }

    @Test("An error's text is cut at 1 KiB, between characters") func longError() async throws {
        let fixture = RuntimeFixture { _, attempt in
            if attempt.number == 1 { throw Mishap(description: String(repeating: "é", count: 4000)) }
            return .done
        }
        try await fixture.run {
            fixture.send(1)
            await fixture.broker.until { $0.acks.count == 1 }
        }
        let text = try #require(fixture.broker.record.fails.first?.error)
        #expect((1020...1024).contains(text.utf8.count))
        #expect(text.hasSuffix("é…"))
    }

    @Test("The verdict for an error decides its outcome") func verdict() async throws {
        let fixture = RuntimeFixture({
            $0.register(
                ClosureWorker<Parcel>(body: { _, _ in throw Mishap(description: "550") }) { .reject("smtp \($0)") })
        })
        try await fixture.run {
            fixture.send(1)
            await fixture.broker.until { $0.buried.count == 1 }
        }
        #expect(fixture.broker.record.buried.map(\.reason) == ["rejected: smtp 550"])
        #expect(fixture.runtime.counters.rejected == 1)
    }

    @Test("A retry's own delay goes to the broker") func retryAfter() async throws {
        let fixture = RuntimeFixture { _, attempt in attempt.number == 1 ? .fail(after: .seconds(90)) : .done }
        try await fixture.run {
            fixture.send(1)
            await fixture.broker.until { $0.fails.count == 1 }
            #expect(fixture.broker.record.fails.first?.afterMilliseconds == 90_000)
            fixture.broker.advance(milliseconds: 90_000)
            await fixture.broker.until { $0.acks.count == 1 }
        }
    }

    @Test("A snooze and a release count no attempt") func snooze() async throws {
        let outcomes = Recorder<Void>()
        let fixture = RuntimeFixture { _, attempt in
            outcomes.add(())
            #expect(attempt.number == 1)
            switch outcomes.values.count {
            case 1: return .snooze(for: .milliseconds(1500))
            case 2: return .release
            default: return .done
            }
        }
        try await fixture.run {
            fixture.send(1)
            await fixture.broker.until { $0.givenBack == [1500] }
            fixture.broker.advance(milliseconds: 1500)
            await fixture.broker.until { $0.acks.count == 1 }
        }
        #expect(fixture.broker.record.givenBack == [1500, nil])
    }

    @Test(
        "An undecodable body is dead-lettered with a reason that says what is wrong",
        arguments: [
            (#"{"number":"seven"}"#, "rejected: undecodable parcel.sent: expected Int at number"),
            (#"{}"#, "rejected: undecodable parcel.sent: number is missing"),
            (#"not JSON"#, "rejected: undecodable parcel.sent: The given data was not valid JSON."),
        ])
    func undecodable(body: String, reason: String) async throws {
        let fixture = RuntimeFixture { _, _ in .done }
        try await fixture.run {
            fixture.broker.publish(OutgoingMessage(topic: Parcel.topic, body: Array(body.utf8)))
            await fixture.broker.until { $0.buried.count == 1 }
        }
        #expect(fixture.broker.record.buried.first?.reason == reason)
        #expect(fixture.broker.record.deliveries.count == 1)
    }

    @Test("An unknown event type is dead-lettered with the types that are known") func unknownType() async throws {
        let fixture = RuntimeFixture { _, _ in .done }
        try await fixture.run {
            fixture.broker.publish(
                OutgoingMessage(
                    topic: Parcel.topic, body: Array("{}".utf8), headers: [Header(EventType.headerKey, "letter")]))
            await fixture.broker.until { $0.buried.count == 1 }
        }
        #expect(
            fixture.broker.record.buried.first?.reason
                == "rejected: unknown event type letter; parcel.sent@post handles parcel.sent")
    }

    @Test("A commit that finds its lease lost publishes nothing and is not repeated") func leaseLostOnCommit()
        async throws
    {
        let fixture = RuntimeFixture { parcel, attempt in
            attempt.lastError == nil ? .done(publishing: [try Publication(Receipt(number: 1))]) : .done
        }
        fixture.broker.fail { $0.commits = [BrokerError(.leaseLost, "gone")] }
        try await fixture.run {
            fixture.send(1)
            await fixture.until { if case .dropped(_, "LEASE_LOST (105): gone", _) = $0 { true } else { false } }
            #expect(fixture.broker.record.published.count == 1)
            fixture.broker.loseLeases()
            await fixture.broker.until { $0.acks.count == 1 }
        }
        #expect(fixture.broker.record.commits == 0)
        #expect(fixture.runtime.counters.dropped == 1)
    }

    @Test("A commit that loses its connection is not repeated; the event comes again") func connectionLostOnCommit()
        async throws
    {
        let fixture = RuntimeFixture { parcel, attempt in
            .done(publishing: [try Publication(Receipt(number: Int(attempt.number)))])
        }
        fixture.broker.fail { $0.commits = [TestConnection.lost] }
        try await fixture.run {
            let id = fixture.send(1)
            await fixture.until { if case .brokerGone = $0 { true } else { false } }
            fixture.clock.advance(by: .seconds(10))
            await fixture.broker.until { $0.acks == [id] }
        }
        #expect(fixture.broker.record.commits == 1)
        #expect(fixture.broker.record.deliveries.map(\.attempt) == [1, 2])
    }

    @Test("A publish that is refused for good fails the attempt with the refusal") func refusedPublish() async throws {
        let fixture = RuntimeFixture { parcel, _ in .done(publishing: [try Publication(Receipt(number: 1))]) }
        let refusal = BrokerError(.bodyTooLarge, "the body has 2 MiB, body_max is 1 MiB")
        fixture.broker.fail { $0.commits = [refusal] }
        try await fixture.run {
            let id = fixture.send(1)
            await fixture.broker.until { $0.acks == [id] }
        }
        #expect(fixture.broker.record.fails.map(\.error) == ["the publishes were refused: \(refusal)"])
    }

    @Test("A settlement that the broker refuses is dropped and its slot is free again") func refusedSettle()
        async throws
    {
        let fixture = RuntimeFixture(configure: { $0.slots = 1 }) { _, _ in .done }
        fixture.broker.fail { $0.settles = [BrokerError(.leaseLost, "too late")] }
        try await fixture.run {
            fixture.send(1)
            let second = fixture.send(2)
            await fixture.broker.until { $0.acks == [second] }
            fixture.broker.loseLeases()
            await fixture.broker.until { $0.acks.count == 2 }
        }
        #expect(fixture.runtime.counters.leasesLost == 1)
    }
}
