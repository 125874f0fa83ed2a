import BrokerProtocol
import Testing

@testable import Workers

/// The machine alone: time and events are values.
@Suite struct RuntimeStateTests {
    private let subscription = SubscriptionName("parcel.sent@post")!

    private func state(_ configure: (inout RuntimeConfiguration) -> Void = { _ in }) -> RuntimeState {
        var configuration = RuntimeConfiguration(instance: "post-1")
        configuration.slots = 1
        configure(&configuration)
        return RuntimeState(
            configuration: configuration, subscriptions: [subscription], random: { $0.upperBound })
    }

    private func connected(_ state: inout RuntimeState) {
        _ = state.handle(.start, now: .zero)
        _ = state.handle(.connected(generation: 1), now: .zero)
    }

    private func delivery(_ number: UInt64) -> Delivery {
        Delivery(
            consumer: ConsumerID(rawValue: 1), lease: LeaseID(rawValue: number), leaseMilliseconds: 30_000,
            id: MessageID(rawValue: number), subscription: subscription, attempt: 1,
            publishedAt: WallTime(milliseconds: 0), body: [])
    }

    private func settlings(_ actions: [RuntimeState.Action]) -> [Settling] {
        actions.compactMap { if case .settle(_, let settling) = $0 { settling } else { nil } }
    }

    private let ticket = Ticket(number: 0)

    @Test("However often a handler returns, its delivery is settled once") func once() {
        var state = state()
        connected(&state)
        _ = state.handle(.delivered(generation: 1, delivery(1)), now: .zero)
        let done = Ruling(.done)
        #expect(settlings(state.handle(.finished(ticket, done), now: .zero)).map(\.verdict) == [.ack])
        #expect(settlings(state.handle(.finished(ticket, done), now: .zero)).isEmpty)
        #expect(state.handle(.settled(ticket, nil), now: .zero).contains(.forgetLease(LeaseID(rawValue: 1))))
        #expect(settlings(state.handle(.finished(ticket, done), now: .zero)).isEmpty)
        #expect(state.handle(.settled(ticket, nil), now: .zero).isEmpty)
        #expect(state.counters.done == 1)
    }

    @Test("While a pause is asked for, nothing of its subscription starts; a longer pause is asked for beside it")
    func pausing() {
        var state = state { $0.slots = 4 }
        connected(&state)
        for number in 1...3 { _ = state.handle(.delivered(generation: 1, delivery(UInt64(number))), now: .zero) }
        func pause(_ ticket: UInt64, _ time: Int64) -> [RuntimeState.Action] {
            let ruling = Ruling(.pauseQueue(until: WallTime(milliseconds: time)))
            return state.handle(.finished(Ticket(number: ticket), ruling), now: .zero)
        }
        func asked(_ time: Int64) -> [RuntimeState.Action] {
            [.pause(subscription, until: WallTime(milliseconds: time), generation: 1)]
        }
        func answer(_ time: Int64) -> [Settling] {
            settlings(
                state.handle(
                    .paused(subscription, until: WallTime(milliseconds: time), generation: 1, nil), now: .zero))
        }
        #expect(pause(0, 50) == asked(50))
        #expect(pause(1, 40).isEmpty)
        #expect(pause(2, 60) == asked(60))
        let late = state.handle(.delivered(generation: 1, delivery(4)), now: .zero)
        #expect(late == [.keepLease(LeaseID(rawValue: 4), milliseconds: 30_000)])
        #expect(answer(50).map(\.lease.rawValue) == [1, 2, 4])
        #expect(answer(60).map(\.lease.rawValue) == [3])
        #expect(state.held.count == 4)
    }

    @Test("A try to connect that never ends is given up, and its late success is not used") func connectTimeout() {
        var state = state()
        #expect(state.handle(.start, now: .zero) == [.connect(generation: 1)])
        #expect(state.nextDeadline == .seconds(10))
        let actions = state.handle(.tick, now: .seconds(10))
        let error = BrokerError(.connectionRefused, "no answer within 10s")
        #expect(actions == [.report(.brokerGone(error, nextTry: 2, wait: .milliseconds(400)))])
        #expect(state.handle(.connected(generation: 1), now: .seconds(10)).isEmpty)
        #expect(state.handle(.tick, now: .seconds(10.4)) == [.connect(generation: 3)])
    }

    @Test("A slot that waits for the broker's answer is not free") func settlingKeepsSlot() {
        var state = state()
        connected(&state)
        _ = state.handle(.delivered(generation: 1, delivery(1)), now: .zero)
        _ = state.handle(.delivered(generation: 1, delivery(2)), now: .zero)
        let settling = state.handle(.finished(ticket, Ruling(.done)), now: .zero)
        #expect(!settling.contains { if case .run = $0 { true } else { false } })
        let answered = state.handle(.settled(ticket, nil), now: .zero)
        #expect(answered.contains(.run(Ticket(number: 1), delivery(2))))
    }

    @Test("Deliveries and losses of an older connection are ignored") func stale() {
        var state = state()
        connected(&state)
        _ = state.handle(.connectionLost(generation: 1, BrokerError(.connectionLost, "gone")), now: .zero)
        _ = state.handle(.tick, now: .seconds(1))
        _ = state.handle(.connected(generation: 2), now: .seconds(1))
        #expect(state.handle(.delivered(generation: 1, delivery(1)), now: .seconds(1)).isEmpty)
        let lost = state.handle(
            .connectionLost(generation: 1, BrokerError(.connectionLost, "gone")), now: .seconds(1))
        #expect(lost.isEmpty)
        #expect(state.link == .up)
    }

    @Test("What arrives in a drain is given back after the unsubscribe, and the end waits for it") func lateDelivery() {
        var state = state()
        connected(&state)
        #expect(state.handle(.drain, now: .zero) == [.report(.draining(running: 0)), .unsubscribe])
        #expect(settlings(state.handle(.delivered(generation: 1, delivery(1)), now: .zero)).isEmpty)
        let settlings = settlings(state.handle(.unsubscribed(generation: 1), now: .zero))
        #expect(settlings.map(\.verdict) == [.release()])
        let end = state.handle(.settled(ticket, nil), now: .zero)
        #expect(end.suffix(3) == [.disconnect, .report(.drained), .end(nil)])
        #expect(state.handle(.delivered(generation: 1, delivery(2)), now: .zero).isEmpty)
    }

    @Test("A broker that answers nothing delays the end by twice the grace period only") func deafBroker() {
        var state = state()
        connected(&state)
        _ = state.handle(.delivered(generation: 1, delivery(1)), now: .zero)
        _ = state.handle(.drain, now: .zero)
        _ = state.handle(.drain, now: .zero)
        _ = state.handle(.finished(ticket, Ruling(.release)), now: .zero)
        #expect(!state.handle(.tick, now: .seconds(9)).contains(.end(nil)))
        #expect(state.handle(.tick, now: .seconds(10)).contains(.end(nil)))
    }

    @Test(
        "The status is a sentence for people",
        arguments: [
            (1, "1st"), (2, "2nd"), (3, "3rd"), (4, "4th"), (11, "11th"), (12, "12th"), (13, "13th"), (21, "21st"),
            (102, "102nd"), (113, "113th"),
        ])
    func ordinals(number: Int, text: String) {
        #expect(RuntimeState.ordinal(number) == text)
    }
}
