import DaemonKit
import LinuxIO
import Testing

@Suite("Watchdog")
struct WatchdogTests {
    private struct Step {
        let now: Int64
        var loop: UInt64 = 0
        var writer: UInt64 = 0
        var writerHasWork = false
        var stalled: [String] = []
    }

    private static let tables: [(String, [Step])] = [
        ("turning parts are fed", [.init(now: 0), .init(now: 900, loop: 1), .init(now: 1_900, loop: 2)]),
        (
            "a loop that stands still longer than the limit is not",
            [.init(now: 0), .init(now: 1_000), .init(now: 1_001, stalled: ["loop"]), .init(now: 1_002, loop: 1)]
        ),
        (
            "a writer at rest may rest",
            [.init(now: 0), .init(now: 900, loop: 1), .init(now: 50_000, loop: 2)]
        ),
        (
            "a writer that got work after a rest has the whole time for it",
            [
                .init(now: 0), .init(now: 9_000, loop: 1, writerHasWork: true),
                .init(now: 9_900, loop: 2, writerHasWork: true),
                .init(now: 10_200, loop: 3, writerHasWork: true, stalled: ["writer"]),
                .init(now: 10_300, loop: 4, writer: 1, writerHasWork: true),
            ]
        ),
        (
            "all stalled parts are named",
            [.init(now: 0, writerHasWork: true), .init(now: 2_000, writerHasWork: true, stalled: ["loop", "writer"])]
        ),
    ]

    @Test("The gate opens for progress and for rest only", arguments: tables.indices)
    func gate(index: Int) {
        let (name, steps) = Self.tables[index]
        var gate = WatchdogGate(stallMilliseconds: 1_000)
        for step in steps {
            let verdict = gate.judge(
                [
                    .init(name: "loop", turns: step.loop, hasWork: true),
                    .init(name: "writer", turns: step.writer, hasWork: step.writerHasWork),
                ], now: step.now)
            let expected = step.stalled.isEmpty ? WatchdogGate.Verdict.ping : .withhold(stalled: step.stalled)
            #expect(verdict == expected, "\(name), at \(step.now)")
        }
    }

    @Test("The thread pings while there is progress, says once why it stops, and ends when asked")
    func thread() {
        struct Seen {
            var pings = 0
            var warnings: [LogRecord] = []
        }
        let turns = Monitor<(count: UInt64, isHung: Bool)>((0, false))
        let seen = Monitor(Seen())
        let watchdog = Watchdog(
            intervalMilliseconds: 10, notifier: ServiceNotifier { _ in seen.update { $0.pings += 1 } },
            logger: Logger { record in seen.update { $0.warnings.append(record) } }
        ) {
            let count = turns.with { state in
                if !state.isHung { state.count += 1 }
                return state.count
            }
            return [.init(name: "loop", turns: count, hasWork: true)]
        }
        #expect(seen.wait(milliseconds: 10_000) { $0.pings >= 3 ? true : nil } == true)
        turns.update { $0.isHung = true }
        #expect(seen.wait(milliseconds: 10_000) { $0.warnings.isEmpty ? nil : true } == true)
        watchdog.stop()
        #expect(seen.with { $0.warnings.map(\.event) } == [.watchdogWithheld])
        #expect(seen.with { $0.warnings.first?.fields.first?.value } == "loop")
    }
}
