import BrokerClient
import BrokerProtocol
import Glibc
import LinuxIO
import TestSupport
import Testing

extension ProcessTests {
    /// P7 of docs/SEMANTICS.md on a real file system that is full.
    @Suite("Full disk", .serialized, .enabled(if: SmallDisk.isPossible, SmallDisk.reason))
    struct FullDiskTests {
        private let topic = TopicName("order.created")!
        private let queue = SubscriptionName("order.created")!
        private let idle = SubscriptionName("idle")!

        /// Publishes until the broker refuses.
        /// - Returns: How many it took.
        private func fill(_ client: BrokerClient, bytes: Int, batch: Int) async throws -> Int {
            try await client.administer(.subscriptionCreate(idle, .beginning))
            let messages = Array(
                repeating: OutgoingMessage(topic: topic, body: [UInt8](repeating: 1, count: bytes)), count: batch)
            var count = 0
            while true {
                for result in try await client.publish(messages) {
                    switch result {
                    case .success: count += 1
                    case .failure(let error):
                        #expect(error.code == .diskFull)
                        return count
                    }
                }
            }
        }

        /// Settles every message, one request each, until none is left.
        private func drain(_ client: BrokerClient, _ verdict: (Int) -> Verdict = { _ in .ack }) async throws -> Int {
            var count = 0
            while let delivery = try await client.pop([queue], timeoutMilliseconds: 0) {
                try await client.settle(delivery.lease, verdict(count))
                count += 1
            }
            return count
        }

        /// A publish is taken again as soon as the daemon has seen the space; it looks once a second.
        private func publishAgain(_ client: BrokerClient, bytes: Int) async throws {
            let deadline = Clocks.monotonicMilliseconds() + Late.milliseconds
            while Clocks.monotonicMilliseconds() < deadline {
                let message = OutgoingMessage(topic: topic, body: [UInt8](repeating: 1, count: bytes))
                guard case .failure(let error) = try await client.publish([message])[0] else { return }
                #expect(error.code == .diskFull)
                // A wait in the broker, not here.
                _ = try await client.pop([idle], timeoutMilliseconds: 50)
            }
            throw Late("space for a publish")
        }

        @Test(
            "Publishes are refused, settles go on to the last message, then publishes work again without a restart",
            arguments: [(60_000, 1), (300, 100)])
        func full(bytes: Int, batch: Int) async throws {
            let house = try ServiceHouse()
            let disk = try SmallDisk(at: house.path, mebibytes: 10)
            try house.configure("[defaults]\nlease = 10m")
            let service = try await house.start()
            let client = try await service.connect()
            let count = try await fill(client, bytes: bytes, batch: batch)
            #expect(count > 50)
            #expect(try await drain(client) == count)
            try await publishAgain(client, bytes: bytes)
            #expect(try await fill(client, bytes: bytes, batch: batch) > count / 2)
            #expect(try await client.status().messages > 0)
            await client.close()
            #expect(try await service.stop() == .exited(0))
            withExtendedLifetime(disk) {}
        }

        @Test("A broker that is killed on a full disk starts on it, and settles go on")
        func restart() async throws {
            let house = try ServiceHouse()
            let disk = try SmallDisk(at: house.path, mebibytes: 10)
            try house.configure("[defaults]\nlease = 10m")
            var service = try await house.start()
            let count = try await fill(try await service.connect(), bytes: 60_000, batch: 1)
            try await service.kill()
            service = try await house.start()
            let client = try await service.connect()
            let refusal = await #expect(throws: BrokerError.self) {
                try await client.publish(OutgoingMessage(topic: topic, body: [UInt8](repeating: 1, count: 100_000)))
            }
            #expect(refusal?.code == .diskFull)
            #expect(try await drain(client) == count)
            try await publishAgain(client, bytes: 60_000)
            await client.close()
            #expect(try await service.stop() == .exited(0))
            withExtendedLifetime(disk) {}
        }

        @Test("Space that somebody else makes ends the refusals")
        func grown() async throws {
            let house = try ServiceHouse()
            let disk = try SmallDisk(at: house.path, mebibytes: 8)
            try house.configure("")
            let service = try await house.start()
            let client = try await service.connect()
            let count = try await fill(client, bytes: 60_000, batch: 1)
            try disk.grow(toMebibytes: 32)
            try await publishAgain(client, bytes: 60_000)
            #expect(try await fill(client, bytes: 60_000, batch: 1) > count)
            #expect(try await service.stop() == .exited(0))
            withExtendedLifetime(disk) {}
        }

        @Test("Failures with long errors cannot use up the space of the acks")
        func failures() async throws {
            let house = try ServiceHouse()
            let disk = try SmallDisk(at: house.path, mebibytes: 10)
            try house.configure("[defaults]\nlease = 10m\nattempts_max = 1000\nbackoff_base = 0s\nbackoff_cap = 0s")
            let service = try await house.start()
            let client = try await service.connect()
            let count = try await fill(client, bytes: 1_000, batch: 100)
            // Each failure is a record of 1 KiB: far more than there is room for.
            let text = String(repeating: "x", count: 1_024)
            var refused = 0
            for _ in 0..<40 {
                var settlements: [Settlement] = []
                while settlements.count < 200, let delivery = try await client.pop([queue], timeoutMilliseconds: 0) {
                    settlements.append(Settlement(delivery.lease, .fail(error: text)))
                }
                let results = try await client.settle(settlements)
                refused += results.count { $0 != nil }
                let again = zip(settlements, results).filter { $0.1 != nil }.map { Settlement($0.0.lease, .ack) }
                if !again.isEmpty {
                    #expect(try await client.settle(again).allSatisfy { $0 == nil })
                    break
                }
            }
            _ = try await drain(client)
            #expect(try await client.status().messages == 0, "of \(count), \(refused) failures were refused")
            #expect(refused > 0)
            try await publishAgain(client, bytes: 1_000)
            await client.close()
            #expect(try await service.stop() == .exited(0))
            withExtendedLifetime(disk) {}
        }
    }
}
