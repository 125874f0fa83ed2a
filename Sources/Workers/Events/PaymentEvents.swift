public import BrokerProtocol

/// `payment.process`: the goods are reserved, take the money. Published by inventory, for payment.
public struct PaymentProcess: OrderEvent, Hashable {
    public static let topic = TopicName(literal: "payment.process")

    public var orderID: String
    /// Minor units; the sum of quantity × unit price.
    public var amount: Int
    public var currency: String
    public var paymentToken: String
    public var customer: Customer
    public var items: [OrderItem]

    private enum CodingKeys: String, CodingKey {
        case amount, currency, customer, items
        case orderID = "order_id"
        case paymentToken = "payment_token"
    }

    public init(
        orderID: String, amount: Int, currency: String, paymentToken: String, customer: Customer, items: [OrderItem]
    ) {
        self.orderID = orderID
        self.amount = amount
        self.currency = currency
        self.paymentToken = paymentToken
        self.customer = customer
        self.items = items
    }

    public func validate() throws(FieldViolation) {
        try FieldRule.orderID(orderID)
        try FieldRule.currency(currency)
        try FieldRule.token(paymentToken, "payment_token", bytesMax: 255)
        try customer.validate()
        try FieldRule.items(items, addUpTo: amount, "amount")
    }
}

/// `payment.completed`: the provider has charged the amount. Published by payment, for inventory.
public struct PaymentCompleted: OrderEvent, Hashable {
    public static let topic = TopicName(literal: "payment.completed")

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
        try FieldRule.currency(currency)
        try customer.validate()
        try FieldRule.items(items, addUpTo: amount, "amount")
    }
}

/// `payment.failed`: the provider refused for good and nothing was charged. Published by payment, for inventory and
/// email; ends the flow.
public struct PaymentFailed: OrderEvent, Hashable {
    public static let topic = TopicName(literal: "payment.failed")

    public var orderID: String
    /// For programs, for instance `card_declined`.
    public var code: String
    /// For the customer, one sentence.
    public var message: String
    public var amount: Int
    public var currency: String
    public var customer: Customer
    public var items: [OrderItem]

    private enum CodingKeys: String, CodingKey {
        case code, message, amount, currency, customer, items
        case orderID = "order_id"
    }

    public init(
        orderID: String, code: String, message: String, amount: Int, currency: String, customer: Customer,
        items: [OrderItem]
    ) {
        self.orderID = orderID
        self.code = code
        self.message = message
        self.amount = amount
        self.currency = currency
        self.customer = customer
        self.items = items
    }

    public func validate() throws(FieldViolation) {
        try FieldRule.orderID(orderID)
        try FieldRule.token(code, "code", bytesMax: 100)
        try FieldRule.text(message, "message", bytesMax: 500)
        try FieldRule.currency(currency)
        try customer.validate()
        try FieldRule.items(items, addUpTo: amount, "amount")
    }
}
