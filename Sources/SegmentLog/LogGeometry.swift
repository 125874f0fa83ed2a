/// Where things stand in a log of a given segment size.
///
/// A position is `segment * segmentBytes + offset in the segment file`. Position 0 never names a record, because each
/// segment starts with a header block.
struct LogGeometry: Equatable, Sendable {
    /// The block that a segment header fills alone, so that writing records never touches it.
    static let headerBytes = 4096

    let segmentBytes: Int

    func segment(of position: UInt64) -> UInt64 { position / UInt64(segmentBytes) }

    func offset(of position: UInt64) -> Int { Int(position % UInt64(segmentBytes)) }

    /// Of the first record in a segment.
    func start(of segment: UInt64) -> UInt64 { position(segment: segment, offset: Self.headerBytes) }

    func position(segment: UInt64, offset: Int) -> UInt64 { segment * UInt64(segmentBytes) + UInt64(offset) }

    /// The segment that holds the byte before a position; a segment may be full to its last byte.
    func segment(endingAt position: UInt64) -> UInt64 { position == 0 ? 0 : segment(of: position - 1) }

    /// Where records must end: behind it the seal still has room.
    var recordsEnd: Int { segmentBytes - RecordHeader.byteCount }

    /// The same as a position.
    func recordsEnd(of segment: UInt64) -> UInt64 { position(segment: segment, offset: recordsEnd) }

    var recordBytesPerSegment: Int { recordsEnd - Self.headerBytes }

    var payloadBytesMax: Int { recordBytesPerSegment - RecordHeader.byteCount }

    func isValid(segment: UInt64) -> Bool { segment < UInt64.max / UInt64(segmentBytes) - 1 }
}
