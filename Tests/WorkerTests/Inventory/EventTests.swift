import BrokerProtocol
import Foundation
import Testing
import Workers

@Suite struct EventTests {
    private static let bad: [(String, String, @Sendable (inout OrderCreated) -> Void)] = [
        ("an empty order id", "order_id", { $0.orderID = "" }),
        ("an order id with a space", "order_id", { $0.orderID = "A 1" }),
        ("an order id of 65 bytes", "order_id", { $0.orderID = String(repeating: "x", count: 65) }),
        ("a name with a line break", "customer.name", { $0.customer.name = "A\r\nBcc: all@example.org" }),
        ("a name with a line separator", "customer.name", { $0.customer.name = "A\u{2028}B" }),
        ("an empty name", "customer.name", { $0.customer.name = "" }),
        ("an address without @", "customer.email", { $0.customer.email = "zoe.example.org" }),
        ("two addresses", "customer.email", { $0.customer.email = "a@example.org,b@example.org" }),
        ("an address with two @", "customer.email", { $0.customer.email = "a@b@example.org" }),
        ("an address with a line break", "customer.email", { $0.customer.email = "a@example.org\r\nBcc: b" }),
        ("an address with an empty label", "customer.email", { $0.customer.email = "a@example..org" }),
        ("no items", "items", { $0.items = [] }),
        ("a quantity of 0", "items[0].quantity", { $0.items[0].quantity = 0 }),
        ("a negative quantity", "items[1].quantity", { $0.items[1].quantity = -1 }),
        ("a negative price", "items[0].unit_price", { $0.items[0].unitPrice = -1 }),
        ("a price that overflows", "items[0].unit_price", { $0.items[0].unitPrice = .max }),
        ("an empty SKU", "items[1].sku", { $0.items[1].sku = "" }),
        ("a total that is no sum", "total", { $0.total += 1 }),
        (
            "a sum that overflows", "total",
            { order in
                order.items[0].quantity = 1
                order.items[0].unitPrice = .max
            }
        ),
        (
            "nothing to pay", "total",
            { order in
                order.items = [OrderItem(sku: "a", name: "A", quantity: 1, unitPrice: 0)]
                order.total = 0
            }
        ),
        ("a currency in small letters", "currency", { $0.currency = "eur" }),
        ("a currency of 4 letters", "currency", { $0.currency = "EURO" }),
        ("an empty token", "payment_token", { $0.paymentToken = "" }),
    ]

    @Test("An order that breaks a rule is dead, and the reason names the field")
    func brokenRules() async throws {
        let worker = OrderWorker { (_: OrderCreated, _) in .done }
        let good = Sample.order("A-1", [("beans", 2), ("filter", 1)])
        #expect(try await worker.handle(good, Sample.attempt(OrderCreated.topic)) == .done)
        for (what, field, change) in Self.bad {
            var order = good
            change(&order)
            let reason = try await worker.handle(order, Sample.attempt(OrderCreated.topic)).deadReason
            #expect(reason?.hasPrefix("invalid order.created: \(field): ") == true, "\(what): \(reason ?? "-")")
        }
    }

    @Test("A busy database and a full disk do not cost the event an attempt, other errors do")
    func verdicts() {
        let worker = OrderWorker { (_: OrderCreated, _) in .done }
        let attempt = Sample.attempt(OrderCreated.topic)
        let busy = SQLiteError(code: 5, message: "database is locked", subject: "BEGIN")
        #expect(worker.verdict(for: busy, attempt) == .snooze(for: .seconds(1)))
        let full = SQLiteError(code: 13, message: "database or disk is full", subject: "COMMIT")
        #expect(worker.verdict(for: full, attempt) == .snooze(for: .seconds(10)))
        #expect(worker.verdict(for: InventoryError.reservationUnknown(order: "A"), attempt) == .fail)
        #expect(worker.verdict(for: CancellationError(), attempt) == .release)
    }

    @Test("Every example in the documentation is an event that the workers accept")
    func documentation() throws {
        let root = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../..")
        let page = try String(contentsOf: root.appending(path: "docs/EVENTS.md"), encoding: .utf8)
        var topics: [String] = []
        for block in page.components(separatedBy: "```json ").dropFirst() {
            let lines = block.components(separatedBy: "```")[0].split(separator: "\n", maxSplits: 1)
            topics.append(String(lines[0]))
            try check(Data(lines[1].utf8), topics.last ?? "")
        }
        #expect(
            topics.sorted() == [
                "order.created", "order.paid", "order.rejected", "payment.completed", "payment.failed",
                "payment.process",
            ])
    }

    private func check(_ body: Data, _ topic: String) throws {
        func check<E: OrderEvent>(_ type: E.Type) throws { try JSONDecoder().decode(type, from: body).validate() }
        switch topic {
        case "order.created": try check(OrderCreated.self)
        case "order.rejected": try check(OrderRejected.self)
        case "order.paid": try check(OrderPaid.self)
        case "payment.process": try check(PaymentProcess.self)
        case "payment.completed": try check(PaymentCompleted.self)
        case "payment.failed": try check(PaymentFailed.self)
        default: Issue.record("the page has an example for \(topic)")
        }
    }

    @Test(
        "A time is read with any offset and written in UTC",
        arguments: [
            ("2025-03-01T09:30:00Z", "2025-03-01T09:30:00Z", 1_740_821_400_000),
            ("2025-03-01T10:30:00+01:00", "2025-03-01T09:30:00Z", 1_740_821_400_000),
            ("1969-12-31T23:59:59.500Z", "1969-12-31T23:59:59.500Z", -500),
            ("2024-02-29t00:00:00.123456z", "2024-02-29T00:00:00.123Z", 1_709_164_800_123),
            ("2016-12-31T23:59:60Z", "2016-12-31T23:59:59Z", 1_483_228_799_000),
            ("9999-12-31T23:59:59Z", "9999-12-31T23:59:59Z", 253_402_300_799_000),
            ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z", -62_135_596_800_000),
        ])
    func times(_ text: String, _ written: String, _ milliseconds: Int64) {
        let time = EventTime(text)
        #expect(time?.wall.milliseconds == milliseconds)
        #expect(time?.description == written)
    }

    @Test(
        "What is no time of RFC 3339 is refused",
        arguments: [
            "", "2025-03-01", "2025-02-29T00:00:00Z", "2025-13-01T00:00:00Z", "2025-03-01T24:00:00Z",
            "2025-03-01T09:30:00", "2025-03-01 09:30:00Z", "2025-03-01T09:30:00.Z", "2025-03-01T09:30:00Zx",
            "2025-03-01T09:30:00+1:00", "２025-03-01T09:30:00Z",
        ])
    func badTimes(_ text: String) { #expect(EventTime(text) == nil) }

    @Test("The calendar agrees with Foundation over 400 years and before 1970")
    func calendar() {
        var utc = Calendar(identifier: .gregorian)
        utc.timeZone = .gmt
        for day in stride(from: -120_000, through: 60_000, by: 37) {
            let milliseconds = Int64(day) * 86_400_000 + 47_211_000
            let mine = CalendarTime(WallTime(milliseconds: milliseconds))
            let parts = utc.dateComponents(
                [.year, .month, .day, .weekday, .hour, .minute, .second],
                from: Date(timeIntervalSince1970: Double(milliseconds / 1000)))
            #expect(
                [mine.year, mine.month, mine.day, mine.weekday + 1, mine.hour, mine.minute, mine.second]
                    == [
                        parts.year, parts.month, parts.day, parts.weekday, parts.hour, parts.minute, parts.second,
                    ])
        }
    }

    @Test(
        "Amounts are written with their currency's minor unit",
        arguments: [
            (1250, "EUR", "12.50 EUR"), (5, "EUR", "0.05 EUR"), (0, "USD", "0.00 USD"), (980, "JPY", "980 JPY"),
            (1500, "KWD", "1.500 KWD"), (7, "KWD", "0.007 KWD"), (-199, "EUR", "-1.99 EUR"),
            (Int.min, "EUR", "-92233720368547758.08 EUR"),
        ])
    func money(_ amount: Int, _ currency: String, _ text: String) { #expect(Money.text(amount, currency) == text) }
}
