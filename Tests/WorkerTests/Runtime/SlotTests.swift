import BrokerProtocol
import TestSupport
import Testing

@testable import Workers

@Suite(.timeLimit(.minutes(1))) struct SlotTests {
    @Test("Slots bound the handlers at work, and what waits beside them is bounded too") func bounds() async throws {
        let gate = Gate()
        let running = Recorder<Int>()
        let fixture = RuntimeFixture(configure: {
            $0.slots = 3
            $0.prefetch = 2
        }) { parcel, _ in
            running.add(parcel.number)
            await gate.wait()
            return .done
        }
        for number in 1...20 { fixture.send(number) }
        try await fixture.run {
            await running.until { $0.count == 3 }
            await fixture.broker.until { $0.leased == 5 }
            #expect(fixture.runtime.counters.busy == 3)
            #expect(running.values.sorted() == [1, 2, 3])
            gate.open()
            await fixture.broker.until { $0.acks.count == 20 }
        }
        #expect(fixture.runtime.counters.busy == 0)
    }

    @Test("A free slot takes the delivery that has waited longest") func oldestFirst() async throws {
        let order = Recorder<Int>()
        let fixture = RuntimeFixture(configure: { $0.slots = 1 }) { parcel, _ in
            order.add(parcel.number)
            return .done
        }
        for number in 1...10 { fixture.send(number) }
        try await fixture.run { await fixture.broker.until { $0.acks.count == 10 } }
        #expect(order.values == Array(1...10))
    }

    @Test("An attempt's time is up: its task is cancelled and the event is retried with that reason") func timeout()
        async throws
    {
        let fixture = RuntimeFixture { _, attempt in
            if attempt.number == 1 { try await Gate().waitOrCancel() }
            return .done
        }
        try await fixture.run {
            fixture.send(1)
            await fixture.until { if case .started = $0 { true } else { false } }
            fixture.clock.advance(by: .seconds(30))
            await fixture.broker.until { $0.acks.count == 1 }
        }
        #expect(fixture.broker.record.fails.map(\.error) == ["timed out after 30s"])
        #expect(fixture.runtime.counters.timeouts == 1)
    }

    @Test("A handler that gives its event back when its time is up has still used an attempt") func evasive()
        async throws
    {
        let fixture = RuntimeFixture { _, attempt in
            if attempt.number == 1 {
                try? await Gate().waitOrCancel()
                return .release
            }
            return .done
        }
        try await fixture.run {
            fixture.send(1)
            await fixture.until { if case .started = $0 { true } else { false } }
            fixture.clock.advance(by: .seconds(30))
            await fixture.broker.until { $0.acks.count == 1 }
        }
        #expect(fixture.broker.record.givenBack.isEmpty)
    }

    @Test("Work that is finished although its time was up counts") func finishedLate() async throws {
        let fixture = RuntimeFixture { _, _ in
            try? await Gate().waitOrCancel()
            return .done
        }
        try await fixture.run {
            fixture.send(1)
            await fixture.until { if case .started = $0 { true } else { false } }
            fixture.clock.advance(by: .seconds(30))
            await fixture.broker.until { $0.acks.count == 1 }
        }
        #expect(fixture.broker.record.fails.isEmpty)
    }

    @Test("A handler that ignores its cancellation loses its slot, and its late outcome counts for nothing")
    func stuck()
        async throws
    {
        let gate = Gate()
        let returned = Recorder<Void>()
        let fixture = RuntimeFixture(configure: { $0.slots = 1 }) { parcel, attempt in
            if parcel.number == 1, attempt.number == 1 {
                await gate.wait()
                returned.add(())
            }
            return .done
        }
        try await fixture.run {
            let first = fixture.send(1)
            await fixture.until { if case .started = $0 { true } else { false } }
            let second = fixture.send(2)
            fixture.clock.advance(by: .seconds(30))
            await fixture.until { if case .timedOut = $0 { true } else { false } }
            fixture.clock.advance(by: .seconds(5))
            await fixture.broker.until { Set($0.acks) == [first, second] }
            #expect(fixture.runtime.counters.stuck == 1)
            #expect(
                fixture.broker.record.fails.map(\.error)
                    == ["timed out after 30s; the handler ignores its cancellation"])
            gate.open()
            await returned.until { $0.count == 1 }
        }
        #expect(fixture.broker.record.acks.count == 2)
        #expect(fixture.runtime.counters.done == 2)
    }

    @Test("One stuck handler too many ends the run with an error, after a drain") func tooManyStuck() async throws {
        let gate = Gate()
        let fixture = RuntimeFixture(configure: {
            $0.slots = 2
            $0.stuckHandlersMax = 1
        }) { _, _ in
            await gate.wait()
            return .done
        }
        let run = fixture.start()
        fixture.send(1)
        fixture.send(2)
        fixture.send(3)
        await fixture.events.until { $0.count { if case .started = $0 { true } else { false } } == 2 }
        fixture.clock.advance(by: .seconds(30))
        await fixture.events.until { $0.count { if case .timedOut = $0 { true } else { false } } == 2 }
        fixture.clock.advance(by: .seconds(5))
        await #expect(throws: RuntimeError.stuckHandlers(2)) { try await run.value }
        #expect(fixture.broker.record.fails.count == 2)
        #expect(fixture.broker.record.leased == 0)
        gate.open()
    }
}

@Suite struct CreditPlanTests {
    private let a = SubscriptionName("a@x")!
    private let b = SubscriptionName("b@x")!
    private let c = SubscriptionName("c@x")!

    @Test("A subscription that is alone busy gets what the idle ones leave") func alone() {
        var plan = CreditPlan(budget: 24, subscriptions: [a, b, c])
        #expect(plan.credit == [a: 8, b: 8, c: 8])
        for held in 1...7 { #expect(plan.delivered(a, held: [a: held]).isEmpty) }
        let changes = plan.delivered(a, held: [a: 8])
        #expect(plan.credit == [a: 22, b: 1, c: 1])
        #expect(changes.map(\.0) == [a, b, c])
        #expect(plan.delivered(a, held: [a: 22]).isEmpty)
    }

    @Test("A quiet subscription that shows demand takes its share back") func share() {
        var plan = CreditPlan(budget: 24, subscriptions: [a, b, c])
        _ = plan.delivered(a, held: [a: 8])
        _ = plan.delivered(b, held: [a: 22, b: 1])
        #expect(plan.credit == [a: 11, b: 11, c: 1])
    }

    @Test("However demand moves, the credit is at most the budget and one per subscription") func bounded() {
        var random = SystemRandomNumberGenerator()
        for budget in 1...20 {
            var plan = CreditPlan(budget: budget, subscriptions: [a, b, c])
            var held = [a: 0, b: 0, c: 0]
            for _ in 0..<500 {
                let name = [a, b, c].randomElement(using: &random)!
                if Bool.random(using: &random), held[name]! < plan.credit[name]! {
                    held[name]! += 1
                    _ = plan.delivered(name, held: held)
                } else if held[name]! > 0 {
                    held[name]! -= 1
                }
                #expect(plan.credit.values.allSatisfy { $0 >= 1 })
                #expect(plan.credit.values.reduce(0, +) <= budget + 3)
            }
        }
    }
}
