import BrokerProtocol
import SegmentLog

/// The segment log in the state's words. Confined to the loop.
final class LogJournal: Journal {
    let log: SegmentLog

    init(_ log: SegmentLog) { self.log = log }

    func append(_ payload: [UInt8]) throws(BrokerError) -> UInt64 {
        try Self.translate { () throws(LogError) in try log.append(payload) }
    }

    func append(writing write: (inout ByteWriter) -> Void) throws(BrokerError) -> UInt64? {
        try Self.translate { () throws(LogError) in
            try log.append { bytes in
                var writer = ByteWriter()
                swap(&writer.bytes, &bytes)
                write(&writer)
                swap(&writer.bytes, &bytes)
            }
        }
    }

    private static func translate<Result>(
        _ body: () throws(LogError) -> Result
    ) throws(BrokerError) -> Result {
        do throws(LogError) {
            return try body()
        } catch {
            switch error {
            case .full: throw BrokerError(.diskFull, "\(error)")
            case .recordTooLarge: throw BrokerError(.recordTooLarge, "\(error)")
            default: throw BrokerError(.shuttingDown, "\(error)")
            }
        }
    }

    var end: UInt64 { log.end }
    func startsSegment(payloadBytes: Int) -> Bool { log.startsSegment(payloadBytes: payloadBytes) }
    var publishBytesFree: Int { log.publishBytesFree }
    var bytesFree: Int { log.bytesFree }
    var segmentBytes: UInt64 { log.segmentBytes }
    var firstSegment: UInt64 { log.firstSegment }
}
