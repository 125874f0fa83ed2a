import BrokerProtocol
import LinuxIO
import TestSupport
import Testing

extension ProcessTests {
    /// hiredis, and Debian's redis-tools.
    @Suite("Redis clients in C", .serialized)
    struct RedisToolTests {
        @Test("A program with hiredis pushes, pops, pipelines and acknowledges")
        func hiredis() async throws {
            let house = try ServiceHouse()
            let program = house.path + "/hiredis_client"
            try await ClientProgram.run([
                "sh", "-c",
                """
                $(command -v cc || command -v clang) -Wall -Wextra -Werror -o "$0" "$1" \
                $(pkg-config --cflags --libs hiredis)
                """, program, ClientProgram.root + "/conformance/clients/hiredis_client.c",
            ])
            let service = try await house.startWithRedis()
            let text = try await ClientProgram.run([program, try await service.redisPort()])
            #expect(text.hasSuffix("done"))
            #expect(try await service.stop() == .exited(0))
        }

        @Test("redis-cli sends one command, in RESP2 and RESP3")
        func oneShot() async throws {
            let house = try ServiceHouse()
            let service = try await house.startWithRedis()
            let port = try await service.redisPort()
            func cli(_ words: String...) async throws -> String {
                try await ClientProgram.run(["redis-cli", "-p", port] + words)
            }
            #expect(try await cli("LPUSH", "q", "a b", "c") == "2")
            #expect(try await cli("BRPOP", "q", "1") == "q\na b")
            #expect(try await cli("-3", "HELLO", "3").contains("proto 3"))
            #expect(try await cli("-3", "--json", "XADD", "s", "*", "f", "v").hasSuffix("\""))
            #expect(try await cli("-3", "--json", "XREAD", "STREAMS", "s", "0").contains("[\"f\",\"v\"]"))
            #expect(try await cli("PUBLISHX", "q", "x", "DEDUP", "d").hasSuffix("\n0"))
            #expect(try await cli("NONSENSE").hasPrefix("ERR unknown command 'NONSENSE'"))
            #expect(try await service.stop() == .exited(0))
        }

        @Test("redis-cli reads commands from a script, and bulk input through --pipe")
        func scripts() async throws {
            let house = try ServiceHouse()
            let service = try await house.startWithRedis()
            let port = try await service.redisPort()
            try house.directory.write("commands", "LPUSH q 'a b' \"\\x00\"\nMULTI\nRPOP q\nRPOP q\nEXEC\nLLEN q\n")
            let text = try await ClientProgram.run(["redis-cli", "-p", port], input: house.path + "/commands")
            let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
            #expect(lines.prefix(5) == ["2", "OK", "QUEUED", "QUEUED", "a b"])
            #expect(lines.last == "0")

            let count = 20_000
            try house.directory.write(
                "bulk", String(decoding: (0..<count).flatMap { RedisDesk.command("LPUSH bulk \($0)") }, as: UTF8.self))
            let summary = try await ClientProgram.run(
                ["redis-cli", "-p", port, "--pipe"], input: house.path + "/bulk")
            #expect(summary.hasSuffix("errors: 0, replies: \(count)"))
            #expect(try await ClientProgram.run(["redis-cli", "-p", port, "LLEN", "bulk"]) == "\(count)")
            #expect(try await service.stop() == .exited(0))
        }

        @Test("redis-benchmark runs to its end, with and without pipelining", arguments: [1, 32])
        func benchmark(pipeline: Int) async throws {
            let house = try ServiceHouse()
            let service = try await house.startWithRedis()
            let port = try await service.redisPort()
            let text = try await ClientProgram.run([
                "redis-benchmark", "-p", port, "-t", "lpush,rpop,ping", "-n", "\(2_000 * pipeline)", "-c", "20", "-P",
                "\(pipeline)", "--csv",
            ])
            for name in ["PING_INLINE", "PING_MBULK", "LPUSH", "RPOP"] {
                #expect(text.contains("\n\"\(name)\""), "\(text)")
            }
            #expect(!text.contains("Error") && !text.contains("WARNING"), "\(text)")
            #expect(try await ClientProgram.run(["redis-cli", "-p", port, "LLEN", "mylist"]) == "0")
            #expect(try await service.stop() == .exited(0))
        }
    }
}
