import BrokerProtocol

/// When things were logged, and which segments are kept for nothing but their history.
struct LogClock {
    /// How exact the times of the log are.
    static let stepMilliseconds: Int64 = 10

    /// The last time that stands in the log.
    private(set) var logged: WallTime?
    private var present: WallTime?
    /// The last time that stands in a segment. One without has no history that anybody wanted.
    private var lastTimes: [UInt64: WallTime] = [:]
    /// Segments below this one were given back.
    var recycledBefore: UInt64 = 0

    /// - Parameter now: Nil while no history is kept.
    mutating func advance(to now: WallTime?) { present = now }

    /// Whether history is kept.
    var isRunning: Bool { present != nil }

    /// The time that the next record must tell; nil when the log knows it well enough.
    var due: WallTime? {
        guard let present else { return nil }
        guard let logged else { return present }
        let passed = present.milliseconds - logged.milliseconds
        return passed >= Self.stepMilliseconds || passed < 0 ? present : nil
    }

    mutating func note(_ time: WallTime, segment: UInt64) {
        logged = time
        lastTimes[segment] = max(lastTimes[segment] ?? time, time)
    }

    /// Whether what was logged last in a segment is younger than `milliseconds`.
    func isYoung(_ segment: UInt64, milliseconds: Int64) -> Bool {
        guard let present, let last = lastTimes[segment] else { return false }
        return present.milliseconds - last.milliseconds < milliseconds
    }

    mutating func forget(_ segment: UInt64) { lastTimes[segment] = nil }
}

extension BrokerState {
    /// Gives back the oldest segments that were retired, as far as their history is not wanted any more: too old,
    /// too much, or in the way of publishes.
    func recycleHistory() {
        var segment = max(journal.firstSegment, clock.recycledBefore)
        while segment < segments.retiredBefore {
            let bytes = (segments.retiredBefore - segment) * segmentBytes
            let isKept =
                clock.isYoung(segment, milliseconds: limits.historyMilliseconds) && bytes <= limits.historyBytesMax
                && journal.publishBytesFree >= Int(4 * segmentBytes)
            if isKept { return }
            clock.forget(segment)
            segment += 1
            clock.recycledBefore = segment
            effects.append(PendingEffect(requires: journal.end, effect: .recycle(before: segment)))
        }
    }
}
