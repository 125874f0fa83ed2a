import BrokerClient
import BrokerProtocol

extension Command {
    static let messageCommands = [
        Command(
            words: ["message", "cancel"], operands: "ID…", operandCount: 1...10_000,
            summary: "Remove messages from every subscription that still has to deliver them", run: cancel),
        Command(
            words: ["message", "reschedule"], operands: "ID…", operandCount: 1...10_000,
            summary: "Give messages another time of delivery",
            options: [
                Option("at", value: "TIME", help: "such as 2026-03-01T12:00:00Z"),
                Option("in", value: "SPAN", help: "so long from now, such as 10m; 0 means now"),
            ], run: reschedule),
    ]

    @MainActor private static func cancel(_ invocation: Invocation) async throws {
        let ids = try invocation.messageIDs()
        let results = try await invocation.withBroker { try await $0.cancel(ids) }
        try invocation.report(results, of: ids, "cancelled")
    }

    @MainActor private static func reschedule(_ invocation: Invocation) async throws {
        let ids = try invocation.messageIDs()
        guard let time = try invocation.time(at: "at", after: "in") else {
            throw invocation.wrong("--at TIME or --in SPAN is missing")
        }
        let results = try await invocation.withBroker { try await $0.reschedule(ids, deliverAt: time) }
        try invocation.report(results, of: ids, "rescheduled")
    }
}

extension Invocation {
    fileprivate func messageIDs() throws(Failure) -> [MessageID] {
        var ids: [MessageID] = []
        for text in input.operands { ids.append(try messageID(text)) }
        return ids
    }

    /// - Throws: The first refusal, when there is one; the others are told.
    @MainActor fileprivate func report(_ results: [BrokerError?], of ids: [MessageID], _ verb: String) throws(Failure) {
        for (id, error) in zip(ids, results) { if let error { console.note("\(id): \(error)") } }
        console.print("\(verb) \(results.count { $0 == nil }) of \(ids.count) messages")
        if let error = results.compactMap({ $0 }).first {
            throw Failure(Failure.exitCode(of: error.code), "not all messages were \(verb)")
        }
    }
}
