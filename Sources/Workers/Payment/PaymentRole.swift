package import BrokerProtocol
private import LinuxIO

public struct PaymentConfiguration: Hashable, Sendable {
    /// The SQLite file with the state of each payment; made when it is missing. All payment processes share it.
    public var databasePath: String
    /// The SQLite file of the test-mode ledger, the provider's side; all payment processes share it, too.
    public var testLedgerPath: String

    public init(databasePath: String, testLedgerPath: String) {
        self.databasePath = databasePath
        self.testLedgerPath = testLedgerPath
    }
}

/// The role `payment`: takes the money for an order, once.
public enum PaymentRole {
    /// With the test-mode ledger as the provider.
    /// - Throws: What a database refused.
    public static func make(configuration: PaymentConfiguration) async throws -> Role {
        let clock: @Sendable () -> WallTime = { WallTime(milliseconds: Clocks.wallMilliseconds()) }
        let ledger = try await TestLedgerProvider(path: configuration.testLedgerPath, clock: clock)
        return try await make(configuration: configuration, provider: ledger, clock: clock)
    }

    package static func make(
        configuration: PaymentConfiguration, provider: any PaymentProvider,
        clock: @escaping @Sendable () -> WallTime
    ) async throws -> Role {
        let cashier = try await Cashier(databasePath: configuration.databasePath, provider: provider, clock: clock)
        var role = Role("payment")
        role.register(OrderWorker { (event: PaymentProcess, attempt) in try await cashier.pay(event, attempt) })
        return role
    }
}

/// Charges an order once, whatever is killed when:
///
/// 1. The intent with its idempotency key is durable before the provider hears of it.
/// 2. The provider is asked with that key. A crash before its answer is recorded leads to the same question again, and
///    the key makes the provider give the same answer.
/// 3. The answer is recorded; from then on a redelivery gives it without the provider.
package struct Cashier: Sendable {
    private let payments: DatabaseThread
    private let provider: any PaymentProvider
    private let clock: @Sendable () -> WallTime
    private let outage = ProviderOutage()

    package init(
        databasePath: String, provider: any PaymentProvider, clock: @escaping @Sendable () -> WallTime
    ) async throws {
        payments = try await DatabaseThread(name: "payment-db") { try PaymentStore.open(path: databasePath) }
        self.provider = provider
        self.clock = clock
    }

    /// - Returns: Done, publishing `payment.completed` or `payment.failed`; snooze when the provider limits the rate;
    ///   pause the queue, 5 seconds to 5 minutes, when the provider cannot be asked at all; reject when only a person
    ///   can tell what to do.
    /// - Throws: ``PaymentProviderError`` when the charge is unclear, or what the database refused: a retry is safe.
    package func pay(_ event: PaymentProcess, _ attempt: Attempt) async throws -> Outcome {
        let charge = Charge(
            orderID: event.orderID, amount: event.amount, currency: event.currency, token: event.paymentToken)
        let begun = clock()
        let key: String
        switch try await payments.run({
            try PaymentStore($0).begin(charge, message: attempt.stableID, now: begun)
        }) {
        case .begun(let new): key = new
        case .unclear(let old, let since):
            if let lifetime = provider.keyLifetime,
                since.adding(milliseconds: Int64(lifetime / .milliseconds(1))) <= begun
            {
                return .reject(
                    "the charge of order \(event.orderID) is unclear since \(EventTime(since)), longer than the "
                        + "payment provider remembers: look for \(old) there before anybody charges again")
            }
            key = old
        case .ended(let result): return try outcome(result, of: event)
        case .otherCharge(let recorded):
            return .reject(
                "order_id: the payment of order \(event.orderID) began with another token or amount, "
                    + Money.text(recorded.amount, recorded.currency))
        }
        let answer: ChargeResult
        do {
            answer = try await provider.charge(charge, key: key)
        } catch .unavailable(let reason) {
            let error = PaymentProviderError.unavailable(reason: reason)
            guard let pause = outage.pause(deliveries: attempt.deliveries, now: clock()) else { throw error }
            return .pauseQueue(for: pause, because: String(describing: error))
        } catch .rateLimited(let pause) {
            outage.answered(at: clock())
            return .snooze(for: pause)
        } catch .keyReused {
            return .reject("order \(event.orderID): \(PaymentProviderError.keyReused)")
        }
        let ended = clock()
        outage.answered(at: ended)
        let result = try await payments.run { try PaymentStore($0).end(event.orderID, answer, now: ended) }
        return try outcome(result, of: event)
    }

    private func outcome(_ result: ChargeResult, of event: PaymentProcess) throws -> Outcome {
        switch result {
        case .succeeded(let chargeID):
            .done(publishing: [
                try Publication(
                    ofOrder: PaymentCompleted(
                        orderID: event.orderID, chargeID: chargeID, amount: event.amount, currency: event.currency,
                        customer: event.customer, items: event.items))
            ])
        case .declined(let code, let message):
            .done(publishing: [
                try Publication(
                    ofOrder: PaymentFailed(
                        orderID: event.orderID, code: code, message: message, amount: event.amount,
                        currency: event.currency, customer: event.customer, items: event.items))
            ])
        }
    }
}
