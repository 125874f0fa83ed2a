import BrokerClient
import BrokerProtocol
import Foundation
import TestSupport
import Testing

extension ProcessTests {
    /// redis-py from PyPI against the daemon. The programs are those of `conformance/clients`.
    @Suite("redis-py", .serialized)
    struct RedisPyTests {
        @Test("The shop's own code publishes orders that native workers get, and hears what they publish")
        func shop() async throws {
            let house = try ServiceHouse()
            let service = try await house.startWithRedis()
            let port = try await service.redisPort()
            let worker = try await service.connect("worker")
            let orders = try await worker.deliveries(
                of: SubscriptionName("order.created@email")!, credit: 10, start: .beginning, leaseMilliseconds: nil)

            let count = 40
            let listener = try ClientProgram.start(
                ClientProgram.redisPy("shop", [port, "listen", "order.paid", "\(count)"]))
            try await listener.line(with: "listening")
            try await ClientProgram.run(ClientProgram.redisPy("shop", [port, "orders", "\(count)"]))

            var seen: [String] = []
            for try await delivery in orders {
                let order = try JSONSerialization.jsonObject(with: Data(delivery.body)) as? [String: Any]
                let id = try #require(order?["order_id"] as? String)
                seen.append(id)
                let paid = OutgoingMessage(
                    topic: TopicName("order.paid")!, body: Array("{\"order_id\": \"\(id)\"}".utf8))
                _ = try await worker.commit(publishing: [paid], settling: [Settlement(delivery.lease, .ack)])
                if seen.count == count { break }
            }
            #expect(seen == (0..<count).map { String(format: "R-%06d", $0) })
            #expect(try await listener.end() == .exited(0))
            #expect(listener.lines.dropFirst() == seen.map { "{\"order_id\": \"\($0)\"}" }[...])
            await worker.close()
            #expect(try await service.stop() == .exited(0))
        }

        @Test(
            "Lists, streams, transactions and leases answer as redis-py expects",
            arguments: ["2", "3"], ["python", "hiredis"])
        func commands(version: String, parser: String) async throws {
            let house = try ServiceHouse("[defaults]\nbackoff_base = 0s\nbackoff_cap = 0s")
            let service = try await house.startWithRedis()
            let port = try await service.redisPort()
            let text = try await ClientProgram.run(ClientProgram.redisPy("redis_py", [port, version, parser]))
            #expect(text == "done")
            #expect(try await service.stop() == .exited(0))
        }

        @Test("Producers and blocked consumers of redis-py go on after a restart and after kill -9")
        func restart() async throws {
            let house = try ServiceHouse()
            var service = try await house.startWithRedis()
            let port = try await service.redisPort()
            let program = try ClientProgram.start(ClientProgram.redisPy("reconnect", [port, "200"]))
            try await program.line(with: "middle")
            #expect(try await service.stop() == .exited(0))
            service = try await house.startWithRedis(port: port)
            try await service.kill()
            service = try await house.startWithRedis(port: port)
            #expect(try await program.end() == .exited(0), "\(program.text)")
            #expect(program.lines.last?.hasPrefix("done, ") == true)
            #expect(try await service.stop() == .exited(0))
        }
    }
}

extension ServiceHouse {
    /// Starts the daemon with a door for Redis clients on loopback.
    func startWithRedis(port: String = "0") async throws -> Service {
        let service = try spawn(arguments: ["--redis-listen", "tcp://127.0.0.1:\(port)"])
        try await service.ready()
        return service
    }
}

extension Service {
    func redisPort() async throws -> String { String(try await tcpURL().split(separator: ":").last ?? "") }
}
