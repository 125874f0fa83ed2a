import LinuxIO

/// Runs what blocks on a thread of its own, so that the few threads of the pool stay free for the other tests.
package func blocking<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) async throws -> Value {
    try await withCheckedThrowingContinuation { continuation in
        _ = SystemThread(name: "test") {
            SystemThread.detachCurrent()
            SystemThread.blockBrokenPipeSignal()
            continuation.resume(with: Result { try body() })
        }
    }
}

/// Something that a test waited for and that did not come. Long, because the machine may be busy: a test that passes
/// never waits for it.
package struct Late: Error, CustomStringConvertible {
    package static let milliseconds: Int64 = 30_000
    package let description: String
    package init(_ what: String) { description = "after \(Self.milliseconds) ms still missing: \(what)" }
}
