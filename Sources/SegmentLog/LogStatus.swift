package import LinuxIO

/// Counters since the start.
package struct LogStatistics: Equatable, Sendable {
    package var syncs: UInt64 = 0
    package var bytesWritten: UInt64 = 0
    package var lastSyncMicroseconds: Int64 = 0
    package var maxSyncMicroseconds: Int64 = 0
    /// Empty segments that wait for use.
    package var sparesReady = 0
    /// Why the last try to make one failed; nil when there is no trouble.
    package var spareProblem: SystemError?
}

/// What a watchdog compares: a writer that is busy must move on.
package struct LogHeartbeat: Equatable, Sendable {
    /// Grows with each step that the writer finishes.
    package var steps: UInt64 = 0
    /// Since when the present step runs, in microseconds of the monotonic clock; nil while the writer is idle.
    package var busySince: Int64?
}
