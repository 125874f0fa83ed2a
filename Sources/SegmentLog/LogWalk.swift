import LinuxIO

/// Goes through a log that may be damaged, from good record to good record.
struct LogWalk {
    let directory: LogDirectory
    let geometry: LogGeometry
    /// Records before it are counted, but not given out; whole segments before it are not read.
    var from: UInt64 = 0
    private let superblock: Superblock
    private let segments: [UInt64]
    private var survey = LogSurvey()
    private var epochMin: UInt32 = 1

    init(_ directory: LogDirectory) throws(LogError) {
        self.directory = directory
        let listing = try directory.listing()
        let states = try SuperblockPair.states(in: directory)
        for (state, name) in zip(states, LogDirectory.superblockNames) {
            survey.superblocks.append(Self.survey(state, file: directory.file(name)))
        }
        if let newest = SuperblockPair.newest(of: states) {
            superblock = newest
        } else {
            superblock = try Self.substitute(directory, listing.segments)
            survey.problems.append("neither superblock in \(directory.path) is valid")
        }
        let geometry = LogGeometry(segmentBytes: superblock.segmentBytes)
        self.geometry = geometry
        let first = superblock.firstSegment
        segments = listing.segments.filter { $0 >= first && geometry.isValid(segment: $0) }
        survey.identity = superblock.identity.description
        survey.segmentBytes = superblock.segmentBytes
        survey.watermark = superblock.watermark
        do throws(LogError) {
            _ = try Recovery.contiguous(segments, superblock, geometry, directory)
        } catch {
            survey.problems.append(error.description)
        }
    }

    private static func survey(_ state: SuperblockPair.State, file: String) -> LogSurvey.Superblock {
        var survey = LogSurvey.Superblock(file: file)
        switch state {
        case .valid(let block):
            survey.epoch = block.epoch
            survey.watermark = block.watermark
            survey.firstSegment = block.firstSegment
            survey.isClosed = block.isClosed
        case .missing: survey.problem = "it is missing"
        case .invalid(let reason): survey.problem = reason
        case .versionUnknown(let version): survey.problem = "its format version \(version) is unknown"
        }
        return survey
    }

    /// When both superblocks are lost, a segment header still says which log this is.
    private static func substitute(_ directory: LogDirectory, _ segments: [UInt64]) throws(LogError) -> Superblock {
        for segment in segments {
            let bytes = try system { () throws(SystemError) in
                try directory.storage.open(directory.segmentFile(segment), .read)
                    .read(at: 0, count: LogGeometry.headerBytes)
            }
            guard let header = try? SegmentHeader(bytes), header.segmentBytes >= 16 << 10 else { continue }
            var block = Superblock(identity: header.identity, epoch: .max, segmentBytes: header.segmentBytes)
            block.firstSegment = segments[0]
            return block
        }
        throw .damaged(
            file: directory.file(LogDirectory.superblockNames[0]), offset: 0,
            reason: "neither a superblock nor a segment header is valid")
    }

    mutating func run(_ body: (LogEntry) -> Bool) throws(LogError) -> LogSurvey {
        for segment in segments where segment >= geometry.segment(of: from) {
            var found = LogSurvey.Segment(
                file: directory.segmentFile(segment), segment: segment, end: LogGeometry.headerBytes)
            let goesOn: Bool
            do throws(LogError) {
                goesOn = try walk(segment, isLast: segment == segments.last, &found, body)
            } catch {
                goesOn = true
                found.note(at: found.end, Self.reason(error))
            }
            survey.segments.append(found)
            if !goesOn { break }
        }
        return survey
    }

    private static func reason(_ error: LogError) -> String {
        if case .damaged(_, _, let reason) = error { return reason }
        return error.description
    }

    /// - Returns: False when `body` wants no more.
    private mutating func walk(
        _ segment: UInt64, isLast: Bool, _ found: inout LogSurvey.Segment, _ body: (LogEntry) -> Bool
    ) throws(LogError) -> Bool {
        let directory = self.directory
        let path = found.file
        let file = try system { () throws(SystemError) in try directory.storage.open(path, .read) }
        do throws(LogError) {
            let header = try LogScan.header(
                of: file, path: path, segment: segment, superblock: superblock, epochMin: epochMin)
            epochMin = header.epoch
        } catch {
            found.note(at: 0, Self.reason(error))
        }
        var scanner = SegmentScanner(
            file, path: path, segment: segment, geometry: geometry, identity: superblock.identity,
            epochs: epochMin...UInt32.max)
        defer { epochMin = scanner.epochMin }
        while true {
            switch try scanner.next() {
            case .payload(let header, let payload):
                found.count(header, end: scanner.offset)
                survey.watermark = max(survey.watermark, header.watermark)
                if header.epoch > superblock.epoch {
                    found.note(at: scanner.offset, "the superblocks do not know run \(header.epoch)")
                }
                if header.position >= from,
                    !body(LogEntry(position: header.position, epoch: header.epoch, payload: payload))
                {
                    return false
                }
            case .seal(let header):
                survey.watermark = max(survey.watermark, header.watermark)
                found.sealed(end: scanner.offset)
                if isLast && survey.watermark > scanner.position { found.note(at: scanner.offset, notThere) }
                return true
            case .invalid(let reason):
                if isLast, let verdict = try lastVerdict(&scanner) {
                    if case .damaged = found.verdict { return true }
                    found.verdict = verdict
                    return true
                }
                found.note(at: scanner.offset, isLast ? notThere : reason)
                if try !scanner.skipDamage() { return true }
            }
        }
    }

    private var notThere: String { "here is no valid record, but the log was synced to position \(survey.watermark)" }

    /// - Returns: What the end of the last segment is; nil when it is damage.
    private mutating func lastVerdict(_ scanner: inout SegmentScanner) throws(LogError) -> LogSurvey.Verdict? {
        let remains = try scanner.remains()
        survey.watermark = max(survey.watermark, remains.watermark)
        if survey.watermark > scanner.position { return nil }
        return remains.end > scanner.offset ? .torn(bytes: remains.end - scanner.offset) : .open
    }
}

extension LogSurvey.Segment {
    /// Keeps the first bad place.
    fileprivate mutating func note(at offset: Int, _ reason: String) {
        if case .damaged = verdict { return }
        end = offset
        verdict = .damaged(reason: reason)
    }

    fileprivate mutating func count(_ header: RecordHeader, end: Int) {
        records += 1
        payloadBytes += header.payloadBytes
        let low = min(epochs?.lowerBound ?? header.epoch, header.epoch)
        epochs = low...max(epochs?.upperBound ?? header.epoch, header.epoch)
        if case .damaged = verdict { recordsBehindDamage += 1 } else { self.end = end }
    }

    fileprivate mutating func sealed(end: Int) {
        if case .damaged = verdict { return }
        self.end = end
        verdict = .sealed
    }
}
