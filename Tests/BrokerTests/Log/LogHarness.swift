import LinuxIO
import SegmentLog
import TestSupport

/// A log that a test drives, with all that it replayed.
final class LogHarness {
    static let directory = "data"

    let log: SegmentLog
    let report: RecoveryReport
    let replayed: [(position: UInt64, payload: [UInt8])]
    private let signal: Monitor<Int>

    static func options(segmentBytes: Int = 16 << 10) -> LogOptions {
        LogOptions(
            segmentBytes: segmentBytes, recordBytesMax: segmentBytes, sparesMin: 1, freeBytesMin: 0,
            tailCacheBytes: 4096, idleMilliseconds: 600_000, watermarkMilliseconds: 600_000,
            spaceMilliseconds: 600_000)
    }

    init(
        _ storage: any LogStorage, _ options: LogOptions = options(), directory: String = directory
    ) throws {
        let signal = Monitor(0)
        var replayed: [(position: UInt64, payload: [UInt8])] = []
        (log, report) = try SegmentLog.open(
            directory: directory, options: options, storage: storage,
            onDurable: { signal.update { $0 += 1 } },
            replay: { replayed.append(($0, $1)) })
        self.signal = signal
        self.replayed = replayed
    }

    var payloads: [[UInt8]] { replayed.map(\.payload) }

    /// Flushes and waits until everything is durable, or the log has failed.
    @discardableResult
    func sync() -> Bool {
        log.flush()
        waitUntil { self.log.durableEnd == self.log.end || self.log.failure != nil }
        return log.failure == nil
    }

    /// Looks again after each sync of the writer.
    func waitUntil(_ condition: () -> Bool) {
        signal.wait { _ in condition() ? () : nil }
    }

    /// Appends and waits until the record is durable.
    @discardableResult
    func publish(_ payload: [UInt8]) throws -> UInt64 {
        let position = try log.append(payload)
        sync()
        return position
    }
}

/// A payload that names its number, of a length that varies.
func payload(_ number: Int, bytes: Int? = nil) -> [UInt8] {
    let count = bytes ?? (8 + number * 37 % 300)
    var payload = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ number) }
    for index in 0..<min(8, count) { payload[index] = UInt8(truncatingIfNeeded: number >> (8 * index)) }
    return payload
}

/// What opening a log throws; nil when it opens.
func refusal(_ storage: any LogStorage, _ options: LogOptions = LogHarness.options()) -> LogError? {
    do {
        _ = try LogHarness(storage, options)
        return nil
    } catch {
        return error as? LogError
    }
}

func segmentFile(_ number: Int) -> String {
    let digits = String(number)
    return "\(LogHarness.directory)/segment-" + String(repeating: "0", count: 12 - digits.count) + digits
}
