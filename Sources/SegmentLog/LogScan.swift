import LinuxIO

/// Where the records of a log end.
struct LogTail {
    var file: any LogFile
    var path: String
    var segment: UInt64
    /// The position after the last record.
    var end: UInt64
    /// The last record is a seal; the next one starts a new segment.
    var isSealed: Bool
    /// Everything below is certainly durable.
    var watermark: UInt64
    /// The offset in the file up to which remains of an unfinished write may lie; that of ``end`` when there are none.
    var remainsEnd: Int
}

/// Reads all records of a log in order and tells a torn tail from damage. It changes nothing.
///
/// A segment file gets its name only after the one before it is sealed and synced, so only the last segment may end
/// in a torn tail, and there only above the highest watermark that any valid record or superblock knows.
struct LogScan {
    let directory: LogDirectory
    let geometry: LogGeometry
    let superblock: Superblock
    /// Without gaps, in order, at least one.
    let segments: [UInt64]
    private var watermark: UInt64
    private var epochMin: UInt32 = 1

    init(_ directory: LogDirectory, geometry: LogGeometry, superblock: Superblock, segments: [UInt64]) {
        self.directory = directory
        self.geometry = geometry
        self.superblock = superblock
        self.segments = segments
        watermark = superblock.watermark
    }

    mutating func run(
        report: inout RecoveryReport, progress: (RecoveryProgress) -> Void, replay: (UInt64, [UInt8]) throws -> Void
    ) throws -> LogTail {
        let total = segments.count * geometry.segmentBytes
        var tail: LogTail?
        for (index, segment) in segments.enumerated() {
            let isLast = index == segments.count - 1
            let before = index * geometry.segmentBytes
            let path = directory.segmentFile(segment)
            let file = try system { [directory] () throws(SystemError) in
                try directory.storage.open(path, isLast ? .readWrite : .read)
            }
            let header = try Self.header(
                of: file, path: path, segment: segment, superblock: superblock, epochMin: epochMin)
            epochMin = header.epoch
            var scanner = SegmentScanner(
                file, path: path, segment: segment, geometry: geometry, identity: superblock.identity,
                epochs: epochMin...superblock.epoch)
            let isSealed = try read(
                &scanner, isLast: isLast, report: &report, replay: replay,
                progress: { progress(RecoveryProgress(bytesDone: before + $0, bytesTotal: total)) })
            progress(RecoveryProgress(bytesDone: before + geometry.segmentBytes, bytesTotal: total))
            epochMin = scanner.epochMin
            if isLast { tail = try judge(&scanner, file: file, isSealed: isSealed) }
        }
        guard let tail else { preconditionFailure("a scan of no segments") }
        return tail
    }

    /// - Returns: Whether the segment ends with a seal.
    private mutating func read(
        _ scanner: inout SegmentScanner, isLast: Bool, report: inout RecoveryReport,
        replay: (UInt64, [UInt8]) throws -> Void, progress: (Int) -> Void
    ) throws -> Bool {
        var told = 0
        while true {
            switch try scanner.next() {
            case .payload(let header, let payload):
                watermark = max(watermark, header.watermark)
                report.records += 1
                report.payloadBytes += payload.count
                try replay(header.position, payload)
            case .seal(let header):
                watermark = max(watermark, header.watermark)
                return true
            case .invalid(let reason):
                if isLast { return false }
                throw LogError.damaged(file: scanner.path, offset: scanner.offset, reason: reason)
            }
            if scanner.offset - told >= 1 << 20 {
                told = scanner.offset
                progress(told)
            }
        }
    }

    private mutating func judge(
        _ scanner: inout SegmentScanner, file: any LogFile, isSealed: Bool
    ) throws(LogError) -> LogTail {
        var remainsEnd = scanner.offset
        if !isSealed {
            let remains = try scanner.remains()
            watermark = max(watermark, remains.watermark)
            remainsEnd = remains.end
        }
        if watermark > scanner.position {
            throw .damaged(
                file: scanner.path, offset: scanner.offset,
                reason: "here is no valid record, but the log was synced to position \(watermark)")
        }
        return LogTail(
            file: file, path: scanner.path, segment: scanner.segment, end: scanner.position, isSealed: isSealed,
            watermark: watermark, remainsEnd: remainsEnd)
    }

    /// Reads and checks the header block of a segment file, and the file's size.
    static func header(
        of file: any LogFile, path: String, segment: UInt64, superblock: Superblock, epochMin: UInt32
    ) throws(LogError) -> SegmentHeader {
        let bytes = try system { () throws(SystemError) in try file.read(at: 0, count: LogGeometry.headerBytes) }
        let header: SegmentHeader
        do throws(LogBlock.Fault) {
            header = try SegmentHeader(bytes)
        } catch {
            switch error {
            case .versionUnknown(let version): throw .versionUnknown(file: path, version: version)
            case .invalid(let reason):
                throw .damaged(file: path, offset: 0, reason: "the segment header is not valid: \(reason)")
            }
        }
        guard header.identity == superblock.identity else { throw .foreign(file: path) }
        func wrong(_ reason: String) -> LogError { .damaged(file: path, offset: 0, reason: reason) }
        guard header.segment == segment else { throw wrong("this is the segment \(header.segment)") }
        guard header.segmentBytes == superblock.segmentBytes else {
            throw wrong("the segment was made for \(header.segmentBytes) bytes")
        }
        guard header.epoch >= epochMin, header.epoch <= superblock.epoch else {
            throw wrong("the segment is of run \(header.epoch), between \(epochMin) and \(superblock.epoch)")
        }
        let size = try system { () throws(SystemError) in try file.size() }
        guard size == superblock.segmentBytes else { throw wrong("the file has \(size) bytes") }
        return header
    }
}
