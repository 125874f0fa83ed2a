import BrokerProtocol
import Foundation
import Workers

/// A directory that is gone after the test.
final class ScratchDirectory: Sendable {
    let path: String

    init() throws {
        path = NSTemporaryDirectory() + "/roles-" + UUID().uuidString
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    func file(_ name: String) -> String { "\(path)/\(name)" }
}

/// The same numbers from the same seed (SplitMix64, Steele, Lea and Flood).
struct SeededNumbers: RandomNumberGenerator {
    private var state: UInt64
    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}

/// Sample orders of a coffee shop.
enum Sample {
    static let now = WallTime(milliseconds: 1_740_821_400_000)
    static let customer = Customer(name: "Zoë Čapek", email: "zoe@example.org")

    static func items(_ quantities: [(String, Int)]) -> [OrderItem] {
        quantities.map { OrderItem(sku: $0.0, name: "The \($0.0)", quantity: $0.1, unitPrice: 250) }
    }

    static func order(_ id: String, _ quantities: [(String, Int)], token: String = "tok_ok") -> OrderCreated {
        OrderCreated(
            orderID: id, customer: customer, items: items(quantities),
            total: quantities.reduce(0) { $0 + $1.1 * 250 }, currency: "EUR", paymentToken: token,
            placedAt: EventTime(now))
    }

    static func payment(_ order: OrderCreated) -> PaymentProcess {
        PaymentProcess(
            orderID: order.orderID, amount: order.total, currency: order.currency, paymentToken: order.paymentToken,
            customer: order.customer, items: order.items)
    }

    static func completed(_ order: OrderCreated) -> PaymentCompleted {
        PaymentCompleted(
            orderID: order.orderID, chargeID: "ch_\(order.orderID)", amount: order.total, currency: order.currency,
            customer: order.customer, items: order.items)
    }

    static func failed(_ order: OrderCreated) -> PaymentFailed {
        PaymentFailed(
            orderID: order.orderID, code: "card_declined", message: "The card was declined.", amount: order.total,
            currency: order.currency, customer: order.customer, items: order.items)
    }

    static func paid(_ order: OrderCreated) -> OrderPaid {
        OrderPaid(
            orderID: order.orderID, chargeID: "ch_\(order.orderID)", amount: order.total, currency: order.currency,
            customer: order.customer, items: order.items)
    }

    static func rejected(_ order: OrderCreated) -> OrderRejected {
        OrderRejected(
            orderID: order.orderID, customer: order.customer,
            missing: [MissingItem(sku: "grinder", name: "Grinder", requested: 3, available: 1)])
    }

    static func attempt(_ topic: TopicName, id: UInt64 = 1, number: UInt32 = 1) -> Attempt {
        Attempt(id: MessageID(rawValue: id), subscription: SubscriptionName(topic: topic), number: number)
    }
}

extension Outcome {
    /// The only publication, decoded; nil when the outcome is another one.
    func published<E: Event>(_ type: E.Type) throws -> E? {
        guard case .done(let publications) = self, publications.count == 1,
            publications[0].message.topic == E.topic
        else { return nil }
        return try JSONDecoder().decode(type, from: Data(publications[0].message.body))
    }

    var deadReason: String? {
        if case .reject(let reason) = self { return reason }
        return nil
    }
}
