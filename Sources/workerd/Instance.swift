import Workers

/// One worker of this process: `email-1` has the role `email`.
struct Instance: Hashable, Sendable {
    struct UnknownRole: Error, CustomStringConvertible {
        let text: String
        var description: String {
            "instance \(text): expected ROLE-NUMBER with one of the roles "
                + RoleName.allCases.map(\.rawValue).joined(separator: ", ") + ", such as email-1"
        }
    }

    enum RoleName: String, CaseIterable {
        case email, inventory, payment
    }

    let name: String
    let role: RoleName

    init(_ text: String) throws(UnknownRole) {
        guard let dash = text.lastIndex(of: "-"), text.index(after: dash) < text.endIndex,
            let role = RoleName(rawValue: String(text[..<dash]))
        else { throw UnknownRole(text: text) }
        name = text
        self.role = role
    }

    /// Opens what the role works on.
    func makeRole(_ configuration: WorkerConfiguration) async throws -> Role {
        switch role {
        case .email:
            return try await EmailRole.make(
                configuration: EmailConfiguration(
                    databasePath: configuration.path(configuration.mailDatabase),
                    maildirPath: configuration.path(configuration.maildir), fromAddress: configuration.mailFrom,
                    shopName: configuration.shopName))
        case .payment:
            return try await PaymentRole.make(
                configuration: PaymentConfiguration(
                    databasePath: configuration.path(configuration.paymentDatabase),
                    testLedgerPath: configuration.path(configuration.paymentLedger)))
        case .inventory:
            var inventory = InventoryConfiguration(databasePath: configuration.path(configuration.stockDatabase))
            inventory.stockFile = configuration.stockFile.map { configuration.path($0) }
            if let reservation = configuration.reservation { inventory.reservation = reservation }
            return try await InventoryRole.make(configuration: inventory)
        }
    }
}
