import BrokerClient
import BrokerProtocol
import Foundation
import TestSupport
import Testing

extension ProcessTests {
    /// The commands that change what a broker does with messages, on a brokerd process.
    @Suite("brokerctl on brokerd", .serialized)
    struct AdministrationTests {
        private let topic = TopicName("orders")!
        private let mail = SubscriptionName("orders@mail")!

        /// A running broker with the subscription orders@mail.
        private struct Desk {
            let house: ServiceHouse
            let service: Service
            let client: BrokerClient

            func run(_ words: String...) async throws -> Brokerctl.Result {
                try await Brokerctl.run(words + ["-b", service.url])
            }

            /// The output of a command that must succeed.
            func say(_ words: String...) async throws -> String {
                let result = try await Brokerctl.run(words + ["-b", service.url])
                #expect(result.code == 0, "\(words): \(result.error)")
                return result.output
            }

            func json(_ words: String..., list: String) async throws -> [[String: Any]] {
                let result = try await Brokerctl.run(words + ["--json", "-b", service.url])
                #expect(result.code == 0, "\(words): \(result.error)")
                let report = try JSONSerialization.jsonObject(with: Data(result.output.utf8)) as? [String: Any]
                return report?[list] as? [[String: Any]] ?? []
            }
        }

        private func desk(_ settings: String...) async throws -> Desk {
            let house = try ServiceHouse()
            let service = try await house.start()
            let desk = Desk(house: house, service: service, client: try await service.connect("mail-1"))
            _ = try await Brokerctl.run(["topic", "create", "orders"] + settings + ["-b", service.url])
            _ = try await desk.say("subscription", "create", "orders@mail")
            return desk
        }

        private func publish(_ desk: Desk, _ bodies: String..., key: String? = nil) async throws -> [MessageID] {
            let messages = bodies.map { body in
                var message = OutgoingMessage(topic: topic, body: Array(body.utf8), headers: [Header("name", body)])
                message.orderingKey = key
                return message
            }
            return try await desk.client.publish(messages).map { try $0.get().id }
        }

        @Test("A schedule is set, listed, paused, resumed and deleted") func schedules() async throws {
            let desk = try await desk()
            #expect(
                try await desk.say(
                    "schedule", "set", "nightly", "orders", "30 2 * * *", "--zone", "Europe/Berlin", "--body", "go",
                    "--header", "a=b", "--missed", "latest") == "set schedule nightly\n")
            let listed = try #require(try await desk.json("schedule", "list", list: "schedules").first)
            #expect(listed["cron"] as? String == "30 2 * * *" && listed["zone"] as? String == "Europe/Berlin")
            #expect(listed["next"] != nil && listed["paused"] as? Bool == false)
            #expect(try await desk.say("schedule", "pause", "nightly") == "paused schedule nightly\n")
            #expect(try await desk.json("schedule", "list", list: "schedules").first?["paused"] as? Bool == true)
            #expect(try await desk.say("schedule", "resume", "nightly") == "resumed schedule nightly\n")
            #expect(try await desk.say("schedule", "delete", "nightly") == "deleted schedule nightly\n")
            #expect(try await desk.json("schedule", "list", list: "schedules").isEmpty)
            #expect(try await desk.run("schedule", "delete", "nightly").code == 65)
            let wrong = try await desk.run("schedule", "set", "nightly", "orders", "61 2 * * *")
            #expect(wrong.code != 0 && wrong.error.contains("61"))
            try await desk.service.kill()
        }

        @Test("A paused topic refuses publishes with 75 and holds up deliveries until it is resumed")
        func pauses() async throws {
            let desk = try await desk()
            #expect(try await desk.say("pause", "orders", "--intake") == "paused the intake of orders\n")
            let refused = try await Brokerctl.run(["publish", "orders", "-b", desk.service.url], input: "{}\n")
            #expect(refused.code == 75 && refused.error.contains("TOPIC_PAUSED"))
            #expect(try await desk.say("resume", "orders", "--intake") == "resumed the intake of orders\n")
            _ = try await publish(desk, "one")
            #expect(try await desk.say("pause", "orders@mail", "--for", "1h").hasPrefix("paused the delivery of "))
            #expect(try await desk.client.pop([mail], timeoutMilliseconds: 0) == nil)
            _ = try await desk.say("resume", "orders@mail")
            #expect(try await desk.client.pop([mail], timeoutMilliseconds: 0) != nil)
            try await desk.service.kill()
        }

        @Test("Messages are rescheduled, cancelled and looked up; a history tells of both")
        func messages() async throws {
            let desk = try await desk()
            let id = "\(try await publish(desk, "one")[0])"
            #expect(
                try await desk.say("message", "reschedule", id, "--in", "1h") == "rescheduled 1 of 1 messages\n")
            #expect(
                try await desk.json("browse", "orders@mail", list: "messages").map { $0["state"] as? String }
                    == ["delayed"])
            #expect(try await desk.say("message", "cancel", id) == "cancelled 1 of 1 messages\n")
            #expect(try await desk.json("browse", "orders@mail", list: "messages").isEmpty)
            let gone = try await desk.run("message", "cancel", id)
            #expect(gone.code == 65 && gone.error.contains("MESSAGE_UNKNOWN"))
            let history = try await desk.say("history", id)
            #expect(history.contains("rescheduled") && history.contains("cancelled"))
            try await desk.service.kill()
        }

        @Test("A parked key is listed, its messages are browsed as parked, and it is released")
        func keys() async throws {
            let desk = try await desk("after_dead=park")
            let ids = try await publish(desk, "one", "two", key: "k")
            let first = try #require(try await desk.client.pop([mail], timeoutMilliseconds: 0))
            try await desk.client.settle(first.lease, .reject(reason: "bad"))
            let key = try #require(try await desk.json("keys", "list", "orders@mail", "--parked", list: "keys").first)
            #expect(key["key"] as? String == "k" && key["state"] as? String == "parked")
            let parked = try await desk.json("browse", "orders@mail", "--state", "parked", list: "messages")
            #expect(parked.map { $0["id"] as? UInt64 } == [ids[1].rawValue])
            #expect(try await desk.say("keys", "release", "orders@mail", "k") == "released 1 keys of orders@mail\n")
            #expect(try await desk.json("browse", "orders@mail", "--state", "parked", list: "messages").isEmpty)
            #expect(try await desk.client.pop([mail], timeoutMilliseconds: 0)?.id == ids[1])
            try await desk.service.kill()
        }

        @Test("Dead letters are browsed, chosen, counted, redriven, by a job too, and purged; one message is deleted")
        func dead() async throws {
            let desk = try await desk("attempts_max=1")
            let ids = try await publish(desk, "one", "two", "three", "four")
            for verdict in [.fail(error: "smtp 451"), .reject(reason: "bad"), .reject(reason: "worse")] as [Verdict] {
                let delivery = try #require(try await desk.client.pop([mail], timeoutMilliseconds: 0))
                try await desk.client.settle(delivery.lease, verdict)
            }
            let held = try #require(try await desk.client.pop([mail], timeoutMilliseconds: 0))
            let browsed = try await desk.json("browse", "orders@mail", list: "messages")
            #expect(browsed.map { $0["state"] as? String } == ["dead", "dead", "dead", "leased"])
            #expect(browsed[3]["holder"] as? String == "mail-1" && browsed[3]["lease_milliseconds"] != nil)
            let letter = try #require(try await desk.json("dead", "list", "orders@mail", list: "dead").first)
            #expect(letter["reason_code"] as? String == "attempts" && letter["last_error"] as? String == "smtp 451")
            #expect(letter["last_consumer"] as? String == "mail-1" && (letter["failed_at"] as? [Any])?.count == 1)
            let name = "orders@mail"
            #expect(
                try await desk.say("dead", "redrive", name, "--error", "451", "--dry-run")
                    == "would redrive 1 dead letters of orders@mail\n")
            #expect(
                try await desk.say("dead", "redrive", name, "--error", "451")
                    == "redrove 1 dead letters of orders@mail\n")
            #expect(
                try await desk.say("dead", "purge", name, "--header", "name=two", "--force")
                    == "purged 1 dead letters of orders@mail\n")
            #expect(try await desk.say("dead", "redrive", name, "--rate", "5").contains("goes on, 5 in a second"))
            #expect(try await desk.run("delete", name, "\(held.id)", "--force").code == 75)
            #expect(
                try await desk.say("delete", name, "\(ids[0])", "--force") == "deleted 1 messages of orders@mail\n")
            #expect(try await desk.run("dead", "cancel", "999").code == 65)
            _ = try await desk.say("dead", "jobs")
            try await desk.client.settle(held.lease, .ack)
            try await desk.service.kill()
        }
    }
}
