import TestSupport
import Testing

extension ProcessTests {
    /// The whole comparison is `make redis-conformance`.
    @Suite("Comparison with Redis", .serialized)
    struct RedisConformanceTests {
        @Test(
            "Races, blocked clients, transactions and malformed input are answered as a real redis-server answers them")
        func short() async throws {
            let text = try await ClientProgram.run([
                ClientProgram.root + "/scripts/redis-conformance", "--jobs", "4", "--brokerd", ServiceHouse.program,
                "races", "transactions/commit", "transactions/acks", "protocol/counts", "protocol/bulks",
                "blocking/served-in-order", "blocking/several-keys", "groups/read", "lists/push-pop",
            ])
            #expect(text.contains(": 0 differences"))
        }
    }
}
