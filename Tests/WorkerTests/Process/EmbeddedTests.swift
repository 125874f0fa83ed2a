import Broker
import BrokerProtocol
import TestSupport
import Testing

extension ProcessTests {
    @Suite("Broker and workers in one process", .serialized)
    struct EmbeddedTests {
        @Test("Three instances run the whole order flow, and go on after a stop and after kill -9")
        func flow() async throws {
            let house = try WorkerHouse("slots = 4")
            let data = house.path("data")
            let book = OrderBook(count: 30)
            // It has no listener: what it works on is in its log before.
            let shop = try await Broker.start(BrokerConfiguration(dataDirectory: data))
            try await book.publish(to: try shop.connect(instance: "shop"))
            await shop.stop()

            let arguments = ["--embedded", data]
            let names = "email-1,payment-1,inventory-1"
            let first = try await house.startWorker(names, arguments)
            try await first.outcomes(5, of: "@email")
            try await first.manager.message(with: "email-1: ")
            #expect(try await first.stop() == .exited(0))
            for name in names.split(separator: ",") { #expect(first.child.text.contains("\(name) is drained")) }
            func done(_ subscription: String) -> Int {
                first.log.count { $0.outcome == "done" && $0.delivery.contains(subscription) }
            }

            let second = try await house.startWorker(names, arguments)
            try await second.outcomes(book.mails.count - done("@email"), of: "@email")
            let givenBack = book.orders.count / 6 - done("payment.failed@inventory")
            try await second.outcomes(givenBack, of: "payment.failed@inventory")
            try await second.kill()

            let third = try await house.startWorker(names, arguments)
            #expect(try await third.stop() == .exited(0))
            let rest = try await Broker.start(BrokerConfiguration(dataDirectory: data))
            let status = try await rest.connect(instance: "shop").status()
            #expect(status.ready + status.delayed + status.leased + status.dead == 0)
            await rest.stop()
            #expect(try house.mails() == book.mails)
            #expect(try await house.chargedOrders() == book.paid)
        }

        @Test("A data directory that another process has: 74, with what is in the way")
        func locked() async throws {
            let house = try WorkerHouse()
            let broker = try await house.startBroker()
            let worker = try house.spawnWorker("email-1", ["--embedded", house.path("data")])
            #expect(try await worker.child.end() == .exited(74))
            #expect(worker.child.text.contains("the embedded broker cannot start: "))
            #expect(worker.child.text.contains("\(house.path("data"))"))
            #expect(try await broker.stop() == .exited(0))
        }
    }
}
