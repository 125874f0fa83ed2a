import BrokerProtocol
import Foundation
import LinuxIO
import Testing

@testable import BrokerClient

@Suite("Cancelling and closing") struct EndingTests {
    @Test("A cancelled pop ends at once; the message it got later goes back") func cancelledPop() async throws {
        let asked = Moment()
        let isCancelled = Moment()
        let isReleased = Moment()
        try await ScriptedBroker.run { broker in
            try broker.greet()
            let (correlation, _) = try broker.expect("pop")
            asked.happen()
            isCancelled.block()
            try broker.send(.response(correlation, .popped(Delivery(9, consumer: 0))))
            let (_, release) = try broker.expect("a release")
            #expect(release == .settle([Settlement(LeaseID(9), .release())]))
            isReleased.happen()
            _ = try broker.nextRequest()
        } client: { client in
            let pop = Task { try await client.pop([.mail], timeoutMilliseconds: -1) }
            await asked.wait()
            pop.cancel()
            #expect(await code { _ = try await pop.value } == .closed)
            isCancelled.happen()
            await isReleased.wait()
        }
    }

    @Test("A cancelled task can still settle, but starts no pop") func cancelledBefore() async throws {
        try await ScriptedBroker.run {
            try $0.greet()
            let (correlation, request) = try $0.expect()
            #expect(request == .settle([Settlement(LeaseID(3), .release())]))
            try $0.send(.response(correlation, .settled([nil])))
            _ = try $0.nextRequest()
        } client: { client in
            let isCancelled = Moment()
            let task = Task {
                await isCancelled.wait()
                #expect(await code { _ = try await client.pop([.mail], timeoutMilliseconds: -1) } == .closed)
                try await client.settle(LeaseID(3), .release())
            }
            task.cancel()
            isCancelled.happen()
            try await task.value
        }
    }

    @Test("Dropping a stream unsubscribes and releases what was not read") func droppedStream() async throws {
        let isReleased = Moment()
        try await ScriptedBroker.run {
            try $0.greet()
            let (correlation, request) = try $0.expect("subscribe")
            guard case .subscribe(let consumer, _, 5, .now, 1234, 1) = request else {
                throw ScriptedBroker.Unexpected("\(request)")
            }
            let deliveries = [1, 2, 3].map { Delivery($0, consumer: consumer.rawValue) }
            try $0.send(.push(.deliveries(deliveries)), .response(correlation, .done))
            #expect(try $0.expect().request == .unsubscribe(consumer: consumer))
            #expect(
                try $0.expect().request
                    == .settle([Settlement(LeaseID(2), .release()), Settlement(LeaseID(3), .release())]))
            try $0.send(.push(.deliveries([Delivery(4, consumer: consumer.rawValue)])))
            #expect(try $0.expect().request == .settle([Settlement(LeaseID(4), .release())]))
            isReleased.happen()
            _ = try $0.nextRequest()
        } client: { client in
            for try await delivery in try await client.deliveries(
                of: .mail, credit: 5, start: .now, leaseMilliseconds: 1234)
            {
                #expect(delivery.body == Array("1".utf8))
                break
            }
            await isReleased.wait()
        }
    }

    @Test("Cancelling the task that reads a stream ends it") func cancelledReader() async throws {
        let isSubscribed = Moment()
        let isUnsubscribed = Moment()
        try await ScriptedBroker.run { broker in
            try broker.greet()
            let (correlation, _) = try broker.expect("subscribe")
            try broker.send(.response(correlation, .done))
            isSubscribed.happen()
            #expect(try broker.expect().request == .unsubscribe(consumer: ConsumerID(rawValue: 1)))
            isUnsubscribed.happen()
            _ = try broker.nextRequest()
        } client: { client in
            let reader = Task {
                var count = 0
                let stream = try await client.deliveries(
                    of: .mail, credit: 5, start: .now, leaseMilliseconds: nil)
                for try await _ in stream { count += 1 }
                return count
            }
            await isSubscribed.wait()
            reader.cancel()
            let count = try? await reader.value
            #expect(count == nil || count == 0)
            await isUnsubscribed.wait()
        }
    }

    @Test("A draining broker ends the stream behind what it delivered") func drained() async throws {
        try await ScriptedBroker.run {
            try $0.greet()
            let (correlation, _) = try $0.expect("subscribe")
            try $0.send(
                .response(correlation, .done), .push(.deliveries([Delivery(1), Delivery(2)])),
                .push(.consumerEnded(ConsumerID(rawValue: 1), nil)))
            _ = try $0.nextRequest()
        } client: { client in
            var leases: [UInt64] = []
            for try await delivery in try await client.deliveries(
                of: .mail, credit: 5, start: .now, leaseMilliseconds: nil)
            {
                leases.append(delivery.lease.rawValue)
            }
            #expect(leases == [1, 2])
        }
    }

    @Test("A refused subscription throws and sends nothing more") func refusedSubscription() async throws {
        try await ScriptedBroker.run {
            try $0.greet()
            try $0.send(.response(try $0.expect().correlation, .refused(BrokerError(.topicUnknown, "no"))))
            #expect(try $0.nextRequest() == nil)
        } client: { client in
            #expect(
                await code {
                    _ = try await client.deliveries(of: .mail, credit: 5, start: .now, leaseMilliseconds: nil)
                } == .topicUnknown)
        }
    }

    @Test("Close writes what was asked before, then ends what waits") func close() async throws {
        let asked = Moment()
        try await ScriptedBroker.run { broker in
            try broker.greet()
            for _ in 0..<3 { _ = try broker.expect() }
            asked.happen()
            #expect(try broker.nextRequest() == nil)
        } client: { client in
            let waiting = (0..<3).map { _ in Task { try await client.status() } }
            await asked.wait()
            let stream = Task {
                await client.close()
                return await code { _ = try await client.status() }
            }
            for task in waiting { #expect(await code { _ = try await task.value } == .closed) }
            #expect(await stream.value == .closed)
        }
    }

    @Test("The answer that comes after the goodbye still counts") func answeredGoodbye() async throws {
        let asked = Moment()
        try await ScriptedBroker.run { broker in
            try broker.greet()
            let (correlation, _) = try broker.expect()
            asked.happen()
            #expect(try broker.nextRequest() == nil)
            try broker.send(.response(correlation, .count(4)))
        } client: { client in
            let waiting = Task { try await client.count(.deadPurge(.mail, [])) }
            await asked.wait()
            await client.close()
            let count = try await waiting.value
            #expect(count == 4)
        }
    }

    @Test("A client that is dropped says goodbye") func dropped() async throws {
        try await ScriptedBroker.run {
            try $0.greet()
            #expect(try $0.nextRequest() == nil)
        } connecting: { connect in
            _ = try await connect()
        }
    }
}
