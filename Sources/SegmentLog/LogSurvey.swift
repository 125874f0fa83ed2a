/// One record as it stands in a log.
package struct LogEntry: Equatable, Sendable {
    package var position: UInt64
    package var epoch: UInt32
    package var payload: [UInt8]
}

/// What a look at a log directory found. Nothing was changed by it.
package struct LogSurvey: Equatable, Sendable {
    package struct Superblock: Equatable, Sendable {
        package var file: String
        /// What is wrong with it; the other fields are 0 then.
        package var problem: String?
        package var epoch: UInt32 = 0
        package var watermark: UInt64 = 0
        package var firstSegment: UInt64 = 0
        package var isClosed = false
    }

    package enum Verdict: Equatable, Sendable {
        /// All records are good up to the seal.
        case sealed
        /// All records are good; the segment has room for more.
        case open
        /// Behind the good records lies an unfinished write that was never confirmed; a start cuts it.
        case torn(bytes: Int)
        /// Bytes that were durable are not what was written; a start refuses.
        case damaged(reason: String)
    }

    package struct Segment: Equatable, Sendable {
        package var file: String
        package var segment: UInt64
        package var records = 0
        package var payloadBytes = 0
        /// The lowest and the highest epoch of its records.
        package var epochs: ClosedRange<UInt32>?
        /// The offset of the first byte that is not part of a good record, or of the end of the records.
        package var end: Int
        package var verdict: Verdict = .open
        /// Good records behind the first bad place; salvaging copies them.
        package var recordsBehindDamage = 0
    }

    package var superblocks: [Superblock] = []
    /// 32 hexadecimal digits.
    package var identity = ""
    package var segmentBytes = 0
    /// Everything below was synced.
    package var watermark: UInt64 = 0
    package var segments: [Segment] = []
    /// Why a start would refuse, apart from what the segments say.
    package var problems: [String] = []

    /// Whether a start would accept the log.
    package var isSound: Bool {
        problems.isEmpty
            && segments.allSatisfy { if case .damaged = $0.verdict { false } else { true } }
    }

    package var records: Int { segments.reduce(0) { $0 + $1.records } }
}

/// What salvaging copied, and what the source had lost.
package struct SalvageReport: Equatable, Sendable {
    package var records: Int
    package var payloadBytes: Int
    /// The bad places, one sentence each; empty when nothing was lost.
    package var losses: [String]
}
