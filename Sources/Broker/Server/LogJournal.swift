import BrokerProtocol
import SegmentLog

/// The segment log in the state's words. Confined to the loop.
final class LogJournal: Journal {
    let log: SegmentLog

    init(_ log: SegmentLog) { self.log = log }

    func append(_ payload: [UInt8]) throws(BrokerError) -> UInt64 {
        do throws(LogError) {
            return try log.append(payload)
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
