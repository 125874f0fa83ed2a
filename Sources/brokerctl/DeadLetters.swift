import BrokerClient
import BrokerProtocol
import DaemonKit

extension Command {
    static let deadCommands = [
        Command(
            words: ["dead", "list"], operands: "TOPIC@NAME", operandCount: 1...1,
            summary: "List the dead letters of a subscription", notes: choosing,
            options: [
                Option("from", value: "ID", help: "begin with this message or the next one"),
                Option("limit", short: "n", value: "N", help: "at most N (default 100)"),
            ] + choice, hasJSON: true, run: listDead),
        Command(
            words: ["dead", "show"], operands: "TOPIC@NAME ID", operandCount: 2...2,
            summary: "Show one dead letter with its body", hasJSON: true, run: showDead),
        Command(
            words: ["dead", "redrive"], operands: "TOPIC@NAME [ID]…", operandCount: 1...10_000,
            summary: "Deliver dead letters again: all, those named, or those chosen", notes: choosing,
            options: [
                Invocation.dryRun, deadLimit,
                Option("rate", value: "N", help: "N messages in a second, as a job that goes on by itself"),
            ] + choice, run: redriveDead),
        Command(
            words: ["dead", "purge"], operands: "TOPIC@NAME [ID]…", operandCount: 1...10_000,
            summary: "Delete dead letters for good: all, those named, or those chosen", notes: choosing,
            options: [Invocation.dryRun, deadLimit, Invocation.force, Invocation.noInput] + choice, run: purgeDead),
        Command(
            words: ["dead", "jobs"], summary: "List the redrives that go on by themselves", hasJSON: true,
            run: listJobs),
        Command(
            words: ["dead", "cancel"], operands: "JOB", operandCount: 1...1,
            summary: "End such a redrive; what it has redriven stays so", run: cancelJob),
    ]

    private static let deadLimit = Option("limit", short: "n", value: "N", help: "only the N oldest")

    private static let choosing = """
        All that is given must hold. Reasons are \(DeadReason.allCases.map(\.name).joined(separator: ", ")).
        A SPAN is such as 30m, 12h, 7d, and counts from the death by the clock of this machine.
        """

    private static let choice = [
        Option("reason", value: "REASON", help: "dead for this reason (repeatable: one of them)"),
        Option("error", value: "TEXT", help: "the last error or the reason contains this"),
        Option("header", value: "KEY=VALUE", help: "has this header (repeatable: all of them)"),
        Option("key", value: "KEY", help: "has this ordering key"),
        Option("older-than", value: "SPAN", help: "dead for longer than this"),
        Option("newer-than", value: "SPAN", help: "dead for at most so long"),
    ]

    @MainActor private static func listDead(_ invocation: Invocation) async throws {
        let name = try invocation.subscription()
        let limit = Int(try invocation.number("limit", default: 100))
        let from = try invocation.messageID(invocation.input.value("from") ?? "0")
        let selection = try invocation.chosen()
        let letters = try await invocation.withBroker { client in
            // One more than asked for tells whether there are more.
            try await client.deadLetters(of: name, from: from, atMost: limit + 1, where: selection)
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
        let selection = try invocation.selection()
        let rate = try invocation.input.value("rate").map { _ throws(Failure) in
            try invocation.number("rate", default: 1)
        }
        try await invocation.withBroker { client in
            if let rate, !selection.isDryRun {
                let job = try await client.redrive(name, selection, rate: rate)
                return invocation.console.print("redrive \(job.id) of \(name.full) goes on, \(rate) in a second")
            }
            let count = try await client.redrive(name, selection)
            let did = selection.isDryRun ? "would redrive" : "redrove"
            invocation.console.print("\(did) \(count) dead letters of \(name.full)")
        }
    }

    @MainActor private static func purgeDead(_ invocation: Invocation) async throws {
        let name = try invocation.subscription()
        var selection = try invocation.selection()
        let isDryRun = selection.isDryRun
        try await invocation.withBroker { client in
            if isDryRun || !invocation.input.has("force") {
                // What dies while the user reads the question is not touched.
                let now = Invocation.now.adding(milliseconds: 1)
                selection.diedBefore = min(selection.diedBefore ?? now, now)
                selection.isDryRun = true
                let count = try await client.purge(name, selection)
                let what = "purge \(count) dead letters of \(name.full)"
                if isDryRun { return invocation.console.print("would \(what)") }
                try invocation.confirm(what, name: name.full)
                selection.isDryRun = false
            }
            let count = try await client.purge(name, selection)
            invocation.console.print("purged \(count) dead letters of \(name.full)")
        }
    }

    @MainActor private static func listJobs(_ invocation: Invocation) async throws {
        let report = DeadJobsReport(
            jobs: try await invocation.withBroker { try await $0.deadJobs() }.map { DeadJobReport($0) })
        if invocation.wantsJSON { return try invocation.console.print(json: report) }
        invocation.console.print(report.text(invocation.console.style))
    }

    @MainActor private static func cancelJob(_ invocation: Invocation) async throws {
        guard let id = UInt64(invocation.input.operands[0]) else {
            throw invocation.wrong("`\(invocation.input.operands[0])` is no job: it is a whole number")
        }
        try await invocation.withBroker { try await $0.cancelDeadJob(id) }
        invocation.console.print("ended redrive \(id)")
    }
}

extension Invocation {
    /// What the options say of dead letters.
    fileprivate func chosen() throws(Failure) -> DeadSelection {
        var selection = DeadSelection()
        for name in input.values("reason") {
            guard let reason = DeadReason(name: name) else {
                throw wrong("`\(name)` is no reason: \(DeadReason.allCases.map(\.name).joined(separator: ", "))")
            }
            selection.reasons.insert(reason)
        }
        selection.errorContains = input.value("error")
        selection.headers = try headers()
        selection.orderingKey = input.value("key")
        selection.diedBefore = try before("older-than")
        selection.diedFrom = try before("newer-than")
        return selection
    }

    /// The same with ids, limit and dry run.
    fileprivate func selection() throws(Failure) -> DeadSelection {
        var selection = try chosen()
        for text in input.operands.dropFirst() { selection.ids.append(try messageID(text)) }
        if !selection.ids.isEmpty && input.has("limit") { throw wrong("--limit and message ids exclude each other") }
        selection.limit = input.has("limit") ? UInt64(try number("limit", default: .max)) : 0
        selection.isDryRun = input.has("dry-run")
        return selection
    }
}

extension BrokerClient {
    /// Reads page after page.
    func deadLetters(
        of name: SubscriptionName, from: MessageID, atMost limit: Int, where selection: DeadSelection
    ) async throws(BrokerError) -> [DeadLetter] {
        var letters: [DeadLetter] = []
        var next = from
        while letters.count < limit {
            let page = try await deadLetters(of: name, from: next, limit: UInt32(min(limit, 500)))
            guard let last = page.last else { break }
            letters += page.filter { selection.admits($0) }.prefix(limit - letters.count)
            next = MessageID(rawValue: last.id.rawValue + 1)
        }
        return letters
    }

    /// - Throws: `MESSAGE_UNKNOWN` when the message is no dead letter of the subscription.
    func deadLetter(_ id: MessageID, of name: SubscriptionName) async throws(BrokerError) -> DeadLetter {
        guard let letter = try await deadLetters(of: name, from: id, limit: 1).first, letter.id == id else {
            throw BrokerError(.messageUnknown, "message \(id) is no dead letter of \(name.full)")
        }
        return letter
    }
}
