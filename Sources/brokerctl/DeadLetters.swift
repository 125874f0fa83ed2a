import BrokerClient
import BrokerProtocol
import DaemonKit

extension Command {
    static let deadCommands = [
        Command(
            words: ["dead", "list"], operands: "TOPIC@NAME", operandCount: 1...1,
            summary: "List the dead letters of a subscription",
            options: [
                Option("from", value: "ID", help: "begin with this message or the next one"),
                Option("limit", short: "n", value: "N", help: "at most N (default 100)"),
            ], hasJSON: true, run: listDead),
        Command(
            words: ["dead", "show"], operands: "TOPIC@NAME ID", operandCount: 2...2,
            summary: "Show one dead letter with its body", hasJSON: true, run: showDead),
        Command(
            words: ["dead", "redrive"], operands: "TOPIC@NAME [ID]…", operandCount: 1...10_000,
            summary: "Deliver dead letters again, all of them or those named",
            options: [Invocation.dryRun, deadLimit], run: redriveDead),
        Command(
            words: ["dead", "purge"], operands: "TOPIC@NAME [ID]…", operandCount: 1...10_000,
            summary: "Delete dead letters for good, all of them or those named",
            options: [Invocation.dryRun, deadLimit, Invocation.force, Invocation.noInput], run: purgeDead),
    ]

    private static let deadLimit = Option("limit", short: "n", value: "N", help: "only the N oldest")

    @MainActor private static func listDead(_ invocation: Invocation) async throws {
        let name = try invocation.subscription()
        let limit = Int(try invocation.number("limit", default: 100))
        let from = try invocation.messageID(invocation.input.value("from") ?? "0")
        let letters = try await invocation.withBroker { client in
            // One more than asked for tells whether there are more.
            try await client.deadLetters(of: name, from: from, atMost: limit + 1) { $0 }
        }
        let report = DeadListReport(
            subscription: name.full, dead: letters.prefix(limit).map { DeadLetterReport($0) },
            hasMore: letters.count > limit)
        if invocation.wantsJSON { return try invocation.console.print(json: report) }
        invocation.console.print(report.text(invocation.console.style))
    }

    @MainActor private static func showDead(_ invocation: Invocation) async throws {
        let name = try invocation.subscription()
        let id = try invocation.messageID(invocation.input.operands[1])
        let letter = try await invocation.withBroker { try await $0.deadLetter(id, of: name) }
        let report = DeadLetterReport(letter)
        if invocation.wantsJSON { return try invocation.console.print(json: report) }
        invocation.console.print(report.text(invocation.console.style))
    }

    @MainActor private static func redriveDead(_ invocation: Invocation) async throws {
        let name = try invocation.subscription()
        try await invocation.withBroker { client in
            let ids = try await invocation.chosen(client, name)
            if invocation.input.has("dry-run") {
                return invocation.console.print("would redrive \(ids.count) dead letters of \(name.full)")
            }
            let count = ids.isEmpty ? 0 : try await client.count(.deadRedrive(name, ids))
            invocation.console.print("redrove \(count) dead letters of \(name.full)")
        }
    }

    @MainActor private static func purgeDead(_ invocation: Invocation) async throws {
        let name = try invocation.subscription()
        try await invocation.withBroker { client in
            let ids = try await invocation.chosen(client, name)
            let what = "\(ids.count) dead letters of \(name.full)"
            if invocation.input.has("dry-run") { return invocation.console.print("would purge \(what)") }
            if ids.isEmpty { return invocation.console.print("purged \(what)") }
            try invocation.confirm("purge \(what)", name: name.full)
            let count = try await client.count(.deadPurge(name, ids))
            invocation.console.print("purged \(count) dead letters of \(name.full)")
        }
    }
}

extension Invocation {
    /// The ids that the user named, else those of all dead letters up to `--limit`. Always by name: a letter that dies
    /// while the user reads the question is not touched.
    fileprivate func chosen(_ client: BrokerClient, _ name: SubscriptionName) async throws -> [MessageID] {
        let named = try input.operands.dropFirst().map { (text) throws(Failure) in try messageID(text) }
        if named.isEmpty {
            let limit = Int(try number("limit", default: .max))
            return try await client.deadLetters(of: name, from: MessageID(rawValue: 0), atMost: limit) { $0.id }
        }
        if input.has("limit") { throw wrong("--limit and message ids exclude each other") }
        for id in named { _ = try await client.deadLetter(id, of: name) }
        return named
    }
}

extension BrokerClient {
    /// Reads page after page, and keeps what `part` takes of each letter.
    func deadLetters<Part>(
        of name: SubscriptionName, from: MessageID, atMost limit: Int, _ part: @Sendable (DeadLetter) -> Part
    ) async throws(BrokerError) -> [Part] {
        var parts: [Part] = []
        var next = from
        while parts.count < limit {
            let page = try await deadLetters(of: name, from: next, limit: UInt32(min(limit - parts.count, 500)))
            guard let last = page.last else { break }
            parts += page.map(part)
            next = MessageID(rawValue: last.id.rawValue + 1)
        }
        return parts
    }

    /// - Throws: `MESSAGE_UNKNOWN` when the message is no dead letter of the subscription.
    func deadLetter(_ id: MessageID, of name: SubscriptionName) async throws(BrokerError) -> DeadLetter {
        guard let letter = try await deadLetters(of: name, from: id, limit: 1).first, letter.id == id else {
            throw BrokerError(.messageUnknown, "message \(id) is no dead letter of \(name.full)")
        }
        return letter
    }
}
