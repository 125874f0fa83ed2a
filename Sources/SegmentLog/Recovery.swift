import LinuxIO

/// What a start hands to the running log.
struct RecoveredLog {
    var lock: any LogFile
    var identity: LogIdentity
    var epoch: UInt32
    var superblocks: SuperblockPair
    var firstSegment: UInt64
    /// The position after the last record, in the last segment.
    var end: UInt64
    /// The last segment.
    var file: any LogFile
    var spares: [UInt64]
    var report: RecoveryReport
}

/// Reads a log directory and makes it ready for appending, or refuses and changes nothing.
///
/// Each step can be interrupted and done again: the tail is written with the bytes that it has, a cut is made of zeros,
/// and the new epoch is durable before any record carries it.
struct Recovery {
    let directory: LogDirectory
    let options: LogOptions
    private let geometry: LogGeometry
    private var report = RecoveryReport()

    init(_ directory: LogDirectory, options: LogOptions) {
        self.directory = directory
        self.options = options
        geometry = LogGeometry(segmentBytes: options.segmentBytes)
    }

    mutating func run(
        progress: (RecoveryProgress) -> Void, replay: (UInt64, [UInt8]) throws -> Void
    ) throws -> RecoveredLog {
        let lock = try takeLock()
        let listing = try directory.listing()
        let states = try SuperblockPair.states(in: directory)
        let found = try judge(states, listing)
        report.isFresh = found == nil
        let start = found ?? Superblock(identity: .random(), epoch: 0, segmentBytes: options.segmentBytes)
        guard start.epoch < .max else {
            let file = directory.file(LogDirectory.superblockNames[0])
            throw LogError.damaged(file: file, offset: 12, reason: "there is no epoch after \(start.epoch)")
        }
        let segments = try Self.contiguous(listing.segments, start, geometry, directory)
        var tail: LogTail?
        if !segments.isEmpty {
            var scan = LogScan(directory, geometry: geometry, superblock: start, segments: segments)
            tail = try scan.run(report: &report, progress: progress, replay: replay)
        }
        return try prepare(lock: lock, listing: listing, states: states, start: start, tail: tail)
    }

    private func takeLock() throws(LogError) -> any LogFile {
        let directory = self.directory
        let lock = try system { () throws(SystemError) in
            try directory.storage.makeDirectory(directory.path)
            return try directory.storage.open(directory.file(LogDirectory.lockName), .openOrCreate)
        }
        guard try system({ () throws(SystemError) in try lock.lockExclusively() }) else {
            throw .locked(directory: directory.path)
        }
        return lock
    }

    /// - Returns: The newest superblock; nil when the directory holds no log yet.
    private mutating func judge(
        _ states: [SuperblockPair.State], _ listing: LogDirectory.Listing
    ) throws(LogError) -> Superblock? {
        for (state, name) in zip(states, LogDirectory.superblockNames) {
            if case .versionUnknown(let version) = state {
                throw .versionUnknown(file: directory.file(name), version: version)
            }
        }
        guard let newest = SuperblockPair.newest(of: states) else {
            if listing.segments.isEmpty && states.allSatisfy({ $0 == .missing }) { return nil }
            throw .damaged(
                file: directory.file(LogDirectory.superblockNames[0]), offset: 0,
                reason: "neither superblock is valid")
        }
        for (state, name) in zip(states, LogDirectory.superblockNames) {
            switch state {
            case .valid(let block):
                if block.identity != newest.identity { throw .foreign(file: directory.file(name)) }
            case .invalid(let reason): report.warnings.append("\(directory.file(name)) is not valid: \(reason)")
            case .missing:
                if newest.watermark > 0 { report.warnings.append("\(directory.file(name)) was missing") }
            case .versionUnknown: break
            }
        }
        guard newest.segmentBytes == options.segmentBytes else {
            throw .segmentBytesDiffer(made: newest.segmentBytes, wanted: options.segmentBytes)
        }
        return newest
    }

    /// The segments that the superblock counts, without a gap.
    static func contiguous(
        _ segments: [UInt64], _ superblock: Superblock, _ geometry: LogGeometry, _ directory: LogDirectory
    ) throws(LogError) -> [UInt64] {
        let first = superblock.firstSegment
        let present = segments.filter { $0 >= first }
        let lastNeeded = max(first, geometry.segment(endingAt: superblock.watermark))
        if present.isEmpty && superblock.watermark == 0 { return [] }
        var expected = first
        for segment in present {
            guard geometry.isValid(segment: segment) else {
                let file = directory.segmentFile(segment)
                throw .damaged(file: file, offset: 0, reason: "no log has a segment of this number")
            }
            guard segment == expected else {
                throw .missingSegments(directory: directory.path, first: expected, last: segment - 1)
            }
            expected += 1
        }
        guard expected > lastNeeded else {
            throw .missingSegments(directory: directory.path, first: expected, last: lastNeeded)
        }
        return present
    }

    /// From here on files change.
    private mutating func prepare(
        lock: any LogFile, listing: LogDirectory.Listing, states: [SuperblockPair.State], start: Superblock,
        tail: LogTail?
    ) throws(LogError) -> RecoveredLog {
        let directory = self.directory
        if let tail { try secure(tail, superblock: start) }
        var spares = try tidy(listing, firstSegment: start.firstSegment)
        let epoch = start.epoch + 1
        var superblocks = try system { () throws(SystemError) in
            // What the last run renamed may not be durable yet.
            try directory.storage.syncDirectory(directory.path)
            if start.epoch == 0 { try directory.storage.syncDirectory(directory.parent) }
            var superblocks = try SuperblockPair(directory, states: states, current: start)
            try superblocks.writeBoth { block in
                block.epoch = epoch
                block.watermark = tail?.end ?? 0
                block.isClosed = false
            }
            return superblocks
        }
        var (file, end) = (tail?.file, tail?.end ?? 0)
        if tail?.isSealed ?? true {
            let next = tail.map { $0.segment + 1 } ?? start.firstSegment
            file = try addSegment(next, epoch: epoch, identity: start.identity, spares: &spares)
            end = geometry.start(of: next)
            try system { () throws(SystemError) in try superblocks.write { $0.watermark = end } }
        }
        guard let file else { preconditionFailure("a log without a segment") }
        report.firstSegment = start.firstSegment
        report.lastSegment = geometry.segment(of: end)
        report.end = end
        return RecoveredLog(
            lock: lock, identity: start.identity, epoch: epoch, superblocks: superblocks,
            firstSegment: start.firstSegment, end: end, file: file, spares: spares, report: report)
    }

    /// After an unclean end what lies behind the watermark may be in the page cache only, marked clean by a sync that
    /// failed. The same bytes are written to the same place again; what follows the last record is made of zeros.
    private mutating func secure(_ tail: LogTail, superblock: Superblock) throws(LogError) {
        report.wasClosed = superblock.isClosed && superblock.watermark == tail.end
        if report.wasClosed { return }
        let from = max(tail.watermark, geometry.start(of: tail.segment))
        let (offset, count) = (geometry.offset(of: from), Int(tail.end - from))
        let bytes = try system { () throws(SystemError) in try tail.file.read(at: offset, count: count) }
        var checked = 0
        while checked < count {
            let header = RecordHeader(in: bytes, at: checked, position: from + UInt64(checked), geometry: geometry)
            guard let header, header.isIntact(in: bytes, at: checked, salt: superblock.identity.checksum) else {
                throw .damaged(file: tail.path, offset: offset + checked, reason: "a second reading gave other bytes")
            }
            checked += header.recordBytes
        }
        let endOffset = offset + count
        let cut = [UInt8](repeating: 0, count: tail.remainsEnd - endOffset)
        try system { () throws(SystemError) in
            try tail.file.write(bytes, at: offset)
            try tail.file.write(cut, at: endOffset)
            try tail.file.syncData()
        }
        report.rewrittenBytes = count
        if !cut.isEmpty {
            let torn = TornTail(file: tail.path, offset: endOffset, bytes: cut.count)
            report.tornTail = torn
            report.warnings.append(torn.description)
        }
    }

    /// Removes what is half made, and turns segments before the first one into spares.
    private func tidy(_ listing: LogDirectory.Listing, firstSegment: UInt64) throws(LogError) -> [UInt64] {
        let directory = self.directory
        let bytes = options.segmentBytes
        return try system { () throws(SystemError) in
            for name in listing.leftovers { try directory.storage.remove(directory.file(name)) }
            var spares: [UInt64] = []
            var next = (listing.spares.last ?? 0) + 1
            for spare in listing.spares {
                let path = directory.spareFile(spare)
                if try directory.storage.open(path, .read).size() == bytes {
                    spares.append(spare)
                } else {
                    try directory.storage.remove(path)
                }
            }
            for segment in listing.segments where segment < firstSegment {
                try directory.retire(segment: segment, as: next)
                spares.append(next)
                next += 1
            }
            return spares
        }
    }

    private func addSegment(
        _ segment: UInt64, epoch: UInt32, identity: LogIdentity, spares: inout [UInt64]
    ) throws(LogError) -> any LogFile {
        let header = SegmentHeader(
            epoch: epoch, identity: identity, segment: segment, segmentBytes: options.segmentBytes)
        do throws(SystemError) {
            if spares.isEmpty {
                _ = try directory.makeSpare(0, bytes: options.segmentBytes, isCancelled: { false })
                spares = [0]
            }
            return try directory.install(spare: spares.removeFirst(), as: header)
        } catch {
            guard error.isDiskFull else { throw .system(error) }
            let freeBytes = (try? directory.storage.freeBytes(directory.path)) ?? 0
            throw .full(freeBytes: freeBytes)
        }
    }
}
