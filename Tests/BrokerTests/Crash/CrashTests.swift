import Foundation
import LinuxIO
import TestSupport
import Testing

extension ProcessTests {
    /// The daemon is killed again and again while clients do everything they can, and nothing that was confirmed may be
    /// lost. `CRASH_CYCLES` sets how often, `CRASH_SEED` repeats a run's choices (not the kernel's).
    @Suite("Crash", .serialized)
    struct CrashTests {
        private static func number(_ name: String) -> UInt64? {
            ProcessInfo.processInfo.environment[name].flatMap { UInt64($0) }
        }

        /// Runs the deaths on a directory of its own, drains what is left, and judges it all.
        private func run(_ name: String, seed: UInt64, _ deaths: [KillRun.Death]) async throws -> KillRun {
            let house = try ServiceHouse(Scene.configuration)
            let before = Clocks.monotonicMilliseconds()
            let run = try await blocking { [path = house.path, socket = house.socket] in
                var run = KillRun(path: path, socket: socket, seed: seed)
                try run.run(deaths)
                return run
            }
            let milliseconds = Clocks.monotonicMilliseconds() - before
            let violations = Checker.check(run.history, Scene.setting, run.remains)
            let again = "CRASH_SEED=\(seed) CRASH_CYCLES=\(deaths.count) swift test --filter CrashTests/\(name)"
            print("crash: \(deaths.count) kills in \(milliseconds) ms, \(run.summary); again: \(again)")
            #expect(violations.isEmpty, "\(violations.map(\.description).joined(separator: "\n"))\nagain: \(again)")
            #expect(run.failures.isEmpty, "again: \(again)")
            // A run in which little happened proves little.
            #expect(run.history.operationCount > deaths.count * 10)
            return run
        }

        private let seed = Self.number("CRASH_SEED") ?? Entropy.word() >> 32
        private let cycles = Int(Self.number("CRASH_CYCLES") ?? 20)

        @Test("Whatever is killed when, every confirmed publish and every confirmed verdict holds")
        func kills() async throws {
            _ = try await run("kills", seed: seed, Array(repeating: .random, count: cycles))
        }

        @Test("Killed at each of its writes and syncs in turn", .enabled(if: Tracer.isThere, Tracer.reason))
        func killPoints() async throws {
            let calls = ["pwrite64", "fdatasync", "rename"]
            // Sixty reach every call of a start and of the first segments; more only take longer.
            let deaths = (0..<min(cycles, 60)).map { index in
                let call = calls[index % calls.count]
                // The first ones are those of the recovery; each thread counts its own. A rename comes once a segment.
                let round = index / calls.count
                let count = call == "rename" ? round % 5 + 1 : round + 1
                return KillRun.Death.traced(
                    Tracer.command(["-e", "trace=\(call)", "-e", "inject=\(call):signal=KILL:when=\(count)"]))
            }
            let run = try await run("killPoints", seed: seed, deaths)
            #expect(run.endings.map(\.ending) == Array(repeating: .killed(by: 9), count: deaths.count))
        }

        @Test(
            "A write or a sync that fails ends the daemon with 74, and the next start has what was confirmed",
            .enabled(if: Tracer.isThere, Tracer.reason))
        func failures() async throws {
            let faults = [
                ("fdatasync", "EIO", "Input/output error"), ("pwrite64", "EIO", "Input/output error"),
                ("pwrite64", "ENOSPC", "No space left on device"), ("fdatasync", "EIO", "Input/output error"),
            ]
            let deaths = faults.map { (call, code, _) in
                KillRun.Death.traced(
                    Tracer.command(["-e", "trace=\(call)", "-e", "inject=\(call):error=\(code):when=12+"]))
            }
            let run = try await run("failures", seed: seed, deaths)
            for (life, fault) in zip(run.endings, faults) {
                #expect(life.ending == .exited(74))
                let line = life.text.split(separator: "\n").first { $0.contains("\"level\":\"critical\"") }
                let text = try #require(line, "\(life.text)")
                #expect(
                    text.contains(fault.0 == "pwrite64" ? "pwrite " : "fdatasync ") && text.contains(fault.2)
                        && text.contains("a restart recovers"))
            }
            #expect(run.endings.count == faults.count)
        }
    }
}
