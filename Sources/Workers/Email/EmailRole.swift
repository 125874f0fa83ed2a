package import BrokerProtocol
private import LinuxIO

public struct EmailConfiguration: Hashable, Sendable {
    /// The SQLite file with the state of each mail; made when it is missing. All email processes share it.
    public var databasePath: String
    /// The Maildir that the mails go to; made when it is missing.
    public var maildirPath: String
    /// The sender's address; its domain is part of every `Message-ID`, so a change makes old mails new ones.
    public var fromAddress: String
    /// The sender's name, and the shop's in the texts.
    public var shopName: String

    public init(databasePath: String, maildirPath: String, fromAddress: String, shopName: String) {
        self.databasePath = databasePath
        self.maildirPath = maildirPath
        self.fromAddress = fromAddress
        self.shopName = shopName
    }
}

/// The role `email`: tells the customer what becomes of the order.
public enum EmailRole {
    /// With the Maildir as the transport.
    /// - Throws: ``FieldViolation`` for a bad sender, or what the database or the Maildir refused.
    public static func make(configuration: EmailConfiguration) async throws -> Role {
        let clock: @Sendable () -> WallTime = { WallTime(milliseconds: Clocks.wallMilliseconds()) }
        let maildir = try MaildirTransport(
            path: configuration.maildirPath, host: Process.hostName, process: Process.identifier, now: clock(),
            random: { Entropy.word() })
        return try await make(configuration: configuration, transport: maildir, clock: clock)
    }

    package static func make(
        configuration: EmailConfiguration, transport: any MailTransport, clock: @escaping @Sendable () -> WallTime
    ) async throws -> Role {
        let shop = configuration.shopName
        try FieldRule.text(shop, "shop name", bytesMax: 200)
        let from = try MailAddress(name: shop, email: configuration.fromAddress)
        let database = try await DatabaseThread(name: "email-db") { try Outbox.open(path: configuration.databasePath) }
        @Sendable func send(_ text: MailText, about orderID: String, to customer: Customer) async throws -> Outcome {
            let to = try MailAddress(name: customer.name, email: customer.email)
            let now = clock()
            try await database.run {
                try Outbox($0, transport: transport).send(text, about: orderID, from: from, to: to, now: now)
            }
            return .done
        }
        var role = Role("email")
        role.register(
            OrderWorker { (order: OrderCreated, _) in
                try await send(MailText(order, shop: shop), about: order.orderID, to: order.customer)
            })
        role.register(
            OrderWorker { (order: OrderPaid, _) in
                try await send(MailText(order, shop: shop), about: order.orderID, to: order.customer)
            })
        role.register(
            OrderWorker { (order: OrderRejected, _) in
                try await send(MailText(order, shop: shop), about: order.orderID, to: order.customer)
            })
        role.register(
            OrderWorker { (payment: PaymentFailed, _) in
                try await send(MailText(payment, shop: shop), about: payment.orderID, to: payment.customer)
            })
        return role
    }
}
