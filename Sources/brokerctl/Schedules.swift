import BrokerClient
import BrokerProtocol
import LinuxIO

extension Command {
    static let scheduleCommands = [
        Command(words: ["schedule", "list"], summary: "List the schedules", hasJSON: true, run: listSchedules),
        Command(
            words: ["schedule", "set"], operands: "NAME TOPIC CRON", operandCount: 3...3,
            summary: "Publish a message at each tick of a cron line; replaces the schedule of that name",
            notes: """
                CRON is one argument: 'minute hour day-of-month month day-of-week', '@every SPAN', '@hourly', '@daily',
                '@weekly', '@monthly' or '@yearly'.
                """,
            options: [
                Option("zone", value: "ZONE", help: "of the cron line, such as Europe/Berlin (default UTC)"),
                Option("missed", value: "RULE", help: "ticks while the broker is down: skip (default), latest, all"),
                Option("body", value: "TEXT", help: "of the message"),
                Option("file", short: "f", value: "FILE", help: "the body is read from a file"),
                Option("header", short: "H", value: "KEY=VALUE", help: "of the message; repeatable"),
                Option("priority", value: "N", help: "0 to 9 (default 4)"),
                Option("key", value: "KEY", help: "ordering key of the message"),
                Option("expires", value: "SPAN", help: "the message expires so long after its tick"),
                Option("paused", help: "it does not tick until it is resumed"),
            ], run: setSchedule),
        Command(
            words: ["schedule", "pause"], operands: "NAME", operandCount: 1...1,
            summary: "Stop the ticks of a schedule"
        ) { invocation in
            let name = try invocation.scheduleName()
            try await invocation.withBroker { try await $0.pauseSchedule(name) }
            invocation.console.print("paused schedule \(name)")
        },
        Command(
            words: ["schedule", "resume"], operands: "NAME", operandCount: 1...1,
            summary: "Let a schedule tick again"
        ) { invocation in
            let name = try invocation.scheduleName()
            try await invocation.withBroker { try await $0.resumeSchedule(name) }
            invocation.console.print("resumed schedule \(name)")
        },
        Command(
            words: ["schedule", "delete"], operands: "NAME", operandCount: 1...1, summary: "Delete a schedule"
        ) { invocation in
            let name = try invocation.scheduleName()
            try await invocation.withBroker { try await $0.deleteSchedule(name) }
            invocation.console.print("deleted schedule \(name)")
        },
    ]

    @MainActor private static func listSchedules(_ invocation: Invocation) async throws {
        let schedules = try await invocation.withBroker { try await $0.schedules() }
        let report = SchedulesReport(schedules: schedules.map { ScheduleReport($0) })
        if invocation.wantsJSON { return try invocation.console.print(json: report) }
        invocation.console.print(report.text(invocation.console.style))
    }

    @MainActor private static func setSchedule(_ invocation: Invocation) async throws {
        let schedule = try invocation.schedule()
        try await invocation.withBroker { try await $0.setSchedule(schedule) }
        invocation.console.print("set schedule \(schedule.name)")
    }
}

extension Invocation {
    fileprivate func scheduleName() throws(Failure) -> ScheduleName {
        guard let name = ScheduleName(input.operands[0]) else {
            throw wrong(
                "`\(input.operands[0])` is no schedule's name: 1 to 255 bytes without space, control characters, @")
        }
        return name
    }

    fileprivate func schedule() throws -> Schedule {
        var schedule = Schedule(try scheduleName(), topic: try topic(1), cron: input.operands[2])
        schedule.zone = input.value("zone") ?? "UTC"
        schedule.missed = try missed()
        schedule.isPaused = input.has("paused")
        schedule.headers = try input.values("header").map { text in
            let (key, value) = try pair(text)
            return Header(key, value)
        }
        if let text = input.value("priority") {
            guard let priority = UInt8(text), priority <= 9 else { throw wrong("--priority \(text): expected 0 to 9") }
            schedule.priority = priority
        }
        schedule.orderingKey = input.value("key")
        schedule.expiryMilliseconds = try input.value("expires").map { try span("expires", $0) }
        schedule.body = try body()
        return schedule
    }

    private func missed() throws(Failure) -> MissedTicks {
        switch input.value("missed") {
        case nil, "skip": return .skip
        case "latest": return .latest
        case "all": return .all
        case let text?: throw wrong("--missed \(text): expected skip, latest or all")
        }
    }

    private func body() throws -> [UInt8] {
        switch (input.value("body"), input.value("file")) {
        case (nil, nil): return []
        case (let text?, nil): return Array(text.utf8)
        case (nil, let path?):
            let file = try File(path: path, .read)
            return try file.read(at: 0, count: try file.size())
        case (_?, _?): throw wrong("--body and --file exclude each other")
        }
    }
}

/// `schedule list`.
struct SchedulesReport: Encodable {
    let schema = 1
    let schedules: [ScheduleReport]

    func text(_ style: Style) -> String {
        if schedules.isEmpty { return "no schedules\n" }
        var table = TextTable(
            "NAME", "TOPIC", "CRON", "ZONE", "NEXT", "LAST", .number("FIRED"), .number("REFUSED"), "LAST REFUSAL")
        for one in schedules {
            table.add(
                one.name, one.topic, one.cron.printable, one.zone.printable,
                one.next ?? (one.paused ? "paused" : "never"), one.last ?? "", "\(one.fired)", "\(one.refused)",
                one.lastRefusal?.printable ?? "")
        }
        return table.text(style)
    }
}

struct ScheduleReport: Encodable {
    let name: String
    let topic: String
    let cron: String
    let zone: String
    let missed: String
    let paused: Bool
    let next: String?
    let last: String?
    let fired: UInt64
    let refused: UInt64
    let lastRefusal: String?
    let priority: UInt8
    let orderingKey: String?
    let expiresMilliseconds: Int64?
    let headers: [String: String]
    let body: BodyReport

    init(_ status: ScheduleStatus) {
        let schedule = status.schedule
        name = schedule.name.text
        topic = schedule.topic.text
        cron = schedule.cron
        zone = schedule.zone
        missed = "\(schedule.missed)"
        paused = schedule.isPaused
        next = status.next?.text
        last = status.last?.text
        fired = status.fired
        refused = status.refused
        lastRefusal = status.lastRefusal
        priority = schedule.priority
        orderingKey = schedule.orderingKey
        expiresMilliseconds = schedule.expiryMilliseconds
        headers = schedule.headers.dictionary
        body = BodyReport(schedule.body)
    }
}
