import LinuxIO

/// Reads single records from the segment files, checking each.
struct RecordReader {
    /// Most records need one read.
    private static let firstReadBytes = 4096
    private static let filesMax = 64

    let directory: LogDirectory
    let geometry: LogGeometry
    private let identity: LogIdentity
    private let salt: UInt32
    /// The files that were read last, the latest at the end.
    private var files: [(segment: UInt64, file: any LogFile)] = []

    init(_ directory: LogDirectory, geometry: LogGeometry, identity: LogIdentity) {
        self.directory = directory
        self.geometry = geometry
        self.identity = identity
        salt = identity.checksum
    }

    mutating func read(_ position: UInt64) throws(LogError) -> [UInt8] {
        let segment = geometry.segment(of: position)
        let offset = geometry.offset(of: position)
        let file = try file(of: segment)
        let room = geometry.segmentBytes - offset
        var bytes = try system { () throws(SystemError) in
            try file.read(at: offset, count: min(room, Self.firstReadBytes))
        }
        func damaged(_ reason: String) -> LogError {
            .damaged(file: directory.segmentFile(segment), offset: offset, reason: reason)
        }
        guard let header = RecordHeader(in: bytes, at: 0, position: position, geometry: geometry),
            header.kind == .payload
        else { throw damaged("there is no record of this position") }
        if header.recordBytes > bytes.count {
            let have = bytes.count
            bytes += try system { () throws(SystemError) in
                try file.read(at: offset + have, count: header.recordBytes - have)
            }
        }
        guard header.isIntact(in: bytes, at: 0, salt: salt) else {
            throw damaged("the checksum of the record is wrong")
        }
        return Array(bytes[RecordHeader.byteCount..<RecordHeader.byteCount + header.payloadBytes])
    }

    mutating func scanner(of segment: UInt64, epochMax: UInt32) throws(LogError) -> SegmentScanner {
        SegmentScanner(
            try file(of: segment), path: directory.segmentFile(segment), segment: segment, geometry: geometry,
            identity: identity, epochs: 1...epochMax)
    }

    mutating func forget(before segment: UInt64) { files.removeAll { $0.segment < segment } }

    private mutating func file(of segment: UInt64) throws(LogError) -> any LogFile {
        if let index = files.firstIndex(where: { $0.segment == segment }) {
            let entry = files.remove(at: index)
            files.append(entry)
            return entry.file
        }
        let directory = self.directory
        let file = try system { () throws(SystemError) in
            try directory.storage.open(directory.segmentFile(segment), .read)
        }
        if files.count >= Self.filesMax { files.removeFirst() }
        files.append((segment, file))
        return file
    }
}
