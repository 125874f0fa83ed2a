package import BrokerProtocol
import LinuxIO

/// What the loop reads the time from; a test gives it one that stands still. The loop waits by the kernel's time all
/// the same, 250 ms at most: who moves a clock of his own asks something, and the turn that answers has the new time.
package struct BrokerClock: Sendable {
    let monotonicMilliseconds: @Sendable () -> Int64
    let wall: @Sendable () -> WallTime

    package init(
        monotonicMilliseconds: @escaping @Sendable () -> Int64, wall: @escaping @Sendable () -> WallTime
    ) {
        self.monotonicMilliseconds = monotonicMilliseconds
        self.wall = wall
    }

    package static let system = BrokerClock(
        monotonicMilliseconds: Clocks.monotonicMilliseconds,
        wall: { WallTime(milliseconds: Clocks.wallMilliseconds()) })

    func read() -> Now { Now(monotonic: monotonicMilliseconds(), wall: wall()) }
}
