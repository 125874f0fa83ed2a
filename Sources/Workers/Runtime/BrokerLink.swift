import BrokerProtocol

/// One connection to the broker with the consumers of every subscription of the runtime.
struct BrokerLink: Sendable {
    static let lost = BrokerError(.connectionLost, "the connection was lost")

    let broker: any MessageBroker
    let generation: Int
    private let streams: [SubscriptionName: DeliveryStream]
    /// Requests about consumers, sent one after the other: a later credit must not be overtaken by an earlier one.
    private let lane: AsyncStream<LaneRequest>
    private let laneInput: AsyncStream<LaneRequest>.Continuation

    private enum LaneRequest: Sendable {
        case credit(SubscriptionName, Int)
        case unsubscribe
    }

    /// Connects and subscribes everything.
    /// - Throws: What the broker refused, with the connection closed.
    static func open(
        _ connect: @Sendable () async throws(BrokerError) -> any MessageBroker, generation: Int,
        credits: [SubscriptionName: Int], starts: [SubscriptionName: StartPosition], leaseMilliseconds: Int64
    ) async throws(BrokerError) -> BrokerLink {
        let broker = try await connect()
        var streams: [SubscriptionName: DeliveryStream] = [:]
        do throws(BrokerError) {
            for (name, start) in starts.sorted(by: { $0.key.description < $1.key.description }) {
                streams[name] = try await broker.deliveries(
                    of: name, credit: UInt32(clamping: credits[name] ?? 1), start: start,
                    leaseMilliseconds: leaseMilliseconds)
            }
        } catch {
            await broker.close()
            throw error
        }
        return BrokerLink(broker, generation, streams)
    }

    private init(_ broker: any MessageBroker, _ generation: Int, _ streams: [SubscriptionName: DeliveryStream]) {
        self.broker = broker
        self.generation = generation
        self.streams = streams
        (lane, laneInput) = AsyncStream.makeStream()
    }

    /// Starts to hand on what comes; ends by itself with the connection.
    func start(_ report: @escaping @Sendable (RuntimeState.Input) -> Void, clock: RuntimeClock) {
        let generation = generation
        let forwarders = streams.values.map { stream in
            Task {
                do {
                    for try await delivery in stream {
                        report(.delivered(generation: generation, delivery))
                    }
                    report(.streamEnded(generation: generation))
                } catch {
                    let error = error as? BrokerError ?? BrokerError(.connectionLost, String(describing: error))
                    report(.connectionLost(generation: generation, error))
                }
            }
        }
        Task { await serveLane(report, forwarders, clock) }
    }

    private func serveLane(
        _ report: @Sendable (RuntimeState.Input) -> Void, _ forwarders: [Task<Void, Never>], _ clock: RuntimeClock
    ) async {
        for await request in lane {
            do throws(BrokerError) {
                switch request {
                case .credit(let subscription, let credit):
                    guard let stream = streams[subscription] else { continue }
                    try await broker.administer(.credit(consumer: stream.consumer, credit: UInt32(clamping: credit)))
                    report(.answered)
                case .unsubscribe:
                    for stream in streams.values {
                        try await broker.administer(.unsubscribe(consumer: stream.consumer))
                    }
                    await Self.wait(for: forwarders, atMost: .seconds(1), clock)
                    report(.unsubscribed(generation: generation))
                }
            } catch {
                if error.isConnectionLoss { return report(.connectionLost(generation: generation, error)) }
                // The consumer is gone with its subscription; its stream has ended and says so.
                if case .unsubscribe = request { report(.unsubscribed(generation: generation)) }
            }
        }
    }

    /// What was under way when a consumer ended still comes through its stream.
    private static func wait(
        for forwarders: [Task<Void, Never>], atMost time: Duration, _ clock: RuntimeClock
    ) async {
        let deadline = clock.now() + time
        await withTaskGroup(of: Void.self) { group in
            group.addTask {
                await withTaskCancellationHandler {
                    for forwarder in forwarders { await forwarder.value }
                } onCancel: {
                    for forwarder in forwarders { forwarder.cancel() }
                }
            }
            group.addTask { try? await clock.sleep(deadline) }
            await group.next()
            group.cancelAll()
        }
    }

    func setCredit(_ subscription: SubscriptionName, _ credit: Int) { laneInput.yield(.credit(subscription, credit)) }

    func unsubscribe() { laneInput.yield(.unsubscribe) }

    /// - Returns: Why the broker did not take the settlement; nil when it is durable.
    func settle(_ settling: Settling) async -> BrokerError? {
        do throws(BrokerError) {
            if settling.publishes.isEmpty {
                try await broker.settle(settling.lease, settling.verdict)
            } else {
                try await broker.commit(
                    publishing: settling.publishes, settling: [Settlement(settling.lease, settling.verdict)])
            }
            return nil
        } catch {
            return error
        }
    }

    /// Holds up the deliveries of a subscription, to every consumer.
    /// - Returns: Why the broker did not; nil when the pause is durable.
    func pause(_ subscription: SubscriptionName, until time: WallTime) async -> BrokerError? {
        do throws(BrokerError) {
            try await broker.pause(.subscription(subscription), .delivery, until: time)
            return nil
        } catch {
            return error
        }
    }

    func ping() async -> RuntimeState.Input {
        do throws(BrokerError) {
            try await broker.administer(.ping)
            return .answered
        } catch {
            return error.isConnectionLoss ? .connectionLost(generation: generation, error) : .answered
        }
    }

    func close() async {
        laneInput.finish()
        await broker.close()
    }
}
