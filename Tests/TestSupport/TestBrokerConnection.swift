package import BrokerProtocol

/// One connection to a ``TestBroker``.
package struct TestConnection: MessageBroker {
    package static let lost = BrokerError(.connectionLost, "the test dropped the connection")

    private let broker: TestBroker
    private let number: Int

    init(_ broker: TestBroker, _ number: Int) {
        self.broker = broker
        self.number = number
    }

    package func perform(_ request: Request) async throws(BrokerError) -> Response {
        let number = number
        let result: Result<Response, BrokerError> = broker.change { state in
            guard state.connections.contains(number) else { return .failure(Self.lost) }
            return state.answer(request, of: number)
        }
        return try result.get()
    }

    package func deliveries(
        of subscription: SubscriptionName, credit: UInt32, start: StartPosition, leaseMilliseconds: Int64?,
        weight: UInt8
    ) async throws(BrokerError) -> DeliveryStream {
        let (stream, output) = AsyncThrowingStream<Delivery, any Error>.makeStream()
        let number = number
        let result: Result<ConsumerID, BrokerError> = broker.change { state in
            guard state.connections.contains(number) else { return .failure(Self.lost) }
            if !state.faults.subscribes.isEmpty { return .failure(state.faults.subscribes.removeFirst()) }
            let consumer = ConsumerID(rawValue: state.nextConsumer)
            state.nextConsumer += 1
            state.subscribe(subscription, start: start)
            let key = TestBroker.ConsumerKey(connection: number, consumer: consumer)
            state.consumers[key] = TestBroker.Consumer(
                subscription: subscription, credit: credit, leaseMilliseconds: leaseMilliseconds ?? 30_000,
                output: output)
            state.consumerOrder.append(key)
            state.record.credits[subscription] = credit
            return .success(consumer)
        }
        return DeliveryStream(consumer: try result.get(), stream: stream)
    }

    package func extendLeases(
        _ leases: [LeaseID], milliseconds: Int64, lost: @escaping @Sendable ([LeaseID]) -> Void
    ) {
        let number = number
        let answer: [LeaseID]? = broker.change { state in
            state.connections.contains(number) ? state.extend(leases, milliseconds, by: number) : nil
        }
        if let answer { lost(answer) }
    }

    package func close() async {
        let number = number
        broker.change { $0.close(number) }
    }
}

extension TestBroker.State {
    mutating func answer(_ request: Request, of connection: Int) -> Result<Response, BrokerError> {
        switch request {
        case .ping: return .success(.done)
        case .publish(let messages):
            return .success(.published(messages.map { .success(PublishReceipt(id: publish($0))) }))
        case .commit(let publishes, let settlements):
            if !faults.commits.isEmpty {
                let fault = faults.commits.removeFirst()
                if fault.code == .connectionLost { close(connection) }
                return .failure(fault)
            }
            if let settlement = settlements.first(where: { owned($0.lease, by: connection) == nil }) {
                return .failure(BrokerError(.leaseLost, "lease \(settlement.lease) is not held"))
            }
            record.commits += 1
            for settlement in settlements { _ = settle(settlement, by: connection) }
            return .success(.committed(publishes.map { PublishReceipt(id: publish($0)) }))
        case .credit(let consumer, let credit):
            let key = TestBroker.ConsumerKey(connection: connection, consumer: consumer)
            guard let subscription = consumers[key]?.subscription else { return .failure(unknown(consumer)) }
            consumers[key]?.credit = credit
            record.credits[subscription] = credit
            return .success(.done)
        case .pause(let target, .delivery, let until):
            guard let error = pause(target, until: until) else { return .success(.done) }
            if error.code == .connectionLost { close(connection) }
            return .failure(error)
        case .unsubscribe(let consumer):
            let key = TestBroker.ConsumerKey(connection: connection, consumer: consumer)
            guard consumers[key] != nil else { return .failure(unknown(consumer)) }
            removeConsumer(key)
            return .success(.done)
        case .settle(let settlements):
            return .success(
                .settled(
                    settlements.map {
                        faults.settles.isEmpty ? settle($0, by: connection) : faults.settles.removeFirst()
                    }))
        case .extend(let leases, let milliseconds):
            let lost = Set(extend(leases, milliseconds, by: connection))
            return .success(
                .settled(leases.map { lost.contains($0) ? BrokerError(.leaseLost, "lease \($0) is not held") : nil }))
        default: return .failure(BrokerError(.unsupported, "the test broker does not do this"))
        }
    }

    private func unknown(_ consumer: ConsumerID) -> BrokerError {
        BrokerError(.consumerUnknown, "this connection has no consumer \(consumer.rawValue)")
    }
}
