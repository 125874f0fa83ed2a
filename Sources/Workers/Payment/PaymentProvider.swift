/// Who takes the money: a card processor, as the payment role sees it.
public protocol PaymentProvider: Sendable {
    /// How long the provider remembers an idempotency key; nil for ever. An unclear charge that is older is not asked
    /// for again, because that could charge twice.
    var keyLifetime: Duration? { get }

    /// Charges once per key: a second call with the same key and charge does nothing and gives the first one's result.
    /// - Parameter key: At most 255 visible ASCII characters.
    /// - Throws: ``PaymentProviderError``; each case tells whether something may have been charged.
    func charge(_ charge: Charge, key: String) async throws(PaymentProviderError) -> ChargeResult
}

/// What is to be charged.
public struct Charge: Hashable, Sendable {
    public var orderID: String
    /// Minor units of the currency.
    public var amount: Int
    public var currency: String
    /// Names the card, from the provider's own form; never a card number.
    public var token: String

    public init(orderID: String, amount: Int, currency: String, token: String) {
        self.orderID = orderID
        self.amount = amount
        self.currency = currency
        self.token = token
    }
}

/// The provider's last word on a charge.
public enum ChargeResult: Hashable, Sendable {
    case succeeded(chargeID: String)
    /// Nothing was charged, and asking again will not change that.
    case declined(code: String, message: String)
}

/// A charge without a last word.
public enum PaymentProviderError: Error, Hashable, Sendable, CustomStringConvertible {
    /// Nothing was charged; the provider wants to be left alone that long.
    case rateLimited(retryAfter: Duration)
    /// Nobody knows whether something was charged; the same key will tell.
    case timedOut
    /// The key was used before for another charge; nothing was charged now.
    case keyReused
    /// The provider cannot be asked; as unclear as ``timedOut``.
    case unavailable(reason: String)

    public var description: String {
        switch self {
        case .rateLimited(let pause): "the payment provider asks to wait \(pause)"
        case .timedOut: "the payment provider did not answer in time; the charge is unclear"
        case .keyReused: "the payment provider knows the idempotency key from another charge"
        case .unavailable(let reason): "the payment provider is not available: \(reason)"
        }
    }
}
