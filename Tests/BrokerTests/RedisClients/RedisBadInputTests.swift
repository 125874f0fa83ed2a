import BrokerProtocol
import LinuxIO
import TestSupport
import Testing

@testable import Broker

extension ProcessTests {
    /// Bytes that are no commands, from many clients at once, against the daemon.
    @Suite("Bad input on the Redis wire", .serialized)
    struct RedisBadInputTests {
        struct Input: Sendable {
            let name: String
            let bytes: [UInt8]
            let error: RESPError

            init(_ name: String, _ bytes: String, _ error: String) {
                self.name = name
                self.bytes = Array(bytes.utf8)
                self.error = RESPError("ERR Protocol error: \(error)")
            }
        }

        static let inputs = [
            Input("a huge count", "*2147483648\r\n", "invalid multibulk length"),
            Input("a count that is no number", "*99999999999999999999\r\n", "invalid multibulk length"),
            Input("more arguments than a command may have", "*1048577\r\n", "invalid multibulk length"),
            Input("a huge argument", "*1\r\n$9223372036854775807\r\n", "invalid bulk length"),
            Input("an argument above frame_max", "*2\r\n$4\r\nECHO\r\n$524289\r\n", "invalid bulk length"),
            Input("a negative length", "*2\r\n$4\r\nECHO\r\n$-1\r\n", "invalid bulk length"),
            Input("an array in an array", "*1\r\n*1\r\n*1\r\n*1\r\n", "expected '$', got '*'"),
            Input(
                "a thousand arrays in each other", String(repeating: "*1\r\n", count: 1_000), "expected '$', got '*'"),
            Input("a line without an end", String(repeating: "a", count: 70_000), "too big inline request"),
            Input("a count without an end", "*" + String(repeating: "1", count: 70_000), "too big mbulk count string"),
            Input(
                "a length without an end", "*1\r\n$" + String(repeating: "1", count: 70_000),
                "too big bulk count string"),
            Input("a quote without an end", "LPUSH q \"a\r\n", "unbalanced quotes in request"),
        ]

        private static func send(_ input: Input, _ url: String) throws {
            let client = try RedisClient(url)
            try client.send(bytes: input.bytes)
            let (error, end) = (try client.next(), try client.next())
            guard error == .error(input.error), end == nil else {
                throw Late("\(input.name): \(String(describing: error)), then \(String(describing: end))")
            }
        }

        @Test("Each gets Redis's error and a close, and thousands of them cost no memory")
        func answers() async throws {
            let house = try ServiceHouse()
            let service = try await house.startWithRedis()
            let url = try await service.tcpURL()
            @Sendable func storm(_ rounds: Int) throws {
                for _ in 0..<rounds { for input in Self.inputs { try Self.send(input, url) } }
            }
            try await blocking { try storm(10) }
            let before = try service.child.residentKilobytes()
            try await blocking { try storm(100) }
            let growth = try service.child.residentKilobytes() - before
            print("redis: \(100 * Self.inputs.count) malformed connections, \(growth) KiB more")
            #expect(growth < 4_096, "\(growth) KiB more")
            #expect(try await service.connect().status().connections == 1)
            #expect(try await service.stop() == .exited(0))
        }

        @Test("What clients claim and never send takes no memory; what they send takes at most five times its bytes")
        func claims() async throws {
            let house = try ServiceHouse()
            let service = try await house.startWithRedis()
            let url = try await service.tcpURL()
            let before = try service.child.residentKilobytes()
            @Sendable func crowd(_ count: Int, _ bytes: [UInt8]) throws -> [RedisClient] {
                var clients: [RedisClient] = []
                for _ in 0..<count {
                    let client = try RedisClient(url)
                    try client.send(bytes: bytes)
                    clients.append(client)
                }
                // They were read when this one, which came last, is answered.
                for _ in 0..<50 { _ = try RedisClient(url).ask("PING") }
                return clients
            }
            let growths = try await blocking { [child = service.child] in
                let claimed = try crowd(400, Array("*80000\r\n$40000\r\n".utf8))
                let claims = try child.residentKilobytes() - before
                // Each fills a command with the shortest arguments, up to the last byte but one.
                let count = ((512 << 10) - 20) / 7
                let short =
                    Array("*\(count)\r\n".utf8) + (0..<count).flatMap { _ in Array("$1\r\nx\r\n".utf8) }.dropLast()
                let filled = try crowd(20, Array(short))
                let fills = try child.residentKilobytes() - before - claims
                _ = (claimed.count, filled.count)
                return (claims: claims, fills: fills)
            }
            print("redis: 400 claims of 80000 arguments \(growths.claims) KiB, 20 filled commands \(growths.fills) KiB")
            #expect(growths.claims < 400 * 80, "\(growths.claims) KiB for 400 clients")
            #expect(growths.fills < 20 * 5 * 512, "\(growths.fills) KiB for 20 clients")
            #expect(try await blocking { try RedisClient(url).ask("LPUSH q a") } == .integer(1))
            #expect(try await service.stop() == .exited(0))
        }
    }
}

@Suite("A silent Redis client")
struct RedisSilenceTests {
    /// A connection of the loop that has read what its client sent.
    private final class Line {
        let connection: Connection
        let wire: RedisWire
        private let client: Descriptor

        init(_ bytes: String) throws {
            let (ours, its) = try Socket.pair()
            client = Descriptor(owning: its)
            let session = RedisSession(id: SessionID(rawValue: 1), address: "", localAddress: "", now: 1_000)
            wire = RedisWire(session, frameBytesMax: 1 << 20, now: 1_000)
            connection = Connection(
                id: session.id, token: 1, descriptor: Descriptor(owning: ours), wire: .redis(wire),
                outputBytesMax: 1 << 20, now: 1_000)
            try client.writeAll(Array(bytes.utf8))
            _ = try connection.read(now: 2_000)
            _ = try wire.decoder.next()
        }

        func loss(at now: Int64) -> BrokerError? {
            if case .lost(let error) = connection.tick(now: now) { error } else { nil }
        }
    }

    @Test("Half a command is given up 30 s after its last byte; between commands a client may be silent for ever")
    func half() throws {
        let half = try Line("*2\r\n$4\r\nECHO\r\n$5\r\nhal")
        #expect(half.loss(at: 32_000) == nil)
        #expect(half.loss(at: 32_001)?.message.contains("30000 ms") == true)
        // While it waits for a message, what it has sent ahead may be half.
        half.wire.isHeld = true
        #expect(half.loss(at: 100_000) == nil)
        #expect(try Line("PING\r\n").loss(at: 1_000_000) == nil)
    }
}
