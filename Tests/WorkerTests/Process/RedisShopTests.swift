import TestSupport
import Testing

extension ProcessTests {
    /// The shop's old code with redis-py, and the real workers.
    @Suite("A shop with redis-py", .serialized)
    struct RedisShopTests {
        @Test("Orders that redis-py pushes are reserved, paid and mailed; redis-py pops what became of them")
        func flow() async throws {
            let house = try WorkerHouse("slots = 4")
            let broker = try await house.startBroker(arguments: ["--redis-listen", "tcp://127.0.0.1:0"])
            let line = try await broker.child.line(with: "ready on")
            let url = try #require(line.split { " ,\"".contains($0) }.first { $0.hasPrefix("tcp://") })
            let port = String(url.split(separator: ":").last ?? "")
            var workers: [DaemonProcess] = []
            for role in ["inventory-1", "payment-1", "email-1"] { workers.append(try await house.startWorker(role)) }

            let count = 30
            let listener = try ClientProgram.start(
                ClientProgram.redisPy("shop", [port, "listen", "order.paid@shop", "\(count)"]))
            try await listener.line(with: "listening")
            try await ClientProgram.run(ClientProgram.redisPy("shop", [port, "orders", "\(count)"]))
            #expect(try await listener.end() == .exited(0), "\(listener.text)")
            let heard = listener.lines.dropFirst().compactMap { line in
                line.split(separator: "\"").first { $0.hasPrefix("R-") }.map(String.init)
            }
            #expect(Set(heard).count == count && heard.count == count)
            for worker in workers { #expect(try await worker.stop() == .exited(0)) }
            #expect(try await house.chargedOrders() == heard.sorted())
            #expect(try house.beans() == 1000 - 2 * Int64(count))
            #expect(try await broker.stop() == .exited(0))
        }
    }
}
