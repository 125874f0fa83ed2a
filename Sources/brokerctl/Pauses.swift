import BrokerClient
import BrokerProtocol
import LinuxIO

extension Command {
    static let pauseCommands = [
        Command(
            words: ["pause"], operands: "TOPIC|TOPIC@NAME", operandCount: 1...1,
            summary: "Hold up the publishes and deliveries of a topic, or the deliveries of a subscription",
            notes: "Without --until and --for it lasts until `brokerctl resume`.",
            options: [
                intake, delivery,
                Option("until", value: "TIME", help: "goes on at this time, such as 2026-03-01T12:00:00Z"),
                Option("for", value: "SPAN", help: "goes on after this time, such as 10m"),
            ], run: pause),
        Command(
            words: ["resume"], operands: "TOPIC|TOPIC@NAME", operandCount: 1...1,
            summary: "Let what was paused go on", options: [intake, delivery], run: resume),
    ]

    private static let intake = Option("intake", help: "the publishes of a topic only")
    private static let delivery = Option("delivery", help: "the deliveries only")

    @MainActor private static func pause(_ invocation: Invocation) async throws {
        let (target, scope) = try invocation.paused()
        let until = try invocation.time(at: "until", after: "for")
        try await invocation.withBroker { try await $0.pause(target, scope, until: until) }
        invocation.console.print("paused \(scope.words)\(target)" + (until.map { " until \($0.text)" } ?? ""))
    }

    @MainActor private static func resume(_ invocation: Invocation) async throws {
        let (target, scope) = try invocation.paused()
        try await invocation.withBroker { try await $0.resume(target, scope) }
        invocation.console.print("resumed \(scope.words)\(target)")
    }
}

extension PauseScope {
    fileprivate var words: String {
        switch self {
        case .intake: "the intake of "
        case .delivery: "the delivery of "
        case .both: ""
        }
    }
}

extension Invocation {
    /// What the user wants held up: of a topic everything when nothing is said, of a subscription its deliveries.
    fileprivate func paused() throws(Failure) -> (PauseTarget, PauseScope) {
        guard let target = PauseTarget(input.operands[0]) else {
            throw wrong("`\(input.operands[0])` is neither a topic nor TOPIC@NAME")
        }
        if case .subscription = target {
            if input.has("intake") { throw wrong("a subscription has no intake; that is its topic's") }
            return (target, .delivery)
        }
        if input.has("intake") != input.has("delivery") { return (target, input.has("intake") ? .intake : .delivery) }
        return (target, .both)
    }

    /// A time that the user gave, or a span from now; nil without both.
    func time(at: String, after: String) throws(Failure) -> WallTime? {
        switch (input.value(at), input.value(after)) {
        case (nil, nil): return nil
        case (let text?, nil):
            guard let time = WallTime(parsing: text) else {
                throw wrong("--\(at) \(text): expected a time like 2026-03-01T12:00:00Z")
            }
            return time
        case (nil, let text?):
            return WallTime(milliseconds: Clocks.wallMilliseconds()).adding(milliseconds: try span(after, text))
        case (_?, _?): throw wrong("--\(at) and --\(after) exclude each other")
        }
    }

    func span(_ option: String, _ text: String) throws(Failure) -> Int64 {
        guard let milliseconds = SettingText.milliseconds(text) else {
            throw wrong("--\(option) \(text): expected a time span such as 250ms, 30s, 10m, 12h, 7d")
        }
        return milliseconds
    }
}
