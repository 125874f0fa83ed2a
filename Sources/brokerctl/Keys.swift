import BrokerClient
import BrokerProtocol

extension Command {
    static let keyCommands = [
        Command(
            words: ["keys", "list"], operands: "TOPIC@NAME", operandCount: 1...1,
            summary: "List the ordering keys that are not free",
            options: [
                Option("parked", help: "only those that a dead letter parks"),
                Option("after", value: "KEY", help: "begin behind this key"),
                Option("limit", short: "n", value: "N", help: "at most N (default 100)"),
            ], hasJSON: true, run: listKeys),
        Command(
            words: ["keys", "release"], operands: "TOPIC@NAME [KEY]…", operandCount: 1...10_000,
            summary: "Let the messages of parked keys go on, of all keys or of those named",
            notes: "The dead letters stay; a key that is not parked is passed over.", run: releaseKeys),
    ]

    @MainActor private static func listKeys(_ invocation: Invocation) async throws {
        let name = try invocation.subscription()
        let limit = Int(try invocation.number("limit", default: 100))
        let after = invocation.input.value("after") ?? ""
        let parkedOnly = invocation.input.has("parked")
        let keys = try await invocation.withBroker { client in
            // One more than asked for tells whether there are more.
            try await client.keys(of: name, after: after, atMost: limit + 1, parkedOnly: parkedOnly)
        }
        let report = KeyListReport(
            subscription: name.full, keys: keys.prefix(limit).map { KeyReport($0) }, hasMore: keys.count > limit)
        if invocation.wantsJSON { return try invocation.console.print(json: report) }
        invocation.console.print(report.text(invocation.console.style))
    }

    @MainActor private static func releaseKeys(_ invocation: Invocation) async throws {
        let name = try invocation.subscription()
        let keys = Array(invocation.input.operands.dropFirst())
        let count = try await invocation.withBroker { try await $0.releaseKeys(keys, of: name) }
        invocation.console.print("released \(count) keys of \(name.full)")
    }
}

extension BrokerClient {
    /// Reads page after page.
    fileprivate func keys(
        of name: SubscriptionName, after: String, atMost limit: Int, parkedOnly: Bool
    ) async throws(BrokerError) -> [KeyStatus] {
        var keys: [KeyStatus] = []
        while keys.count < limit {
            let page = try await self.keys(
                of: name, after: keys.last?.key ?? after, limit: UInt32(min(limit - keys.count, 500)),
                parkedOnly: parkedOnly)
            if page.isEmpty { break }
            keys += page
        }
        return keys
    }
}

struct KeyReport: Encodable {
    let key: String
    let state: String
    /// Absent when no message holds it.
    let message: UInt64?
    let held: UInt64

    init(_ status: KeyStatus) {
        key = status.key
        state =
            switch status.state {
            case .inFlight: "in flight"
            case .waiting: "waiting for a retry"
            case .parked: "parked"
            case .limited: "limited"
            }
        message = status.owner.rawValue == 0 ? nil : status.owner.rawValue
        held = status.held
    }
}

struct KeyListReport: Encodable {
    let schema = 1
    let subscription: String
    let keys: [KeyReport]
    /// More than `--limit` showed.
    let hasMore: Bool

    func text(_ style: Style) -> String {
        if keys.isEmpty { return "every ordering key of \(subscription) is free\n" }
        var table = TextTable(.number("MESSAGE"), .number("HELD"), "STATE", "KEY")
        for key in keys {
            table.add(key.message.map { "\($0)" } ?? "", "\(key.held)", key.state, key.key.printable)
        }
        return table.text(style) + (hasMore ? "…and more: raise --limit\n" : "")
    }
}
