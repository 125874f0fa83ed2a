import BrokerClient
import BrokerProtocol
import Glibc
import LinuxIO
import TestSupport
import Testing

extension ProcessTests {
    @Suite("Reload", .serialized)
    struct ReloadTests {
        private let topic = TopicName("order.created")!

        /// Sends SIGHUP and waits for its end.
        private func reload(_ service: Service) async throws {
            let count = service.manager.messages.count
            service.child.send(SIGHUP)
            try await service.manager.message(with: "RELOADING=1", from: count)
            try await service.manager.message(with: "READY=1", from: count)
        }

        private func publish(_ client: BrokerClient, _ topic: String, bytes: Int = 1) async throws -> BrokerError? {
            let message = OutgoingMessage(topic: TopicName(topic)!, body: [UInt8](repeating: 1, count: bytes))
            if case .failure(let error) = try await client.publish([message])[0] { return error }
            return nil
        }

        @Test("SIGHUP changes limits, topics and subscriptions without a restart")
        func changes() async throws {
            let house = try ServiceHouse("body_max = 10\ntopics_max = 1")
            let service = try await house.start()
            let client = try await service.connect()
            #expect(try await publish(client, "a", bytes: 11)?.code == .bodyTooLarge)
            #expect(try await publish(client, "a") == nil)
            #expect(try await publish(client, "b")?.code == .topicLimit)
            try house.configure(
                """
                body_max = 20
                topics_max = 3
                [topic a]
                messages_max = 1
                [topic order.created]
                attempts_max = 3
                [subscription order.created@email]
                attempts_max = 7
                """)
            try await reload(service)
            #expect(try await publish(client, "order.created", bytes: 11) == nil)
            #expect(try await publish(client, "b") == nil)
            #expect(try await publish(client, "a")?.code == .topicFull)
            let status = try #require(try await client.topics().first { $0.name == topic })
            #expect(status.settings.delivery.attemptsMax == 3)
            #expect(status.subscriptions.map(\.settings?.attemptsMax) == [7])
            // A new connection is told the new limits.
            #expect(try await service.connect().limits.bodyBytesMax == 20)
            #expect(try await service.stop() == .exited(0))
        }

        @Test("A bad file changes nothing; the log names file and line, and READY=1 comes all the same")
        func badFile() async throws {
            let house = try ServiceHouse("body_max = 10")
            let service = try await house.start()
            let client = try await service.connect()
            try house.configure("body_max = 20\n[topic a]\nmessages_max = many")
            try await reload(service)
            let line = try await service.child.line(with: "the configuration was not changed")
            // Two lines before those of the sizes, five of these, then the settings of the test.
            #expect(line.contains("\(house.path)/brokerd.conf:10: "))
            #expect(line.contains("\"level\":\"error\"") && line.contains("c494e33c2f784749a8b52f1f7d6c907d"))
            #expect(try await publish(client, "b", bytes: 11)?.code == .bodyTooLarge)
            #expect(try await client.topics().isEmpty)
            #expect(try await service.stop() == .exited(0))
        }

        @Test(
            "What the state refuses changes nothing either",
            arguments: [
                "topics_max = 2\n[topic a]\nattempts_max = 3\n[topic b]\n[topic c]\nattempts_max = 4",
                "subscriptions_max = 1\n[topic a]\nattempts_max = 3\n[subscription a@x]\nattempts_max = 3\n"
                    + "[subscription a@y]\nattempts_max = 3\n[subscription b@x]\nattempts_max = 3",
            ])
        func refused(settings: String) async throws {
            let house = try ServiceHouse("body_max = 10")
            let service = try await house.start()
            let client = try await service.connect()
            let filled = settings.replacing("[topic b]", with: "[topic b]\nattempts_max = 2")
            try house.configure("body_max = 20\n" + filled)
            try await reload(service)
            try await service.child.line(with: "the configuration was not changed")
            #expect(try await client.topics().isEmpty)
            #expect(try await publish(client, "b", bytes: 11)?.code == .bodyTooLarge)
            #expect(try await service.stop() == .exited(0))
        }

        @Test("The level of the log changes with the file")
        func logLevel() async throws {
            let house = try ServiceHouse("log_level = error")
            let service = try await house.start()
            try house.configure("log_level = info")
            try await reload(service)
            try await service.child.line(with: "the configuration was read again")
            #expect(!service.child.text.contains("ready on"))
            #expect(try await service.stop() == .exited(0))
        }

        @Test("Lines of the log are JSON objects when nobody looks at a terminal")
        func jsonLines() async throws {
            let house = try ServiceHouse()
            let service = try await house.start()
            #expect(try await service.stop() == .exited(0))
            #expect(service.child.lines.count >= 4)
            for line in service.child.lines {
                let object = try #require(JSONLine(line), "no JSON object: \(line)")
                #expect(object.keys.isSuperset(of: ["time", "level", "program", "message"]))
            }
        }
    }
}
