public import BrokerProtocol

/// The workers of one kind of daemon, for instance all that `email` does.
///
/// Its name is the name of its subscription on each topic that one of its workers takes: `order.created@email`.
public struct Role: Sendable {
    public let name: String
    /// Where a subscription begins that the broker does not know yet.
    public let start: StartPosition
    private(set) var routes: [SubscriptionName: Route] = [:]

    /// - Parameter name: Follows the rule of topic names.
    public init(_ name: String, start: StartPosition = .beginning) {
        precondition(TopicName(name) != nil, "a role's name follows the rule of topic names")
        self.name = name
        self.start = start
    }

    /// The events of the worker's kind go to it. Each kind has one worker in a role.
    public mutating func register<W: Worker>(_ worker: W) {
        let subscription = SubscriptionName(topic: W.Input.topic, name: name)
        let isNew = routes[subscription, default: Route()].add(W.Input.type, Handler(worker))
        precondition(isNew, "\(name) has two workers for \(W.Input.type)")
    }

    /// In the order of their names.
    public var subscriptions: [SubscriptionName] { routes.keys.sorted { $0.topic < $1.topic } }
}

/// The workers of one subscription, by the kind of event.
struct Route: Sendable {
    private var handlers: [String: Handler] = [:]

    mutating func add(_ type: String, _ handler: Handler) -> Bool {
        handlers.updateValue(handler, forKey: type) == nil
    }

    /// Runs the worker for a delivery's kind. Never throws: what cannot be handled is a ruling, too.
    func handle(_ delivery: Delivery, timeout: Duration) async -> Ruling {
        let type = EventType.named(in: delivery.headers, topic: delivery.subscription.topic)
        guard let handler = handlers[type] else {
            let known = handlers.keys.sorted().joined(separator: ", ")
            return Ruling(.reject("unknown event type \(type); \(delivery.subscription) handles \(known)"))
        }
        return await handler.run(delivery, timeout)
    }
}

/// What a worker decided about a delivery.
struct Ruling: Hashable, Sendable {
    let outcome: Outcome
    /// Why the handler threw, if it did.
    let error: String?

    init(_ outcome: Outcome, error: String? = nil) {
        self.outcome = outcome
        self.error = error
    }
}

/// A worker without its type.
struct Handler: Sendable {
    let run: @Sendable (Delivery, Duration) async -> Ruling

    init<W: Worker>(_ worker: W) {
        run = { delivery, timeout in
            let event: W.Input
            do {
                event = try EventCoding.decode(W.Input.self, from: delivery.body)
            } catch {
                return Ruling(.reject("undecodable \(W.Input.type): \(ErrorText.describe(error))"))
            }
            let attempt = Attempt(delivery, timeout: timeout)
            do {
                return Ruling(try await worker.handle(event, attempt))
            } catch {
                return Ruling(worker.verdict(for: error, attempt), error: ErrorText.describe(error))
            }
        }
    }
}
