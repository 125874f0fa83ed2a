import LinuxIO

/// Reads log directories without changing them, with the same eyes as a start.
///
/// Reading needs no lock. While a broker runs on the directory its unsynced records may look like a torn tail, and
/// segments may go away under the reader: what is found then is no proof of damage.
package enum LogInspector {
    /// Reads and checks everything.
    /// - Throws: ``LogError`` when the directory cannot be read or holds nothing that tells which log it is.
    package static func verify(
        directory: String, storage: any LogStorage = FileStorage()
    ) throws(LogError) -> LogSurvey {
        var walk = try LogWalk(LogDirectory(directory, storage: storage))
        return try walk.run { _ in true }
    }

    /// Gives every good record from a position on, in order, until `body` returns false.
    /// - Returns: What is wrong with the part that was read, one sentence each.
    package static func dump(
        directory: String, storage: any LogStorage = FileStorage(), from position: UInt64 = 0,
        _ body: (LogEntry) -> Bool
    ) throws(LogError) -> [String] {
        var walk = try LogWalk(LogDirectory(directory, storage: storage))
        walk.from = position
        return try walk.run(body).losses
    }

    /// Copies every good record into a fresh log in another directory. Positions and epochs are new there.
    /// - Throws: ``LogError/locked(directory:)`` while a broker has the source or the target open;
    ///   ``LogError/notEmpty(directory:)`` when the target holds a log already.
    package static func salvage(
        directory: String, to target: String, storage: any LogStorage = FileStorage()
    ) throws(LogError) -> SalvageReport {
        let source = LogDirectory(directory, storage: storage)
        let lock = try? storage.open(source.file(LogDirectory.lockName), .readWrite)
        if let lock {
            guard try system({ () throws(SystemError) in try lock.lockExclusively() }) else {
                throw .locked(directory: directory)
            }
        }
        var walk = try LogWalk(source)
        let copy = try SalvageCopy(target, storage: storage, segmentBytes: walk.geometry.segmentBytes)
        var failure: LogError?
        let survey = try walk.run { entry in
            do throws(LogError) {
                try copy.add(entry.payload)
                return true
            } catch {
                failure = error
                return false
            }
        }
        if let failure { throw failure }
        try copy.log.close()
        return SalvageReport(records: copy.records, payloadBytes: copy.payloadBytes, losses: survey.losses)
    }
}

/// The fresh log that salvaging fills.
private final class SalvageCopy {
    private static let unsyncedBytesMax: UInt64 = 8 << 20

    let log: SegmentLog
    private let syncs: Monitor<Int>
    private(set) var records = 0
    private(set) var payloadBytes = 0

    init(_ directory: String, storage: any LogStorage, segmentBytes: Int) throws(LogError) {
        let syncs = Monitor(0)
        self.syncs = syncs
        let options = LogOptions(segmentBytes: segmentBytes, recordBytesMax: segmentBytes, tailCacheBytes: 0)
        do {
            let (log, report) = try SegmentLog.open(
                directory: directory, options: options, storage: storage,
                onDurable: { syncs.update { $0 += 1 } }, replay: { _, _ in })
            guard report.isFresh else { throw LogError.notEmpty(directory: directory) }
            self.log = log
        } catch let error as LogError {
            throw error
        } catch {
            preconditionFailure("opening a log threw \(error)")
        }
    }

    func add(_ payload: [UInt8]) throws(LogError) {
        _ = try log.append(payload)
        records += 1
        payloadBytes += payload.count
        guard log.end - log.durableEnd > Self.unsyncedBytesMax else { return }
        log.flush()
        syncs.wait { _ in log.end == log.durableEnd || log.failure != nil ? () : nil }
    }
}

extension LogSurvey {
    /// Everything that a start would refuse for, one sentence each.
    package var losses: [String] {
        problems
            + segments.compactMap { segment in
                guard case .damaged(let reason) = segment.verdict else { return nil }
                return "\(segment.file), offset \(segment.end): \(reason)"
            }
    }
}
