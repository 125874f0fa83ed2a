import TestSupport
import Testing

/// strace, which delays, fails or kills at exact system calls.
enum Tracer {
    static let isThere: Bool = {
        guard let child = try? ChildProcess(["strace", "-o", "/dev/null", "true"]) else { return false }
        return (try? child.waitUntilEnded()) == .exited(0)
    }()

    static let reason: Comment = "needs strace and the right to trace; scripts/setup installs it"

    /// The words before a program that is to be traced from its start.
    static func command(_ arguments: [String]) -> [String] { ["strace", "-f", "-o", "/dev/null"] + arguments }

    /// Traces all threads of a running process. Returns when it does.
    static func attach(to child: ChildProcess, _ arguments: [String]) async throws -> ChildProcess {
        let tracer = try ChildProcess(
            command(arguments) + ["-p", String(child.identifier)])
        try await tracer.line(with: "attached")
        return tracer
    }
}
