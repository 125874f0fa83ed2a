import LinuxIO

/// Reads the records of one segment in order, checking each. It changes nothing.
struct SegmentScanner {
    enum Step: Equatable {
        case payload(RecordHeader, [UInt8])
        case seal(RecordHeader)
        /// What stands at ``offset`` is no valid record. The scanner stays there.
        case invalid(reason: String)
    }

    /// What lies behind the last good record and names the position where it lies.
    struct Remains: Equatable {
        /// Where the last of it ends.
        var end: Int
        /// The highest one of the records in it that are valid.
        var watermark: UInt64 = 0
    }

    private static let windowBytes = 1 << 20

    let path: String
    let geometry: LogGeometry
    let segment: UInt64
    private let file: any LogFile
    private let salt: UInt32
    /// Of the next record in the file.
    private(set) var offset = LogGeometry.headerBytes
    /// Along positions epochs never go down: what a cut left behind ends where a newer run wrote.
    private(set) var epochMin: UInt32
    /// No run was later than the superblocks say.
    let epochMax: UInt32
    private var window: [UInt8] = []
    private var windowStart = 0

    init(
        _ file: any LogFile, path: String, segment: UInt64, geometry: LogGeometry, identity: LogIdentity,
        epochs: ClosedRange<UInt32>
    ) {
        self.file = file
        self.path = path
        self.segment = segment
        self.geometry = geometry
        salt = identity.checksum
        epochMin = epochs.lowerBound
        epochMax = epochs.upperBound
    }

    var position: UInt64 { geometry.position(segment: segment, offset: offset) }

    mutating func next() throws(LogError) -> Step {
        guard offset + RecordHeader.byteCount <= geometry.segmentBytes else {
            return .invalid(reason: "the segment ends without a seal")
        }
        try load(offset, RecordHeader.byteCount)
        let at = offset - windowStart
        guard let header = RecordHeader(in: window, at: at, position: position, geometry: geometry) else {
            return .invalid(reason: "there is no record of this position")
        }
        guard header.epoch >= epochMin else {
            return .invalid(reason: "the record is of the older run \(header.epoch), after run \(epochMin)")
        }
        try load(offset, header.recordBytes)
        let start = offset - windowStart
        guard header.isIntact(in: window, at: start, salt: salt) else {
            return .invalid(reason: "the checksum of the record is wrong")
        }
        guard header.epoch <= epochMax else {
            throw .damaged(
                file: path, offset: offset,
                reason: "the record is of run \(header.epoch), but the superblocks know only \(epochMax)")
        }
        epochMin = header.epoch
        offset += header.recordBytes
        if header.kind == .seal { return .seal(header) }
        let payload = start + RecordHeader.byteCount
        return .payload(header, Array(window[payload..<payload + header.payloadBytes]))
    }

    /// Looks at everything behind ``offset`` for records, valid or not, that belong where they stand.
    mutating func remains() throws(LogError) -> Remains {
        var remains = Remains(end: offset)
        var effort = 0
        var from = offset
        while let (at, header) = try candidate(from: from) {
            remains.end = max(remains.end, at + header.recordBytes)
            if header.epoch >= epochMin, try isIntact(header, at: at, effort: &effort) {
                remains.watermark = max(remains.watermark, header.watermark)
                from = at + header.recordBytes
            } else {
                from = at + 8
            }
        }
        return remains
    }

    /// Moves behind a bad place to the next valid record of the segment.
    /// - Returns: False when there is none; the scanner stays where it is.
    mutating func skipDamage() throws(LogError) -> Bool {
        var effort = 0
        var from = offset + 8
        while let (at, header) = try candidate(from: from) {
            if (epochMin...epochMax).contains(header.epoch), try isIntact(header, at: at, effort: &effort) {
                offset = at
                return true
            }
            from = at + 8
        }
        return false
    }

    /// Bytes that only look like many long records must not keep a start busy for hours.
    private mutating func isIntact(_ header: RecordHeader, at: Int, effort: inout Int) throws(LogError) -> Bool {
        effort += header.recordBytes
        guard effort <= 8 * geometry.segmentBytes else { return false }
        try load(at, header.recordBytes)
        return header.isIntact(in: window, at: at - windowStart, salt: salt)
    }

    /// The next place, at or behind `from`, whose bytes look like a record of that place.
    private mutating func candidate(from: Int) throws(LogError) -> (Int, RecordHeader)? {
        var at = from
        while at + RecordHeader.byteCount <= geometry.segmentBytes {
            try load(at, RecordHeader.byteCount)
            var index = at - windowStart
            while index + RecordHeader.byteCount <= window.count {
                if window[index + 4] == UInt8(truncatingIfNeeded: RecordHeader.magic) {
                    let position = geometry.position(segment: segment, offset: windowStart + index)
                    if let header = RecordHeader(in: window, at: index, position: position, geometry: geometry) {
                        return (windowStart + index, header)
                    }
                }
                index += 8
            }
            at = windowStart + index
        }
        return nil
    }

    /// Makes the bytes part of the window. The file has its full size, so a short read is an error of the disk.
    private mutating func load(_ start: Int, _ count: Int) throws(LogError) {
        if start >= windowStart && start + count <= windowStart + window.count { return }
        let wanted = min(max(count, Self.windowBytes), geometry.segmentBytes - start)
        let file = self.file
        window = try system { () throws(SystemError) in try file.read(at: start, count: wanted) }
        windowStart = start
        guard window.count >= count else {
            throw .damaged(file: path, offset: start + window.count, reason: "the file ends here")
        }
    }
}
