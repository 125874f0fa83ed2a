import BrokerProtocol

@testable import Broker

/// A log in memory: records, a durable end, and the ways in which a log can fail.
final class MemoryJournal: Journal {
    struct Record {
        let position: UInt64
        let payload: [UInt8]
    }

    static let headerBytes = 24

    let segmentBytes: UInt64
    var recordBytesMax = 16 << 20
    var publishBytesFree = 1 << 40
    var bytesFree = 1 << 40
    private(set) var records: [Record] = []
    private(set) var end: UInt64 = 0
    private(set) var durableEnd: UInt64 = 0
    private(set) var firstSegment: UInt64 = 0
    /// How many appends succeed before all are refused; nil: all succeed.
    var appendsLeft: Int?

    init(segmentBytes: UInt64 = 1 << 20) { self.segmentBytes = segmentBytes }

    var currentSegment: UInt64 { end / segmentBytes }

    func append(_ payload: [UInt8]) throws(BrokerError) -> UInt64 {
        if payload.count > recordBytesMax { throw BrokerError(.recordTooLarge, "\(payload.count) bytes") }
        if appendsLeft == 0 { throw BrokerError(.diskFull, "the test filled the disk") }
        appendsLeft = appendsLeft.map { $0 - 1 }
        if startsSegment(payloadBytes: payload.count) { end = (end / segmentBytes + 1) * segmentBytes }
        let position = end
        records.append(Record(position: position, payload: payload))
        end += UInt64(payload.count + Self.headerBytes)
        return position
    }

    func append(writing write: (inout ByteWriter) -> Void) throws(BrokerError) -> UInt64? {
        var writer = ByteWriter()
        write(&writer)
        return startsSegment(payloadBytes: writer.bytes.count) ? nil : try append(writer.bytes)
    }

    func startsSegment(payloadBytes: Int) -> Bool {
        // A segment never becomes quite full: its seal needs room.
        end % segmentBytes + UInt64(payloadBytes + 2 * Self.headerBytes) > segmentBytes
    }

    /// As recovery does behind a sealed segment.
    func beginSegment() { end = (end / segmentBytes + 1) * segmentBytes }

    func sync() { durableEnd = end }

    func recycle(before segment: UInt64) {
        firstSegment = max(firstSegment, segment)
        records.removeAll { $0.position < firstSegment * segmentBytes }
    }

    /// The power is cut: what was logged from `position` on is gone. What was synced must not be among it.
    func crash(keepingBefore position: UInt64) {
        precondition(position >= durableEnd)
        guard position < end else { return }
        records.removeAll { $0.position >= position }
        end =
            records.last.map { $0.position + UInt64($0.payload.count + Self.headerBytes) } ?? firstSegment
            * segmentBytes
        durableEnd = min(durableEnd, end)
    }

    func payload(at position: UInt64) -> [UInt8]? { records.first { $0.position == position }?.payload }
}
