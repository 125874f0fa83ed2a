import BrokerProtocol
import LinuxIO
import TestSupport
import Testing
import Workers

extension ProcessTests {
    /// Stops and kills in the middle of the work: nothing is lost, nothing is done twice.
    @Suite("Under load", .serialized)
    struct LoadTests {
        private static let slots = "slots = 4\nprefetch = 12\ndrain_timeout = 20s"

        /// Mails for two templates, without the other roles.
        private func publishMailOnly(_ book: OrderBook, _ client: some MessageBroker) async throws -> [String] {
            try await book.publish(to: client)
            let paid = try book.orders.map { try Publication(ofOrder: Sample.paid($0)).message }
            try await OrderBook.publish(paid, to: client)
            let ids = book.orders.map(\.orderID)
            return (book.mails(.orderReceived, ids) + book.mails(.orderPaid, ids)).sorted()
        }

        @Test("SIGTERM: what runs finishes, what waits is given back without an attempt, another instance goes on")
        func terminate() async throws {
            let house = try WorkerHouse(Self.slots)
            let broker = try await house.startBroker()
            let first = try await house.startWorker("email-1")
            let expected = try await publishMailOnly(OrderBook(count: 150), try await house.connect())
            try await first.outcomes(40)
            let stoppedAt = Clocks.monotonicMilliseconds()
            #expect(try await first.stop() == .exited(0))
            #expect(Clocks.monotonicMilliseconds() - stoppedAt < 20_000)

            let said = try await first.manager.all()
            let stopping = try #require(said.firstIndex { $0["STOPPING"] == "1" })
            #expect(!said[..<stopping].contains { $0.text.contains("STATUS=draining") })
            #expect(!said[stopping...].contains { $0.text.contains("READY=1") })
            #expect(said[stopping...].contains { $0["EXTEND_TIMEOUT_USEC"] != nil })

            let log = first.log
            let drain = try #require(log.firstIndex { $0.message.hasPrefix("email-1 drains, ") })
            #expect(!log[drain...].contains { $0.isStart })
            #expect(log[drain...].contains { $0.outcome == "done" } || log[drain].message.contains("drains, 0"))
            #expect(log[drain...].contains { $0.outcome == "released" })
            #expect(!log.contains { $0.message.contains("cancels") || $0.message.contains("dropped") })
            #expect(log.last?.message == "email-1 is drained")
            #expect(try house.mails().count == log.count { $0.outcome == "done" })

            let second = try await house.startWorker("email-2")
            try await house.waitUntilIdle(broker)
            #expect(try house.mails() == expected)
            // Each event was started once, as its first attempt: what was given back cost none.
            let starts = (log + second.log).filter(\.isStart)
            #expect(starts.allSatisfy { $0.attempt == "1" })
            #expect(Set(starts.map(\.delivery)).count == expected.count && starts.count == expected.count)
            #expect(try await second.stop() == .exited(0))
            #expect(try await broker.stop() == .exited(0))
        }

        @Test("A second SIGTERM cancels; a handler that finishes all the same still counts")
        func terminateTwice() async throws {
            let house = try WorkerHouse("drain_timeout = 1h")
            let broker = try await house.startBroker()
            let worker = try await house.startWorker("email-1")
            // Somebody else has the mails' database, so that a handler cannot go on.
            let hold = Monitor((isLocked: false, isOver: false))
            let database = house.path("state/email.sqlite")
            async let holder: Void = blocking {
                try Database(path: database).transaction {
                    hold.update { $0.isLocked = true }
                    _ = hold.wait(milliseconds: Late.milliseconds) { $0.isOver ? true : nil }
                }
            }
            try await blocking { _ = hold.wait(milliseconds: Late.milliseconds) { $0.isLocked ? true : nil } }
            let book = OrderBook(count: 1)
            try await book.publish(to: try await house.connect())
            try await worker.child.line(with: "attempt 1 starts")
            worker.child.send(15)
            try await worker.child.line(with: "email-1 drains, 1 handlers run")
            #expect(worker.child.ending == nil)
            worker.child.send(15)
            try await worker.child.line(with: "email-1 cancels 1 handlers")
            hold.update { $0.isOver = true }
            try await holder
            #expect(try await worker.child.end() == .exited(0))
            #expect(try house.mails() == book.mails(.orderReceived, ["O-0"]))
            try await house.waitUntilIdle(broker)
            #expect(try await broker.stop() == .exited(0))
        }

        @Test("kill -9 of every worker: all comes again, no mail and no charge is double")
        func kill() async throws {
            let house = try WorkerHouse(Self.slots)
            let broker = try await house.startBroker()
            let names = ["inventory-1", "payment-1", "email-1"]
            var workers: [DaemonProcess] = []
            for name in names { workers.append(try await house.startWorker(name)) }
            let book = OrderBook(count: 90)
            try await book.publish(to: try await house.connect())
            for (worker, count) in zip(workers, [30, 12, 30]) {
                try await worker.outcomes(count)
                try await worker.kill()
            }
            workers = []
            for name in names { workers.append(try await house.startWorker(name)) }
            try await house.waitUntilIdle(broker)
            #expect(workers.contains { $0.log.contains { $0.isStart && $0.attempt == "2" } })
            #expect(try house.mails() == book.mails)
            #expect(try await house.chargedOrders() == book.paid)
            #expect(try house.beans() == Int64(1000 - book.paid.count))
            for worker in workers { #expect(try await worker.stop() == .exited(0)) }
            #expect(try await broker.stop() == .exited(0))
        }

        @Test("A broker that is killed and comes back: the worker says so, connects again and goes on")
        func brokerRestart() async throws {
            let house = try WorkerHouse(Self.slots)
            var broker = try await house.startBroker()
            let worker = try await house.startWorker("email-1")
            let expected = try await publishMailOnly(OrderBook(count: 60), try await house.connect())
            try await worker.outcomes(30)
            let count = worker.manager.messages.count
            try await broker.kill()
            try await worker.manager.message(with: "STATUS=broker gone, reconnecting, 1st try", from: count)
            let gone = worker.manager.messages.count
            broker = try await house.startBroker()
            try await worker.child.line(with: "email-1 has the broker back")
            try await worker.manager.message(with: "of 4 slots busy", from: gone)
            try await house.waitUntilIdle(broker)
            #expect(try house.mails() == expected)
            #expect(worker.manager.messages.count { $0.text.contains("READY=1") } == 1)
            #expect(try await worker.stop() == .exited(0))
            #expect(try await broker.stop() == .exited(0))
        }
    }
}
