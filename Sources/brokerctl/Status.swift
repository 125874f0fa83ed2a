import BrokerProtocol

extension Command {
    static let statusCommand = Command(
        words: ["status"], summary: "Show the broker in numbers", hasJSON: true
    ) { invocation in
        let status = try await invocation.withBroker { try await $0.status() }
        if invocation.wantsJSON { return try invocation.console.print(json: StatusReport(status)) }
        invocation.console.print(StatusReport(status).text(invocation.console.style))
    }
}

/// The broker in numbers, as brokerctl shows it.
struct StatusReport: Encodable {
    let schema = 1
    let version: String
    let epoch: UInt32
    let uptimeMilliseconds: Int64
    let connections: UInt32
    let topics: UInt32
    let messages: UInt64
    let ready: UInt64
    let delayed: UInt64
    let leased: UInt64
    let dead: UInt64
    let published: UInt64
    let delivered: UInt64
    let acknowledged: UInt64
    let logSegments: UInt64
    let logFreeBytes: UInt64
    let figures: [String: Int64]

    init(_ status: BrokerStatus) {
        version = status.version
        epoch = status.epoch
        uptimeMilliseconds = status.uptimeMilliseconds
        connections = status.connections
        topics = status.topics
        messages = status.messages
        ready = status.ready
        delayed = status.delayed
        leased = status.leased
        dead = status.dead
        published = status.published
        delivered = status.delivered
        acknowledged = status.acknowledged
        logSegments = status.logSegments
        logFreeBytes = status.logFreeBytes
        figures = status.figures.byName
    }

    func text(_ style: Style) -> String {
        let seconds = uptimeMilliseconds / 1000
        let uptime = SettingText.span(milliseconds: seconds < 120 ? seconds * 1000 : seconds / 60 * 60_000)
        let deadText = dead > 0 ? style.red("\(dead) dead") : "0 dead"
        let rows = [
            ("broker", "\(version), up \(uptime), start \(epoch), \(connections) connections"),
            ("topics", "\(topics), holding \(messages) messages"),
            ("now", "\(ready) ready, \(delayed) delayed, \(leased) leased, \(deadText)"),
            ("since start", "\(published) published, \(delivered) delivered, \(acknowledged) acknowledged"),
            ("log", "\(logSegments) segments, \(logFreeBytes >> 20) MiB free for publishes"),
        ]
        return (rows + figures.sorted { $0.key < $1.key }.map { ("", "\($0.key) \($0.value)") }).map { name, value in
            style.bold(name) + String(repeating: " ", count: 13 - name.count) + value + "\n"
        }.joined()
    }
}
