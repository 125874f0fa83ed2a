import BrokerProtocol
import Foundation
import LinuxIO
import TestSupport
import Testing

@testable import Workers

/// Counts extensions for threads that cannot wait for a task.
private struct CountingConnection: MessageBroker {
    let inner: TestConnection
    let extensions: Monitor<[LeaseID]>

    func perform(_ request: Request) async throws(BrokerError) -> Response { try await inner.perform(request) }

    func deliveries(
        of subscription: SubscriptionName, credit: UInt32, start: StartPosition, leaseMilliseconds: Int64?,
        weight: UInt8
    ) async throws(BrokerError) -> DeliveryStream {
        try await inner.deliveries(
            of: subscription, credit: credit, start: start, leaseMilliseconds: leaseMilliseconds, weight: weight)
    }

    func extendLeases(_ leases: [LeaseID], milliseconds: Int64, lost: @escaping @Sendable ([LeaseID]) -> Void) {
        inner.extendLeases(leases, milliseconds: milliseconds, lost: lost)
        extensions.update { $0 += leases }
    }

    func close() async { await inner.close() }
}

@Suite(.timeLimit(.minutes(1)), .serialized) struct LeaseTests {
    @Test("Leases are extended while every thread that tasks share is blocked") func blockedPool() async throws {
        let extensions = Monitor<[LeaseID]>([])
        let fixture = RuntimeFixture(
            {
                $0.register(
                    ClosureWorker<Parcel> { _, _ in
                        let isExtended = extensions.wait(milliseconds: 5_000) { $0.count >= 40 ? true : nil }
                        return isExtended == true ? .done : .reject("no extensions in 5 s")
                    })
            }, wrapping: { CountingConnection(inner: $0, extensions: extensions) },
            configure: {
                $0.slots = ProcessInfo.processInfo.activeProcessorCount * 2
                $0.prefetch = 4
                $0.leaseMilliseconds = 150
            })
        let count = ProcessInfo.processInfo.activeProcessorCount * 2 + 4
        for number in 1...count { fixture.send(number) }
        try await fixture.run { await fixture.broker.until { $0.acks.count == count } }
        #expect(fixture.broker.record.buried.isEmpty)
    }

    @Test("Waiting deliveries keep their leases, too") func waiting() async throws {
        let gate = Gate()
        let fixture = RuntimeFixture(configure: {
            $0.slots = 1
            $0.prefetch = 1
            $0.leaseMilliseconds = 100
        }) { _, _ in
            await gate.wait()
            return .done
        }
        try await fixture.run {
            fixture.send(1)
            fixture.send(2)
            await fixture.broker.until { record in
                record.deliveries.count == 2
                    && record.deliveries.allSatisfy { delivery in
                        record.extensions.count { $0 == delivery.lease } >= 2
                    }
            }
            fixture.broker.advance(milliseconds: 99)
            gate.open()
            await fixture.broker.until { $0.acks.count == 2 }
        }
        #expect(fixture.broker.record.deliveries.count == 2)
    }

    @Test("A settled lease is extended no more") func settled() async throws {
        let fixture = RuntimeFixture(configure: { $0.leaseMilliseconds = 100 }) { parcel, _ in
            if parcel.number == 2 { try await Gate().waitOrCancel() }
            return .done
        }
        try await fixture.run {
            fixture.send(1)
            await fixture.broker.until { $0.acks.count == 1 }
            let first = try #require(fixture.broker.record.deliveries.first?.lease)
            // A busy machine may extend it before its ack; one more may have been on its way.
            let before = fixture.broker.record.extensions.count { $0 == first }
            fixture.send(2)
            await fixture.broker.until { record in record.extensions.count { $0 != first } >= 3 }
            #expect(fixture.broker.record.extensions.count { $0 == first } <= before + 1)
            fixture.runtime.drain()
        }
    }

    @Test("A lost lease cancels its handler, and the outcome counts for nothing") func lost() async throws {
        let cancelled = Recorder<Void>()
        // Long enough for a busy machine to keep the second lease.
        let fixture = RuntimeFixture(configure: { $0.leaseMilliseconds = 1_000 }) { _, attempt in
            if attempt.number == 1 {
                try? await Gate().waitOrCancel()
                cancelled.add(())
            }
            return .done(publishing: [try Publication(Receipt(number: Int(attempt.number)))])
        }
        try await fixture.run {
            let id = fixture.send(1)
            await fixture.until { if case .started = $0 { true } else { false } }
            fixture.broker.loseLeases()
            await cancelled.until { $0.count == 1 }
            await fixture.broker.until { $0.acks == [id] }
        }
        #expect(fixture.broker.record.commits == 1)
        #expect(fixture.broker.record.published.last?.body == Array(#"{"number":2}"#.utf8))
        #expect(fixture.runtime.counters.leasesLost == 1)
        #expect(fixture.events.values.contains { if case .dropped = $0 { true } else { false } })
    }

    @Test("A message is never in two handlers of one process") func redelivered() async throws {
        let gate = Gate()
        let inside = Recorder<Int>()
        let fixture = RuntimeFixture { parcel, attempt in
            inside.add(1)
            if parcel.number == 1, attempt.number == 1 { await gate.wait() }
            inside.add(-1)
            return .done
        }
        try await fixture.run {
            fixture.send(1)
            await inside.until { $0 == [1] }
            fixture.broker.loseLeases()
            await fixture.broker.until { $0.deliveries.count == 2 }
            let other = fixture.send(2)
            await fixture.broker.until { $0.acks == [other] }
            gate.open()
            await fixture.broker.until { $0.acks.count == 2 }
        }
        #expect(inside.values == [1, 1, -1, -1, 1, -1])
    }

    @Test("A lease is extended at each third of it, together with others of its length") func table() {
        var table = LeaseTable()
        let leases = (1...3).map { LeaseID(rawValue: $0) }
        table.keep(leases[0], milliseconds: 300, now: 0)
        table.keep(leases[1], milliseconds: 300, now: 40)
        table.keep(leases[2], milliseconds: 90, now: 50)
        #expect(table.nextExtension == 80)
        #expect(table.due(now: 79).isEmpty)
        #expect(table.due(now: 80).map(\.leases) == [[leases[2]]])
        #expect(table.due(now: 140).map(\.leases) == [[leases[0], leases[1]], [leases[2]]])
        table.forget(leases[2])
        #expect(table.nextExtension == 240)
        table.forgetAll()
        #expect(table.nextExtension == nil)
    }
}
