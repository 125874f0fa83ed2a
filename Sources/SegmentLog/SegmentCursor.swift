import LinuxIO

/// Goes once through the records of a segment, checking each.
package final class SegmentCursor {
    package let segment: UInt64
    private var scanner: SegmentScanner
    /// Records from here on are not given out: they may not be whole yet.
    private let end: UInt64

    init(_ scanner: SegmentScanner, end: UInt64 = .max) {
        segment = scanner.segment
        self.scanner = scanner
        self.end = end
    }

    /// - Returns: The next record; nil behind the last one. Reading blocks.
    /// - Throws: ``LogError/damaged(file:offset:reason:)`` or ``LogError/system(_:)``.
    package func next() throws(LogError) -> (position: UInt64, payload: [UInt8])? {
        if scanner.position >= end { return nil }
        switch try scanner.next() {
        case .payload(let header, let payload): return (header.position, payload)
        case .seal: return nil
        case .invalid(let reason):
            throw .damaged(file: scanner.path, offset: scanner.offset, reason: reason)
        }
    }
}
