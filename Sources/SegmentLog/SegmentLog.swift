/// An append-only log of opaque payloads with group commit.
package final class SegmentLog {
    private init() {}

    package static func open(
        directory: String, options: LogOptions = LogOptions(), storage: any LogStorage = FileStorage(),
        onDurable: @escaping @Sendable () -> Void,
        progress: (RecoveryProgress) -> Void = { _ in },
        replay: (_ position: UInt64, _ payload: [UInt8]) throws -> Void
    ) throws -> (log: SegmentLog, report: RecoveryReport) { throw LogError.closed }

    package var epoch: UInt32 { 0 }
    package func append(_ payload: [UInt8]) throws(LogError) -> UInt64 { throw .closed }
    package func startsSegment(payloadBytes: Int) -> Bool { false }
    package var end: UInt64 { 0 }
    package var durableEnd: UInt64 { 0 }
    package func flush() {}
    package var failure: LogError? { nil }
    package func read(_ position: UInt64) throws(LogError) -> [UInt8] { throw .closed }
    package var segmentBytes: UInt64 { 0 }
    package var firstSegment: UInt64 { 0 }
    package var lastSegment: UInt64 { 0 }
    package func recycle(before segment: UInt64) {}
    package var publishBytesFree: Int { 0 }
    package var totalBytes: Int { 0 }
    package var freeBytes: Int { 0 }
    package var statistics: LogStatistics { LogStatistics() }
    package var heartbeat: LogHeartbeat { LogHeartbeat() }
    package func waitForSpares() {}
    package func close() throws(LogError) {}
}
