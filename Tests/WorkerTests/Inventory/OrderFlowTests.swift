import BrokerProtocol
import Foundation
import TestSupport
import Testing
import Workers

/// The three roles together, twice, on shared files, as two sets of processes would run them.
@Suite(.timeLimit(.minutes(1))) struct OrderFlowTests {
    private let directory: ScratchDirectory
    private let broker = TestBroker(attemptsMax: 50)

    init() throws {
        directory = try ScratchDirectory()
        try Data(#"{"beans": 1000, "grinder": 0}"#.utf8).write(to: URL(filePath: directory.file("stock.json")))
    }

    private func runtime(_ instance: String) async throws -> WorkerRuntime {
        var inventory = InventoryConfiguration(databasePath: directory.file("inventory.sqlite"))
        inventory.stockFile = directory.file("stock.json")
        let payment = PaymentConfiguration(
            databasePath: directory.file("payment.sqlite"), testLedgerPath: directory.file("ledger.sqlite"))
        let email = EmailConfiguration(
            databasePath: directory.file("email.sqlite"), maildirPath: directory.file("mail"),
            fromAddress: "orders@shop.example", shopName: "Kaffee & Söhne")
        let broker = broker
        return WorkerRuntime(
            roles: [
                try await InventoryRole.make(configuration: inventory),
                try await PaymentRole.make(configuration: payment), try await EmailRole.make(configuration: email),
            ], configuration: RuntimeConfiguration(instance: instance),
            connect: { () async throws(BrokerError) -> any MessageBroker in try broker.connect() }, random: { _ in 0 })
    }

    private static let tokens = ["tok_ok", "tok_declined", "tok_rate_limited", "tok_timeout", "tok_ok", "tok_ok"]

    /// Of each six orders three are paid at once or late, one is declined, one is short of stock, one is invalid.
    private static func order(_ index: Int) -> OrderCreated {
        var order = Sample.order("O-\(index)", [(index % 6 == 4 ? "grinder" : "beans", 1)], token: tokens[index % 6])
        if index % 6 == 5 { order.total += 1 }
        return order
    }

    private struct Ends: Equatable {
        var paid = 0
        var declined = 0
        var rejected = 0
        var received = 0
        var givenBack = 0
        var dead = 0

        init(paid: Int, declined: Int, rejected: Int, received: Int, givenBack: Int, dead: Int) {
            self.paid = paid
            self.declined = declined
            self.rejected = rejected
            self.received = received
            self.givenBack = givenBack
            self.dead = dead
        }

        init(_ record: TestBroker.Record) {
            func acknowledged(_ name: String) -> Int {
                record.acknowledged.reduce(0) { $0 + ($1.key.description == name ? $1.value.count : 0) }
            }
            paid = acknowledged("order.paid@email")
            declined = acknowledged("payment.failed@email")
            rejected = acknowledged("order.rejected@email")
            received = acknowledged("order.created@email")
            givenBack = acknowledged("payment.failed@inventory")
            dead = record.dead.values.reduce(0) { $0 + $1.count }
        }
    }

    @Test(
        "Every order ends once, whatever leases are lost on the way: paid, declined, rejected or dead, with its mails")
    func flow() async throws {
        let runtimes = [try await runtime("all-1"), try await runtime("all-2")]
        let tasks = runtimes.map { runtime in Task { try await runtime.run() } }
        for index in 0..<60 { broker.publish(try Publication(ofOrder: Self.order(index)).message) }
        for count in [10, 40, 80] {
            await broker.until { $0.acknowledged.values.reduce(0) { $0 + $1.count } >= count }
            broker.loseLeases()
        }
        // Two subscriptions take each invalid order, so it is dead twice.
        let expected = Ends(paid: 30, declined: 10, rejected: 10, received: 50, givenBack: 10, dead: 20)
        var seen = 0
        while Ends(broker.record) != expected, !Task.isCancelled {
            let before = seen
            await broker.until { record in
                Ends(record) == expected || record.releases.values.reduce(0) { $0 + $1.count } > before
            }
            seen = broker.record.releases.values.reduce(0) { $0 + $1.count }
            broker.advance(milliseconds: 1000)
        }
        for runtime in runtimes { runtime.drain() }
        for task in tasks { try await task.value }
        #expect(Ends(broker.record) == expected)
        let reasons = Set(broker.record.dead.values.joined().map(\.reason))
        #expect(reasons.allSatisfy { $0.contains("total: 251, but the items add up to 250") }, "\(reasons)")

        let charges = try await TestLedgerProvider(path: directory.file("ledger.sqlite")) { Sample.now }.charges()
        #expect(charges.count == 30)
        #expect(Set(charges.map(\.orderID)).count == 30)
        let mails = try FileManager.default.contentsOfDirectory(atPath: directory.file("mail/new"))
        #expect(mails.count == 100)
        let stock = try InventoryStore.open(path: directory.file("inventory.sqlite"))
        #expect(try stock.first("SELECT available FROM stock WHERE sku = 'beans'")?.integer(0) == 970)
    }
}
