import BrokerProtocol
import LinuxIO
import TestSupport
import Testing

extension ProcessTests {
    /// Listeners that were open before the daemon was started.
    @Suite("Socket activation", .serialized)
    struct ActivationTests {
        /// Opens a Unix and a TCP listener, and starts the daemon with them as descriptors 3 and 4.
        private func activate(
            _ house: ServiceHouse, names: String = "broker-unix:broker-tcp"
        ) throws -> (Service, tcp: String, [Listener]) {
            let unix = try Listener(.unix(path: house.path + "/activated.sock"))
            let tcp = try Listener(.tcp(host: "127.0.0.1", port: 0))
            let port = Socket.localPort(of: tcp.descriptor) ?? 0
            // Only the process itself knows its number before the program runs.
            let shell = "LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=\(names) exec \"$@\""
            let service = try house.spawn(
                wrapper: ["sh", "-c", shell, "sh"], inherited: [unix.descriptor.number, tcp.descriptor.number])
            return (service, "tcp://127.0.0.1:\(port)", [unix, tcp])
        }

        /// A listener of the test, as systemd has them.
        final class Listener {
            let descriptor: Descriptor
            init(_ endpoint: Endpoint) throws { descriptor = try Socket.listen(on: endpoint) }
        }

        @Test("Inherited listeners are served by name, --listen is not, and a stop leaves them as they are")
        func inherited() async throws {
            let house = try ServiceHouse()
            let (service, tcp, listeners) = try activate(house)
            let unix = "unix://\(house.path)/activated.sock"
            // Connected before the daemon is ready: it waits in the listener's queue.
            async let early = service.connect("early", url: unix)
            try await service.ready()
            try await service.child.line(with: "ready on broker-unix, broker-tcp")
            #expect(try await early.status().connections >= 1)
            for url in [unix, tcp] {
                let client = try await service.connect(url: url)
                try await client.publish(OutgoingMessage(topic: TopicName("a")!, body: [1]))
                await client.close()
            }
            #expect(!Directory.exists(house.socket))
            #expect(try await service.stop() == .exited(0))
            #expect(Directory.exists(house.path + "/activated.sock"))

            // Whoever connects between two daemons waits for the next one.
            async let waiting = blocking { try Wire.open(unix) }
            let next = try house.spawn(
                wrapper: ["sh", "-c", "LISTEN_PID=$$ LISTEN_FDS=1 exec \"$@\"", "sh"],
                inherited: [listeners[0].descriptor.number])
            try await next.ready()
            let wire = try await waiting
            guard case .status(let status) = try await blocking({ try wire.ask(.status) }) else {
                Issue.record("no status")
                return
            }
            #expect(status.messages == 2)
            #expect(try await next.stop() == .exited(0))
        }

        @Test("A descriptor that is no listener is refused by name")
        func notListening() async throws {
            let house = try ServiceHouse()
            let file = try Socket.pair()
            let ends = [Descriptor.Box(file.0), Descriptor.Box(file.1)]
            let service = try house.spawn(
                wrapper: ["sh", "-c", "LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=metrics exec \"$@\"", "sh"],
                inherited: [file.0])
            #expect(try await service.child.end() == .exited(71))
            #expect(
                service.child.text.contains(
                    "descriptor 3 (metrics) from systemd is no listening stream socket; use ListenStream="))
            withExtendedLifetime(ends) {}
        }
    }
}

extension Descriptor {
    /// Keeps a descriptor open as long as somebody holds it.
    final class Box {
        let descriptor: Descriptor
        init(_ number: Int32) { descriptor = Descriptor(owning: number) }
    }
}
