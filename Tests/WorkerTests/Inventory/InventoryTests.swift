import BrokerProtocol
import Foundation
import Testing
import Workers

@Suite struct InventoryTests {
    private let directory: ScratchDirectory
    private let database: Database
    private let store: InventoryStore
    private let now = Sample.now

    init() throws {
        directory = try ScratchDirectory()
        database = try InventoryStore.open(path: directory.file("inventory.sqlite"))
        store = InventoryStore(database, reservationMilliseconds: 60_000)
        try store.seed(["beans": 10, "filter": 5, "grinder": 1])
    }

    private func available(_ sku: String) throws -> Int64? {
        try database.first("SELECT available FROM stock WHERE sku = ?", .text(sku))?.integer(0)
    }

    private func reserve(_ order: OrderCreated, at time: WallTime? = nil) throws -> Outcome {
        try store.reserve(order, message: "order.created-1", now: time ?? now)
    }

    private func confirm(_ order: OrderCreated, at time: WallTime? = nil) throws -> Outcome {
        try store.confirm(Sample.completed(order), message: "payment.completed-2", now: time ?? now)
    }

    private func giveBack(_ order: OrderCreated, at time: WallTime? = nil) throws -> Outcome {
        try store.giveBack(Sample.failed(order), message: "payment.failed-2", now: time ?? now)
    }

    @Test("An order that the stock can serve is reserved, and payment is asked")
    func reserves() throws {
        let order = Sample.order("A", [("beans", 3), ("filter", 1), ("beans", 2)])
        let outcome = try reserve(order)
        #expect(try outcome.published(PaymentProcess.self) == Sample.payment(order))
        #expect(try available("beans") == 5)
        #expect(try available("filter") == 4)
        guard case .done(let publications) = outcome else { return }
        #expect(publications[0].message.orderingKey == "A")
        #expect(publications[0].message.dedupID == "payment.process:A")
    }

    @Test("An order that is short of something is rejected with every missing SKU, and nothing is reserved")
    func rejects() throws {
        let order = Sample.order("A", [("unknown", 1), ("beans", 3), ("grinder", 2), ("filter", 3), ("filter", 3)])
        let rejected = try reserve(order).published(OrderRejected.self)
        #expect(
            rejected?.missing == [
                MissingItem(sku: "filter", name: "The filter", requested: 6, available: 5),
                MissingItem(sku: "grinder", name: "The grinder", requested: 2, available: 1),
                MissingItem(sku: "unknown", name: "The unknown", requested: 1, available: 0),
            ])
        #expect(try available("beans") == 10)
        #expect(try rejected?.validate() != nil)
    }

    @Test("A redelivery changes nothing and answers the same, also after the stock changed")
    func redelivery() throws {
        let first = Sample.order("A", [("grinder", 1)])
        let second = Sample.order("B", [("grinder", 1)])
        let outcomes = try [reserve(first), reserve(second)]
        #expect(try outcomes[1].published(OrderRejected.self) != nil)
        try store.restock("grinder", by: 5)
        #expect(try [reserve(first), reserve(second)] == outcomes)
        #expect(try available("grinder") == 5)
        let paid = try confirm(first)
        #expect(try paid.published(OrderPaid.self) == Sample.paid(first))
        #expect(try confirm(first) == paid)
    }

    @Test("The answer survives the process")
    func reopening() throws {
        let order = Sample.order("A", [("beans", 1)])
        let outcome = try reserve(order)
        let again = InventoryStore(
            try InventoryStore.open(path: directory.file("inventory.sqlite")), reservationMilliseconds: 1)
        #expect(try again.reserve(order, message: "order.created-9", now: now) == outcome)
        try again.seed(["beans": 100, "new": 2])
        #expect(try available("beans") == 9)
        #expect(try available("new") == 2)
    }

    @Test("A second order under a used id is dead")
    func otherContent() throws {
        _ = try reserve(Sample.order("A", [("beans", 1)]))
        let reason = try reserve(Sample.order("A", [("beans", 2)])).deadReason
        #expect(reason == "order_id: order.created of order A came with other content")
        #expect(try available("beans") == 9)
    }

    @Test("A failed payment gives the goods back, once")
    func givesBack() throws {
        let order = Sample.order("A", [("beans", 4)])
        _ = try reserve(order)
        #expect(try giveBack(order) == .done)
        #expect(try giveBack(order) == .done)
        #expect(try available("beans") == 10)
    }

    @Test("A failed payment of a paid order is dead and gives nothing back")
    func failedAfterPaid() throws {
        let order = Sample.order("A", [("beans", 4)])
        _ = try reserve(order)
        _ = try confirm(order)
        #expect(try giveBack(order).deadReason == "order A is paid already; its goods are not given back")
        #expect(try available("beans") == 6)
    }

    @Test("A reservation that ran out is for sale again")
    func expires() throws {
        let order = Sample.order("A", [("grinder", 1)])
        _ = try reserve(order)
        let other = Sample.order("B", [("grinder", 1)])
        #expect(try reserve(other, at: now.adding(milliseconds: 60_000)).published(PaymentProcess.self) != nil)
        #expect(try giveBack(order) == .done)
        #expect(try available("grinder") == 0)
    }

    @Test("A payment after the reservation ran out takes the goods again when they are there")
    func latePayment() throws {
        let order = Sample.order("A", [("beans", 4)])
        _ = try reserve(order)
        let later = now.adding(milliseconds: 60_000)
        _ = try reserve(Sample.order("B", [("beans", 1)]), at: later)
        #expect(try available("beans") == 9)
        #expect(try confirm(order, at: later).published(OrderPaid.self) != nil)
        #expect(try available("beans") == 5)
    }

    @Test(
        "A payment after the goods went to somebody else is dead and names the charge; a redrive after restocking works"
    )
    func latePaymentSoldOut() throws {
        let order = Sample.order("A", [("beans", 1), ("grinder", 1)])
        _ = try reserve(order)
        let later = now.adding(milliseconds: 60_000)
        _ = try reserve(Sample.order("B", [("grinder", 1)]), at: later)
        let reason = try confirm(order, at: later).deadReason
        #expect(reason?.contains("grinder is sold out: restock and redrive, or refund charge ch_A") == true)
        #expect(try available("beans") == 10)
        try store.restock("grinder", by: 1)
        #expect(try confirm(order, at: later).published(OrderPaid.self) != nil)
        #expect(try available("beans") == 9)
    }

    @Test("A payment of another amount is dead")
    func otherAmount() throws {
        let order = Sample.order("A", [("beans", 2)])
        _ = try reserve(order)
        let reason = try confirm(Sample.order("A", [("beans", 1)])).deadReason
        #expect(reason == "amount: order A costs 5.00 EUR, charge ch_A took 2.50 EUR")
    }

    @Test("A payment event before its order asks for a retry, and works after it")
    func outOfOrder() throws {
        let order = Sample.order("A", [("beans", 2)])
        #expect(throws: InventoryError.reservationUnknown(order: "A")) { try confirm(order) }
        #expect(throws: InventoryError.reservationUnknown(order: "A")) { try giveBack(order) }
        _ = try reserve(order)
        #expect(try confirm(order).published(OrderPaid.self) != nil)
    }

    @Test(
        "Units are never made or lost, whatever comes late, twice or in any order", arguments: [1, 2, 3, 4, 5, 6, 7, 8])
    func conservation(_ seed: UInt64) throws {
        var numbers = SeededNumbers(seed: seed)
        let skus = ["beans", "filter", "grinder"]
        try store.restock("grinder", by: 9)
        let orders = (0..<20).map { index in
            Sample.order(
                "O\(index)", skus.shuffled(using: &numbers).prefix(2).map { ($0, .random(in: 1...3, using: &numbers)) })
        }
        var time = now
        for _ in 0..<300 {
            time = time.adding(milliseconds: .random(in: 0...9_000, using: &numbers))
            guard let order = orders.randomElement(using: &numbers) else { return }
            switch Int.random(in: 0..<4, using: &numbers) {
            case 0, 1: _ = try reserve(order, at: time)
            case 2: _ = try? confirm(order, at: time)
            default: _ = try? giveBack(order, at: time)
            }
            let sums = try database.query(
                """
                SELECT available + (
                    SELECT coalesce(sum(quantity), 0) FROM reservation_item JOIN reservation USING (order_id)
                    WHERE reservation_item.sku = stock.sku AND state IN ('held', 'sold')
                ) FROM stock ORDER BY sku
                """)
            #expect(try sums.map { try $0.integer(0) } == [10, 5, 10])
        }
        let sold = try database.first("SELECT count(*) FROM reservation WHERE state = 'sold'")?.integer(0) ?? 0
        #expect(sold > 0)
    }

    @Test("Two processes that share the file sell every unit once")
    func twoProcesses() async throws {
        let path = directory.file("inventory.sqlite")
        try store.restock("grinder", by: 29)
        let results = try await withThrowingTaskGroup(of: [Outcome].self) { group in
            for process in 0..<2 {
                group.addTask {
                    let thread = try await DatabaseThread(name: "inventory-\(process)") {
                        try InventoryStore.open(path: path)
                    }
                    return try await thread.run { database in
                        let store = InventoryStore(database, reservationMilliseconds: 60_000)
                        return try (0..<40).map { index in
                            try store.reserve(
                                Sample.order("P\(process)-\(index)", [("grinder", 1)]), message: "m", now: Sample.now)
                        }
                    }
                }
            }
            return try await group.reduce(into: []) { $0 += $1 }
        }
        #expect(try results.count { try $0.published(PaymentProcess.self) != nil } == 30)
        #expect(try results.count { try $0.published(OrderRejected.self) != nil } == 50)
        #expect(try available("grinder") == 0)
    }

    @Test("A stock file fills the stock; one that is no stock is refused with its name")
    func stockFile() async throws {
        let file = directory.file("stock.json")
        try Data(#"{"beans": 40, "filter": 0}"#.utf8).write(to: URL(filePath: file))
        #expect(try InventoryRole.readStock(file) == ["beans": 40, "filter": 0])
        for text in ["", "[]", #"{"beans": 1.5}"#, #"{"beans": -1}"#, #"{"": 1}"#] {
            try Data(text.utf8).write(to: URL(filePath: file))
            let error = #expect(throws: StockFileError.self) { try InventoryRole.readStock(file) }
            #expect(error?.description.contains(file) == true)
        }
        #expect(throws: StockFileError.self) { try InventoryRole.readStock(directory.file("none")) }
        var configuration = InventoryConfiguration(databasePath: directory.file("inventory.sqlite"))
        let role = try await InventoryRole.make(configuration: configuration)
        #expect(
            role.subscriptions.map(\.description) == [
                "order.created@inventory", "payment.completed@inventory", "payment.failed@inventory",
            ])
        configuration.stockFile = file
        await #expect(throws: StockFileError.self) { try await InventoryRole.make(configuration: configuration) }
    }
}
