import BrokerClient
import BrokerProtocol
import LinuxIO
import Synchronization
import Workers

/// The client library and the worker runtime in this process, beside a broker that is there: what share of a core they
/// take.
struct RuntimeBench {
    let endpoint: Endpoint
    let server: ProcessFigures
    let messages: Int
    let slots: Int

    /// A small JSON event.
    private struct Parcel: Event {
        static let topic = TopicName("bench.parcel")!
        var number: Int
        var address: String
    }

    /// A handler that does nothing but count.
    private final class NoWork: Worker {
        private let left: Atomic<Int>
        private let finished: @Sendable () -> Void

        init(_ messages: Int, _ finished: @escaping @Sendable () -> Void) {
            left = Atomic(messages)
            self.finished = finished
        }

        func handle(_ event: Parcel, _ attempt: Attempt) async -> Outcome {
            if left.subtract(1, ordering: .relaxed).newValue == 0 { finished() }
            return .done
        }
    }

    /// One part's figures, a line of JSON.
    struct Part: Codable {
        let what: String
        let messages: Int
        let perSecond: Double
        /// Of this process, of one core; and what a whole core would do.
        let cpuShare: Double
        let perSecondPerCore: Double
        let serverCPUShare: Double
    }

    func run() async throws -> [Part] {
        let publisher = try await BrokerClient.connect(to: endpoint, client: "brokerbench", instance: "publisher")
        defer { Task { await publisher.close() } }
        let message = try Publication(Parcel(number: 4711, address: "Long Street 12, Little Town")).message
        var parts = [
            try await measured("client: publish, window 500") {
                var waiting: [BrokerClient.PendingResponse] = []
                for _ in 0..<messages {
                    if waiting.count == 500 {
                        for pending in waiting { try await confirm(pending) }
                        waiting.removeAll(keepingCapacity: true)
                    }
                    waiting.append(try await publisher.start(.publish([message])))
                }
                for pending in waiting { try await confirm(pending) }
            }
        ]
        parts.append(
            try await measured("worker runtime: \(slots) slots, no-op handler") {
                let (ends, ended) = AsyncStream<Void>.makeStream()
                var role = Workers.Role("bench")
                role.register(NoWork(messages) { ended.finish() })
                var configuration = RuntimeConfiguration(instance: "bench-1")
                configuration.slots = slots
                configuration.prefetch = slots
                let endpoint = endpoint
                let runtime = WorkerRuntime(roles: [role], configuration: configuration) { () throws(BrokerError) in
                    try await BrokerClient.connect(to: endpoint, client: "brokerbench", instance: "worker")
                }
                async let running: Void = runtime.run()
                for await _ in ends {}
                runtime.drain()
                try await running
            })
        return parts
    }

    private func confirm(_ pending: BrokerClient.PendingResponse) async throws {
        guard case .published(let results) = try await pending.response() else {
            throw BenchError("a publish was answered with something else")
        }
        for result in results { _ = try result.get() }
    }

    private func measured(_ what: String, _ work: () async throws -> Void) async throws -> Part {
        let (server, own, start) = (
            self.server.cpuSeconds(), Clocks.processMicroseconds(), Clocks.monotonicMicroseconds()
        )
        try await work()
        let seconds = Double(Clocks.monotonicMicroseconds() - start) / 1e6
        let cpu = Double(Clocks.processMicroseconds() - own) / 1e6
        return Part(
            what: what, messages: messages, perSecond: Double(messages) / seconds, cpuShare: cpu / seconds,
            perSecondPerCore: Double(messages) / cpu, serverCPUShare: (self.server.cpuSeconds() - server) / seconds)
    }
}
