import BrokerProtocol
import LinuxIO
import Testing

extension ProcessTests {
    /// A brokerd process with doors for Redis clients.
    @Suite("Redis doors of the daemon", .serialized)
    struct RedisProcessTests {
        @Test("The door stands where the configuration, the flag, or the socket named redis says")
        func doors() async throws {
            let house = try ServiceHouse()
            try house.configure("redis_listen = unix://\(house.path)/configured.sock")
            let first = try await house.start()
            #expect(try RedisClient("unix://\(house.path)/configured.sock").ask("LPUSH q a") == .integer(1))
            #expect(try await first.stop() == .exited(0))

            let flagged = try house.spawn(arguments: ["--redis-listen", "unix://\(house.path)/flagged.sock"])
            try await flagged.ready()
            #expect(!Directory.exists(house.path + "/configured.sock"))
            #expect(try RedisClient("unix://\(house.path)/flagged.sock").ask("LLEN q") == .integer(1))
            #expect(try await flagged.stop() == .exited(0))

            let door = try ActivationTests.Listener(.unix(path: house.path + "/inherited.sock"))
            let activated = try house.spawn(
                wrapper: ["sh", "-c", "LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=redis exec \"$@\"", "sh"],
                inherited: [door.descriptor.number])
            try await activated.ready()
            #expect(try RedisClient("unix://\(house.path)/inherited.sock").ask("RPOP q") == .bulk("a"))
            #expect(!Directory.exists(house.path + "/configured.sock"))
            // The native door is another matter.
            let native = try await activated.connect()
            #expect(try await native.status().topics == 1)
            await native.close()
            #expect(try await activated.stop() == .exited(0))
        }

        @Test("After kill -9 all that was confirmed is there, and transactions are whole", arguments: 1...5)
        func kill(round: Int) async throws {
            let house = try ServiceHouse()
            try house.configure("redis_listen = unix://\(house.path)/redis.sock")
            let service = try await house.start()
            let client = try RedisClient("unix://\(house.path)/redis.sock")
            let count = 300
            let transaction = ["MULTI", "RPUSH a x", "RPUSH b y", "RPUSH c z", "LPOP c", "EXEC"]
            try client.send(bytes: (0..<count).flatMap { _ in transaction.flatMap { RedisDesk.command($0) } })
            var confirmed = 0
            for _ in 0..<(transaction.count * 37 * round) {
                if case .array? = try client.next() { confirmed += 1 }
            }
            try await service.kill()
            while case let reply? = try client.next() {
                if case .array = reply { confirmed += 1 }
            }
            let again = try await house.start()
            let after = try RedisClient("unix://\(house.path)/redis.sock")
            guard case .integer(let kept)? = try after.ask("LLEN a") else {
                Issue.record("no length")
                return
            }
            #expect((confirmed...count).contains(Int(kept)))
            #expect(try after.ask("LLEN b") == .integer(kept))
            #expect(try after.ask("LLEN c") == .integer(0))
            #expect(try await again.stop() == .exited(0))
        }
    }
}
