import Workers

/// A provider that hands the calls on to another one, and does something before and after each.
struct FaultyProvider: PaymentProvider {
    let provider: any PaymentProvider
    var keyLifetime: Duration?
    var before: @Sendable () throws(PaymentProviderError) -> Void = {}
    var after: @Sendable () throws(PaymentProviderError) -> Void = {}

    func charge(_ charge: Charge, key: String) async throws(PaymentProviderError) -> ChargeResult {
        try before()
        let result = try await provider.charge(charge, key: key)
        try after()
        return result
    }
}
