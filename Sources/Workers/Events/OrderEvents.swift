public import BrokerProtocol

extension TopicName {
    /// For literals; one that breaks the rule of topic names is a bug.
    init(literal text: StaticString) {
        guard let name = TopicName("\(text)") else { preconditionFailure("\(text) is no topic name") }
        self = name
    }
}

/// `order.created`: somebody ordered. Published by the shop; opens the flow.
public struct OrderCreated: OrderEvent, Hashable {
    public static let topic = TopicName(literal: "order.created")

    public var orderID: String
    public var customer: Customer
    public var items: [OrderItem]
    /// Minor units; the sum of quantity × unit price.
    public var total: Int
    public var currency: String
    /// What the payment provider charges; never a card number.
    public var paymentToken: String
    public var placedAt: EventTime

    private enum CodingKeys: String, CodingKey {
        case customer, items, total, currency
        case orderID = "order_id"
        case paymentToken = "payment_token"
        case placedAt = "placed_at"
    }

    public init(
        orderID: String, customer: Customer, items: [OrderItem], total: Int, currency: String, paymentToken: String,
        placedAt: EventTime
    ) {
        self.orderID = orderID
        self.customer = customer
        self.items = items
        self.total = total
        self.currency = currency
        self.paymentToken = paymentToken
        self.placedAt = placedAt
    }

    public func validate() throws(FieldViolation) {
        try FieldRule.orderID(orderID)
        try customer.validate()
        try FieldRule.currency(currency)
        try FieldRule.items(items, addUpTo: total, "total")
        try FieldRule.token(paymentToken, "payment_token", bytesMax: 255)
    }
}

/// What an order asked for and the stock did not have.
public struct MissingItem: Hashable, Sendable, Codable {
    public var sku: String
    public var name: String
    public var requested: Int
    public var available: Int

    public init(sku: String, name: String, requested: Int, available: Int) {
        self.sku = sku
        self.name = name
        self.requested = requested
        self.available = available
    }
}

/// `order.rejected`: the stock cannot serve the order; nothing is reserved and nothing will be charged. Published by
/// inventory; ends the flow.
public struct OrderRejected: OrderEvent, Hashable {
    public static let topic = TopicName(literal: "order.rejected")

    public var orderID: String
    public var customer: Customer
    /// Every SKU that was short, in the order of their texts.
    public var missing: [MissingItem]

    private enum CodingKeys: String, CodingKey {
        case customer, missing
        case orderID = "order_id"
    }

    public init(orderID: String, customer: Customer, missing: [MissingItem]) {
        self.orderID = orderID
        self.customer = customer
        self.missing = missing
    }

    public func validate() throws(FieldViolation) {
        try FieldRule.orderID(orderID)
        try customer.validate()
        guard (1...FieldRule.itemsMax).contains(missing.count) else {
            throw FieldViolation("missing", "\(missing.count) SKUs, not 1 to \(FieldRule.itemsMax)")
        }
        for (index, item) in missing.enumerated() {
            try FieldRule.text(item.sku, "missing[\(index)].sku", bytesMax: 100)
            try FieldRule.text(item.name, "missing[\(index)].name", bytesMax: 200)
            guard item.available >= 0, item.requested > item.available else {
                throw FieldViolation("missing[\(index)].requested", "not more than what is available")
            }
        }
    }
}

/// `order.paid`: the money is there and the goods are the customer's. Published by inventory; ends the flow.
public struct OrderPaid: OrderEvent, Hashable {
    public static let topic = TopicName(literal: "order.paid")

    public var orderID: String
    /// The payment provider's name for the charge.
    public var chargeID: String
    public var amount: Int
    public var currency: String
    public var customer: Customer
    public var items: [OrderItem]

    private enum CodingKeys: String, CodingKey {
        case amount, currency, customer, items
        case orderID = "order_id"
        case chargeID = "charge_id"
    }

    public init(
        orderID: String, chargeID: String, amount: Int, currency: String, customer: Customer, items: [OrderItem]
    ) {
        self.orderID = orderID
        self.chargeID = chargeID
        self.amount = amount
        self.currency = currency
        self.customer = customer
        self.items = items
    }

    public func validate() throws(FieldViolation) {
        try FieldRule.orderID(orderID)
        try FieldRule.token(chargeID, "charge_id", bytesMax: 255)
        try customer.validate()
        try FieldRule.currency(currency)
        try FieldRule.items(items, addUpTo: amount, "amount")
    }
}
