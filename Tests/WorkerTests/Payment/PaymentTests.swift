import BrokerProtocol
import Foundation
import Testing
import Workers

@Suite struct PaymentTests {
    private let directory: ScratchDirectory
    private let ledger: TestLedgerProvider

    init() async throws {
        directory = try ScratchDirectory()
        ledger = try await Self.ledger(directory.path)
    }

    private static func ledger(_ path: String) async throws -> TestLedgerProvider {
        try await TestLedgerProvider(path: path + "/ledger.sqlite") { Sample.now }
    }

    private static func cashier(
        _ path: String, _ provider: any PaymentProvider, now: WallTime = Sample.now
    ) async throws -> Cashier {
        try await Cashier(databasePath: path + "/payment.sqlite", provider: provider) { now }
    }

    private func cashier(_ provider: (any PaymentProvider)? = nil, now: WallTime = Sample.now) async throws -> Cashier {
        try await Self.cashier(directory.path, provider ?? ledger, now: now)
    }

    private static func payment(_ id: String, _ token: String, beans: Int = 2) -> PaymentProcess {
        Sample.payment(Sample.order(id, [("beans", beans)], token: token))
    }

    private static let attempt = Sample.attempt(PaymentProcess.topic)

    @Test("A card that works is charged, and the charge is published")
    func succeeds() async throws {
        let outcome = try await cashier().pay(Self.payment("A", "tok_ok"), Self.attempt)
        let completed = try outcome.published(PaymentCompleted.self)
        #expect(completed?.chargeID == "ch_test_1")
        #expect(completed?.amount == 500)
        #expect(completed?.customer == Sample.customer)
        #expect(try completed?.validate() != nil)
        #expect(try await ledger.charges().map(\.amount) == [500])
    }

    @Test(
        "A card that does not work is declined, again and again, and nothing is charged",
        arguments: [("tok_declined", "card_declined"), ("tok_nonsense", "token_unknown")])
    func declined(_ token: String, _ code: String) async throws {
        let cashier = try await cashier()
        let outcome = try await cashier.pay(Self.payment("A", token), Self.attempt)
        #expect(try outcome.published(PaymentFailed.self)?.code == code)
        #expect(try await cashier.pay(Self.payment("A", token), Self.attempt) == outcome)
        #expect(try await ledger.charges().isEmpty)
    }

    @Test("A rate limit waits without an attempt, then the card is charged")
    func rateLimited() async throws {
        let cashier = try await cashier()
        let payment = Self.payment("A", "tok_rate_limited")
        #expect(try await cashier.pay(payment, Self.attempt) == .snooze(for: .seconds(1)))
        #expect(try await ledger.charges().isEmpty)
        #expect(try await cashier.pay(payment, Self.attempt).published(PaymentCompleted.self) != nil)
        #expect(try await ledger.charges().count == 1)
    }

    @Test("A lost answer is retried and found, without a second charge")
    func timeout() async throws {
        let cashier = try await cashier()
        let payment = Self.payment("A", "tok_timeout")
        await #expect(throws: PaymentProviderError.timedOut) { try await cashier.pay(payment, Self.attempt) }
        #expect(try await ledger.charges().count == 1)
        #expect(try await cashier.pay(payment, Self.attempt).published(PaymentCompleted.self)?.chargeID == "ch_test_1")
        #expect(try await ledger.charges().count == 1)
        let worker = OrderWorker { (event: PaymentProcess, attempt) in try await cashier.pay(event, attempt) }
        #expect(worker.verdict(for: PaymentProviderError.timedOut, Self.attempt) == .fail)
    }

    @Test("A provider that is down pauses the queue, longer each time, and then fails the payment; it is charged once")
    func outage() async throws {
        let down = FaultyProvider(
            provider: ledger, after: { () throws(PaymentProviderError) in throw .unavailable(reason: "no route") })
        let payment = Self.payment("A", "tok_ok")
        func attempt(_ deliveries: UInt32) -> Attempt {
            Attempt(
                id: Self.attempt.id, subscription: Self.attempt.subscription, number: 1, deliveries: deliveries)
        }
        let cashier = try await cashier(down)
        for (deliveries, seconds) in [(1, 5), (2, 10), (3, 20), (6, 160), (7, 300), (8, 300)] {
            #expect(
                try await cashier.pay(payment, attempt(UInt32(deliveries)))
                    == .pauseQueue(
                        for: .seconds(seconds), because: "the payment provider is not available: no route"))
        }
        await #expect(throws: PaymentProviderError.unavailable(reason: "no route")) {
            try await cashier.pay(payment, attempt(9))
        }
        let paid = try await self.cashier().pay(payment, attempt(10))
        #expect(try paid.published(PaymentCompleted.self) != nil)
        #expect(try await ledger.charges().count == 1)
    }

    @Test("A provider that answers other payments fails the one payment, and pauses nothing") func outageOfOne()
        async throws
    {
        let failing = Recorder<Void>()
        let provider = FaultyProvider(
            provider: ledger,
            before: { () throws(PaymentProviderError) in
                if !failing.values.isEmpty { throw .unavailable(reason: "500") }
            })
        let clock = Recorder<WallTime>()
        clock.add(Sample.now)
        let cashier = try await Cashier(databasePath: directory.path + "/payment.sqlite", provider: provider) {
            clock.values.last ?? Sample.now
        }
        _ = try await cashier.pay(Self.payment("A", "tok_ok"), Self.attempt)
        failing.add(())
        await #expect(throws: PaymentProviderError.unavailable(reason: "500")) {
            try await cashier.pay(Self.payment("B", "tok_ok"), Self.attempt)
        }
        clock.add(Sample.now.adding(milliseconds: 10_000))
        let outcome = try await cashier.pay(Self.payment("B", "tok_ok"), Self.attempt)
        #expect(
            outcome == .pauseQueue(for: .seconds(5), because: "the payment provider is not available: 500"))
        #expect(try await ledger.charges().map(\.orderID) == ["A"])
    }

    @Test("A known key with another charge is refused by the ledger and charges nothing")
    func keyReused() async throws {
        let charge = Charge(orderID: "A", amount: 500, currency: "EUR", token: "tok_ok")
        _ = try await ledger.charge(charge, key: "k")
        for change: (inout Charge) -> Void in [
            { $0.amount = 501 }, { $0.currency = "USD" }, { $0.orderID = "B" }, { $0.token = "tok_declined" },
        ] {
            var other = charge
            change(&other)
            let changed = other
            await #expect(throws: PaymentProviderError.keyReused) { try await ledger.charge(changed, key: "k") }
        }
        #expect(try await ledger.charges().count == 1)
        let reusing = FaultyProvider(provider: ledger, before: { () throws(PaymentProviderError) in throw .keyReused })
        #expect(try await cashier(reusing).pay(Self.payment("C", "tok_ok"), Self.attempt).deadReason != nil)
    }

    @Test("A second payment of an order with another amount or token is dead and charges nothing")
    func otherCharge() async throws {
        let cashier = try await cashier()
        _ = try await cashier.pay(Self.payment("A", "tok_ok"), Self.attempt)
        for other in [Self.payment("A", "tok_ok", beans: 3), Self.payment("A", "tok_timeout")] {
            let reason = try await cashier.pay(other, Self.attempt).deadReason
            #expect(reason == "order_id: the payment of order A began with another token or amount, 5.00 EUR")
        }
        #expect(try await ledger.charges().count == 1)
    }

    @Test("An unclear charge that is older than the provider's memory is never charged again")
    func keyForgotten() async throws {
        let dying = FaultyProvider(
            provider: ledger, keyLifetime: .seconds(86_400),
            after: { () throws(PaymentProviderError) in throw .timedOut }
        )
        let payment = Self.payment("A", "tok_ok")
        await #expect(throws: PaymentProviderError.timedOut) { try await cashier(dying).pay(payment, Self.attempt) }
        let forgetful = FaultyProvider(
            provider: ledger, keyLifetime: .seconds(86_400),
            before: { () throws(PaymentProviderError) in Issue.record("the provider was asked") })
        let later = try await cashier(forgetful, now: Sample.now.adding(milliseconds: 86_400_000))
        let reason = try await later.pay(payment, Self.attempt).deadReason
        #expect(reason?.contains("look for charge:A:500:EUR there before anybody charges again") == true)
    }

    /// Where a process may die on the way of one attempt.
    private enum Death: String, CaseIterable {
        case beforeTheCall, afterTheCharge, beforeTheAcknowledgement
    }

    @Test("A failure at any step, in any order, followed by redeliveries, charges once")
    func everyFailure() async throws {
        var orderCount = 0
        for token in ["tok_ok", "tok_rate_limited", "tok_timeout"] {
            for first in Death.allCases {
                for second in Death.allCases {
                    orderCount += 1
                    let payment = Self.payment("\(token)-\(first)-\(second)", token)
                    for death in [first, second] {
                        let cashier = try await cashier(provider(dying: death))
                        _ = try? await cashier.pay(payment, Self.attempt)
                    }
                    var outcome = try? await cashier().pay(payment, Self.attempt)
                    for _ in 0..<2 where try outcome?.published(PaymentCompleted.self) == nil {
                        outcome = try? await cashier().pay(payment, Self.attempt)
                    }
                    #expect(try outcome?.published(PaymentCompleted.self) != nil, "\(payment.orderID)")
                    #expect(try await cashier().pay(payment, Self.attempt) == outcome)
                }
            }
        }
        let orders = try await ledger.charges().map(\.orderID)
        #expect(orders.count == orderCount)
        #expect(Set(orders).count == orderCount)
    }

    private func provider(dying death: Death) -> FaultyProvider {
        let fails: @Sendable () throws(PaymentProviderError) -> Void = { () throws(PaymentProviderError) in
            throw .unavailable(reason: "died")
        }
        return switch death {
        case .beforeTheCall: FaultyProvider(provider: ledger, before: fails)
        case .afterTheCharge: FaultyProvider(provider: ledger, after: fails)
        case .beforeTheAcknowledgement: FaultyProvider(provider: ledger)
        }
    }

    @Test("A process that is killed between the charge and its record charges once")
    func killedAfterTheCharge() async throws {
        await #expect(processExitsWith: .signal(SIGKILL)) { [path = directory.path as String] in
            let dying = FaultyProvider(provider: try await Self.ledger(path), after: { kill(getpid(), SIGKILL) })
            _ = try await Self.cashier(path, dying).pay(Self.payment("A", "tok_ok"), Self.attempt)
        }
        #expect(try await ledger.charges().count == 1)
        let outcome = try await cashier().pay(Self.payment("A", "tok_ok"), Self.attempt)
        #expect(try outcome.published(PaymentCompleted.self)?.chargeID == "ch_test_1")
        #expect(try await ledger.charges().count == 1)
    }

    @Test("A process that is killed before the charge leaves an intent with the key that the next one uses")
    func killedBeforeTheCharge() async throws {
        await #expect(processExitsWith: .signal(SIGKILL)) { [path = directory.path as String] in
            let dying = FaultyProvider(provider: try await Self.ledger(path), before: { kill(getpid(), SIGKILL) })
            _ = try await Self.cashier(path, dying).pay(Self.payment("A", "tok_ok"), Self.attempt)
        }
        #expect(try await ledger.charges().isEmpty)
        let database = try PaymentStore.open(path: directory.file("payment.sqlite"))
        let charge = Charge(orderID: "A", amount: 500, currency: "EUR", token: "tok_ok")
        #expect(
            try PaymentStore(database).begin(charge, message: "m", now: Sample.now)
                == .unclear(key: "charge:A:500:EUR", since: Sample.now))
        let outcome = try await cashier().pay(Self.payment("A", "tok_ok"), Self.attempt)
        #expect(try outcome.published(PaymentCompleted.self) != nil)
        #expect(try await ledger.charges().count == 1)
    }

    @Test("Two processes with the same orders at the same time charge each once and publish the same")
    func twoProcesses() async throws {
        let path = directory.path
        let tokens = ["tok_ok", "tok_timeout", "tok_rate_limited", "tok_ok"]
        let results = try await withThrowingTaskGroup(of: [Outcome].self) { group in
            for _ in 0..<2 {
                group.addTask {
                    let cashier = try await Self.cashier(path, try await Self.ledger(path))
                    var outcomes: [Outcome] = []
                    for index in 0..<40 {
                        let payment = Self.payment("O\(index)", tokens[index % tokens.count])
                        var outcome: Outcome?
                        for _ in 0..<10 where try outcome?.published(PaymentCompleted.self) == nil {
                            outcome = try? await cashier.pay(payment, Self.attempt)
                        }
                        outcomes.append(try #require(outcome))
                    }
                    return outcomes
                }
            }
            return try await group.reduce(into: []) { $0.append($1) }
        }
        #expect(results[0] == results[1])
        let orders = try await ledger.charges().map(\.orderID)
        #expect(orders.count == 40)
        #expect(Set(orders).count == 40)
    }

    @Test("The role takes payment.process")
    func role() async throws {
        let configuration = PaymentConfiguration(
            databasePath: directory.file("payment.sqlite"), testLedgerPath: directory.file("ledger.sqlite"))
        let role = try await PaymentRole.make(configuration: configuration)
        #expect(role.subscriptions.map(\.description) == ["payment.process@payment"])
    }
}
