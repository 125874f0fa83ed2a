import BrokerClient
import BrokerProtocol
import Glibc
import LinuxIO
import TestSupport
import Testing

/// Suites with real processes run one after the other: they share two cores with all other tests.
@Suite("The brokerd process", .serialized)
enum ProcessTests {}

extension ProcessTests {
    /// What the manager is told, and when.
    @Suite("Readiness and watchdog", .serialized)
    struct ReadinessTests {
        private let topic = TopicName("order.created")!

        @Test("READY=1 comes after recovery and listening; who connects before waits instead of being refused")
        func readiness() async throws {
            let house = try ServiceHouse()
            var service = try await house.start()
            try await fill(service, mebibytes: 7)
            try await service.kill()

            service = try house.spawn()
            // Stopped in the middle of the recovery, the process still has its listener open.
            try await service.manager.message(with: "STATUS=recovering")
            service.child.send(SIGSTOP)
            #expect(!service.manager.messages.contains { $0.text.contains("READY=1") })
            let wire = try Wire(to: .unix(path: house.socket))
            try wire.send(.request(1, Wire.hello()))
            #expect(!service.manager.messages.contains { $0.text.contains("READY=1") })
            service.child.send(SIGCONT)
            try await service.ready()
            guard case .response(1, .hello) = try await blocking({ try wire.next() }) else {
                Issue.record("no answer to HELLO")
                return
            }
            let messages = service.manager.messages
            let ready = try #require(messages.firstIndex { $0.text.contains("READY=1") })
            let extensions = messages.indices.filter { messages[$0]["EXTEND_TIMEOUT_USEC"] != nil }
            #expect(extensions.count > 4 && extensions.allSatisfy { $0 < ready })
            let shares = messages[..<ready].compactMap { $0["STATUS"] }.compactMap { status in
                status.hasPrefix("recovering, ") ? Int(status.dropFirst(12).prefix { $0.isNumber }) : nil
            }
            #expect(shares.count == extensions.count && shares == shares.sorted() && shares.last == 100)
            #expect(try await service.stop() == .exited(0))
        }

        private func fill(_ service: Service, mebibytes: Int) async throws {
            let client = try await service.connect()
            let body = [UInt8](repeating: 7, count: 128 << 10)
            for _ in 0..<mebibytes {
                let batch = Array(repeating: OutgoingMessage(topic: topic, body: body), count: 2)
                for _ in 0..<4 { for result in try await client.publish(batch) { _ = try result.get() } }
            }
            await client.close()
        }

        @Test("STATUS= follows the counts")
        func status() async throws {
            let house = try ServiceHouse()
            let service = try await house.start()
            let client = try await service.connect()
            _ = try await client.publish((1...3).map { OutgoingMessage(topic: topic, body: [UInt8($0)]) })
            let delivery = try #require(
                try await client.pop([SubscriptionName(topic: topic)], timeoutMilliseconds: 0))
            try await service.manager.message(
                with: "STATUS=2 ready, 0 delayed, 1 leased, 0 dead in 1 topics; 1 connections")
            try await client.settle(delivery.lease, .reject(reason: "no address"))
            try await service.manager.message(with: "STATUS=2 ready, 0 delayed, 0 leased, 1 dead")
            #expect(try await service.stop() == .exited(0))
        }

        @Test("WATCHDOG=1 comes at half of WATCHDOG_USEC")
        func watchdog() async throws {
            let house = try ServiceHouse()
            let service = try await house.start(environment: ["WATCHDOG_USEC": "400000"])
            let pings = try await service.manager.messages(6, with: "WATCHDOG=1")
            let span = pings[5].at - pings[0].at
            #expect((5 * 200 - 50..<5 * 400).contains(span), "five intervals took \(span) ms")
            #expect(try await service.stop() == .exited(0))
        }

        @Test(
            "WATCHDOG=1 stops while the log's writer or the loop is stuck, and comes again",
            .enabled(if: Tracer.isThere, Tracer.reason),
            arguments: [("fdatasync", "log writer"), ("epoll_wait,epoll_pwait", "loop")])
        func stuck(calls: String, part: String) async throws {
            let house = try ServiceHouse()
            let service = try await house.start(environment: ["WATCHDOG_USEC": "400000"])
            let client = try await service.connect()
            try await service.manager.message(with: "WATCHDOG=1")
            // Each thread's next call takes 1.5 s.
            let tracer = try await Tracer.attach(
                to: service.child, ["-e", "trace=\(calls)", "-e", "inject=\(calls):delay_enter=1500000:when=1"])
            async let receipt = client.publish(OutgoingMessage(topic: topic, body: [1]))
            let line = try await service.child.line(with: "watchdog is not fed")
            #expect(line.contains("\"STALLED_PARTS\":\"\(part)\"") && line.contains("\"level\":\"critical\""))
            let count = service.manager.messages.count { $0.text == "WATCHDOG=1" }
            _ = try await receipt
            let pings = try await service.manager.messages(count + 2, with: "WATCHDOG=1")
            let longest = zip(pings, pings.dropFirst()).map { $1.at - $0.at }.max() ?? 0
            #expect(longest > 400, "systemd would have seen no pause longer than \(longest) ms")
            tracer.send(SIGTERM)
            _ = try await tracer.end()
            #expect(try await service.stop() == .exited(0))
        }

        @Test("SIGTERM is answered with STOPPING=1 before anything else is said")
        func stopping() async throws {
            let house = try ServiceHouse()
            let service = try await house.start()
            #expect(try await service.stop() == .exited(0))
            let messages = try await service.manager.all()
            let stopping = try #require(messages.firstIndex { $0["STOPPING"] == "1" })
            #expect(messages[stopping]["STATUS"]?.hasPrefix("draining") == true)
            #expect(messages[(stopping + 1)...].allSatisfy { $0.text.hasPrefix("STATUS=draining") })
        }

        @Test("SIGHUP is answered with RELOADING=1 and the time, then READY=1")
        func reloading() async throws {
            let house = try ServiceHouse()
            let service = try await house.start()
            let before = Clocks.monotonicMicroseconds()
            let count = service.manager.messages.count
            service.child.send(SIGHUP)
            let reloading = try await service.manager.message(with: "RELOADING=1", from: count)
            let stamp = try #require(reloading["MONOTONIC_USEC"].flatMap { Int64($0) })
            #expect((before...Clocks.monotonicMicroseconds()).contains(stamp))
            try await service.manager.message(with: "READY=1", from: count)
            #expect(try await service.stop() == .exited(0))
        }
    }
}
