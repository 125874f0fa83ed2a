import SegmentLog

/// `log verify`.
struct LogReport: Encodable {
    struct Segment: Encodable {
        let file: String
        let records: Int
        let payloadBytes: Int
        /// sealed, open, torn or damaged.
        let verdict: String
        let reason: String?
    }

    let schema = 1
    let directory: String
    /// Whether a broker would start on it.
    let sound: Bool
    let identity: String
    let segmentBytes: Int
    let watermark: UInt64
    let records: Int
    let segments: [Segment]
    /// One sentence each; empty when it is sound.
    let losses: [String]

    init(_ survey: LogSurvey, directory: String) {
        self.directory = directory
        sound = survey.isSound
        identity = survey.identity
        segmentBytes = survey.segmentBytes
        watermark = survey.watermark
        records = survey.records
        losses = survey.losses
        segments = survey.segments.map { segment in
            let (verdict, reason): (String, String?) =
                switch segment.verdict {
                case .sealed: ("sealed", nil)
                case .open: ("open", nil)
                case .torn(let bytes): ("torn", "\(bytes) bytes of an unfinished write; a start cuts them")
                case .damaged(let reason): ("damaged", reason)
                }
            return Segment(
                file: segment.file, records: segment.records, payloadBytes: segment.payloadBytes, verdict: verdict,
                reason: reason)
        }
    }

    var advice: String {
        "the log in \(directory) is damaged; `brokerctl log salvage \(directory) --to NEW` copies what is good"
    }

    func text(_ style: Style) -> String {
        var table = TextTable("SEGMENT", .number("RECORDS"), .number("BYTES"), "STATE", "")
        for segment in segments {
            table.add(
                segment.file, "\(segment.records)", "\(segment.payloadBytes)",
                segment.verdict == "damaged" ? style.red(segment.verdict) : segment.verdict, segment.reason ?? "")
        }
        return style.bold("log \(identity)") + ", segments of \(segmentBytes) bytes, synced up to \(watermark)\n\n"
            + table.text(style) + losses.map { style.red("lost: ") + $0 + "\n" }.joined()
            + "\n\(records) records, \(sound ? "sound" : "damaged")\n"
    }
}

/// A record, as `log dump` shows it.
struct RecordReport: Encodable {
    let position: UInt64
    let epoch: UInt32
    let payloadBytes: Int
    /// What the record says, one sentence each.
    let facts: [String]

    init(_ entry: LogEntry, facts: [String]) {
        position = entry.position
        epoch = entry.epoch
        payloadBytes = entry.payload.count
        self.facts = facts
    }

    func text(_ style: Style) -> String {
        "\(style.bold("\(position)"))  start \(epoch)  \(payloadBytes) bytes"
            + facts.map { "\n    \($0.printable)" }.joined()
    }
}
