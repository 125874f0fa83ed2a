import Foundation
import LinuxIO
import TestSupport
import Testing

/// How often a message allocates between its frame and its acknowledgement. `scripts/bench` counts the same of the
/// whole server, as it is shipped.
///
/// The counter sees the whole process, so the test starts itself again with that one test alone.
@Suite("Allocations", .timeLimit(.minutes(5)))
struct AllocationTests {
    private static let counter = ProcessInfo.processInfo.environment["ALLOCATIONS_FILE"]

    /// Without optimisation closures, coroutines and generic values are allocated; the limit of such a build only shows
    /// that no more come.
    private static let perMessageMax = _isDebugAssertConfiguration() ? 30 : 0.2

    @Test("In steady state protocol, state and log allocate for a batch, not for each message")
    func isRare() async throws {
        guard Self.counter == nil else { return }
        let directory = try TemporaryDirectory()
        let (library, file) = (directory.path + "/allocations.so", directory.path + "/count")
        try await ClientProgram.run([
            "sh", "-c", "exec $(command -v cc || command -v clang) -O2 -shared -fPIC -o \"$1\" \"$0\"",
            ClientProgram.root + "/Benchmarks/measure/allocations.c", library,
        ])
        let result = directory.path + "/result"
        let child = try ChildProcess(
            [
                try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe"), "--testing-library",
                "swift-testing", "--filter", "AllocationTests/counted",
            ],
            environment: ["LD_PRELOAD": library, "ALLOCATIONS_FILE": file, "ALLOCATIONS_RESULT": result])
        let ending = try await child.end()
        #expect(ending == .exited(0), "\(child.text)")
        let text = try String(contentsOfFile: result, encoding: .utf8)
        let perMessage = try #require(Double(text))
        #expect(perMessage < Self.perMessageMax, "\(text) allocations a message")
    }

    @Test("The count of one process", .enabled(if: counter != nil, "the test above runs it in a process of its own"))
    func counted() throws {
        let batch = 64
        let path = try HotPath(batch: batch)
        // The tail of the log that is kept in memory becomes full, and everything as large as it will be.
        let (before, turns) = (1_000, 400)
        for _ in 0..<before { try path.turn() }
        let start = try count()
        for _ in 0..<turns { try path.turn() }
        let allocations = try count() - start
        #expect(path.confirmed == (before + turns) * batch)
        #expect(path.delivered == path.confirmed && path.settled == path.delivered - batch)
        let result = try #require(ProcessInfo.processInfo.environment["ALLOCATIONS_RESULT"])
        try "\(Double(allocations) / Double(turns * batch))".write(toFile: result, atomically: false, encoding: .utf8)
    }

    private func count() throws -> UInt64 {
        let bytes = try Data(contentsOf: URL(fileURLWithPath: try #require(Self.counter)))
        return bytes.reversed().reduce(0) { $0 << 8 | UInt64($1) }
    }
}
