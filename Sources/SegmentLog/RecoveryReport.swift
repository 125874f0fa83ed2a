/// How far a start has read the log.
package struct RecoveryProgress: Equatable, Sendable {
    package var bytesDone: Int
    package var bytesTotal: Int
}

/// What an unfinished write left behind the last good record. It was never confirmed, and it was cut.
package struct TornTail: Equatable, Sendable, CustomStringConvertible {
    package var file: String
    /// Of the first byte that was cut.
    package var offset: Int
    package var bytes: Int

    package var description: String { "an unfinished write was cut: \(file), offset \(offset), \(bytes) bytes" }
}

/// What a start found, and did.
package struct RecoveryReport: Equatable, Sendable {
    /// The directory held no log; a new one was made.
    package var isFresh = false
    /// The last run closed the log in order.
    package var wasClosed = false
    package var records = 0
    package var payloadBytes = 0
    package var firstSegment: UInt64 = 0
    package var lastSegment: UInt64 = 0
    /// The position after the last record.
    package var end: UInt64 = 0
    package var tornTail: TornTail?
    /// How much behind the watermark was written and synced again, because it may have been in the page cache only.
    package var rewrittenBytes = 0
    /// What an operator should know, one sentence each; the torn tail is among them.
    package var warnings: [String] = []
}
