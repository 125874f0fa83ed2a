public import BrokerProtocol
import LinuxIO

/// The loop's hold on a session: a session that its user forgot ends.
struct LocalReference {
    weak var session: LocalSession?
}

/// A user of the broker in the same process: the same requests as over a socket, without one. Ends with ``close()`` or
/// with the last reference.
public final class LocalSession: MessageBroker {
    private enum Waiting {
        case continuation(CheckedContinuation<Result<Response, BrokerError>, Never>)
        case leases([LeaseID], @Sendable ([LeaseID]) -> Void)
    }

    private struct Shared {
        var nextCorrelation: UInt32 = 1
        var nextConsumer: UInt32 = 1
        var waiting: [UInt32: Waiting] = [:]
        var streams: [ConsumerID: AsyncThrowingStream<Delivery, any Error>.Continuation] = [:]
        /// Why nothing can be asked any more.
        var ending: BrokerError?
    }

    let id: SessionID
    let name: String
    private let mailbox: Mailbox
    private let shared = Monitor(Shared())

    init(id: SessionID, name: String, mailbox: Mailbox) {
        self.id = id
        self.name = name
        self.mailbox = mailbox
    }

    /// `UNSUPPORTED` for what has a call of its own: `deliveries(of:…)` subscribes, and a session greets nobody.
    public func perform(_ request: Request) async throws(BrokerError) -> Response {
        switch request {
        case .subscribe, .hello: throw BrokerError(.unsupported, "a session subscribes with deliveries(of:…)")
        default: break
        }
        let response = try await answer(to: request)
        if case .unsubscribe(let consumer) = request, case .done = response {
            shared.with { $0.streams.removeValue(forKey: consumer) }?.finish()
        }
        return response
    }

    private func answer(to request: Request) async throws(BrokerError) -> Response {
        let result = await withCheckedContinuation { continuation in
            if let error = ask(request, .continuation(continuation)) { continuation.resume(returning: .failure(error)) }
        }
        return try result.get()
    }

    public func extendLeases(
        _ leases: [LeaseID], milliseconds: Int64, lost: @escaping @Sendable ([LeaseID]) -> Void
    ) {
        _ = ask(.extend(leases, milliseconds: milliseconds), .leases(leases, lost))
    }

    /// - Returns: The error when the session has ended; nobody will be answered then.
    private func ask(_ request: Request, _ waiting: Waiting) -> BrokerError? {
        let (correlation, ending) = shared.with { shared -> (UInt32, BrokerError?) in
            if let ending = shared.ending { return (0, ending) }
            let correlation = shared.nextCorrelation
            shared.nextCorrelation &+= 1
            shared.waiting[correlation] = waiting
            return (correlation, nil)
        }
        if let ending { return ending }
        if mailbox.post(.request(Origin(session: id, correlation: correlation), request)) { return nil }
        let error = BrokerError(.closed, "the broker has ended")
        return shared.with { $0.waiting.removeValue(forKey: correlation) } == nil ? nil : error
    }

    public func deliveries(
        of subscription: SubscriptionName, credit: UInt32, start: StartPosition, leaseMilliseconds: Int64?,
        weight: UInt8
    ) async throws(BrokerError) -> DeliveryStream {
        let (stream, continuation) = AsyncThrowingStream<Delivery, any Error>.makeStream()
        let consumer = shared.with { shared in
            let consumer = ConsumerID(rawValue: shared.nextConsumer)
            shared.nextConsumer += 1
            shared.streams[consumer] = continuation
            return consumer
        }
        let response = try await answer(
            to: .subscribe(
                consumer: consumer, subscription: subscription, credit: credit, start: start,
                leaseMilliseconds: leaseMilliseconds, weight: weight))
        if case .refused(let error) = response {
            shared.with { _ = $0.streams.removeValue(forKey: consumer) }
            throw error
        }
        continuation.onTermination = { [weak self] _ in self?.endConsumer(consumer) }
        return DeliveryStream(consumer: consumer, stream: stream)
    }

    private func endConsumer(_ consumer: ConsumerID) {
        guard shared.with({ $0.streams.removeValue(forKey: consumer) }) != nil else { return }
        _ = ask(.unsubscribe(consumer: consumer), .leases([], { _ in }))
    }

    public func close() async {
        end(BrokerError(.closed, "the session was closed"))
        _ = mailbox.post(.close(id))
    }

    deinit { _ = mailbox.post(.close(id)) }

    // MARK: From the loop

    func receive(_ frame: Frame) {
        switch frame {
        case .response(let correlation, let response): answer(correlation, response)
        case .push(.deliveries(let deliveries)):
            for delivery in deliveries { shared.with { $0.streams[delivery.consumer] }?.yield(delivery) }
        case .push(.consumerEnded(let consumer, let error)):
            let stream = shared.with { $0.streams.removeValue(forKey: consumer) }
            if let error { stream?.finish(throwing: error) } else { stream?.finish() }
        case .request, .heartbeat: break
        }
    }

    private func answer(_ correlation: UInt32, _ response: Response) {
        switch shared.with({ $0.waiting.removeValue(forKey: correlation) }) {
        case .continuation(let continuation): continuation.resume(returning: .success(response))
        case .leases(let leases, let lost):
            guard case .settled(let results) = response else { return }
            lost(zip(leases, results).filter { $0.1 != nil }.map(\.0))
        case nil: break
        }
    }

    /// Fails everything that waits.
    func end(_ error: BrokerError) {
        let (waiting, streams) = shared.with { shared in
            if shared.ending == nil { shared.ending = error }
            defer {
                shared.waiting = [:]
                shared.streams = [:]
            }
            return (shared.waiting.values.map { $0 }, shared.streams.values.map { $0 })
        }
        for case .continuation(let continuation) in waiting { continuation.resume(returning: .failure(error)) }
        for stream in streams { stream.finish(throwing: error) }
    }
}
