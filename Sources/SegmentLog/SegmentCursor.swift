import LinuxIO

/// Goes once through the records of a full segment, checking each.
package final class SegmentCursor {
    package let segment: UInt64
    private var scanner: SegmentScanner

    init(_ scanner: SegmentScanner) {
        segment = scanner.segment
        self.scanner = scanner
    }

    /// - Returns: The next record; nil behind the last one. Reading blocks.
    /// - Throws: ``LogError/damaged(file:offset:reason:)`` or ``LogError/system(_:)``.
    package func next() throws(LogError) -> (position: UInt64, payload: [UInt8])? {
        switch try scanner.next() {
        case .payload(let header, let payload): return (header.position, payload)
        case .seal: return nil
        case .invalid(let reason):
            throw .damaged(file: scanner.path, offset: scanner.offset, reason: reason)
        }
    }
}
