import Broker
import BrokerProtocol
import Synchronization

/// Both clocks of a broker in a test: they stand still until the test moves them.
final class ManualClock: Sendable {
    private struct Times {
        var monotonic: Int64 = 1_000_000
        /// 2026-01-05 00:00:00 UTC, a Monday.
        var wall: Int64 = 1_767_571_200_000
    }

    private let times = Mutex(Times())

    var wall: WallTime { WallTime(milliseconds: times.withLock { $0.wall }) }

    func move(monotonic: Int64, wall: Int64) {
        times.withLock { times in
            times.monotonic += monotonic
            times.wall += wall
        }
    }

    var brokerClock: BrokerClock {
        BrokerClock(
            monotonicMilliseconds: { [self] in times.withLock { $0.monotonic } }, wall: { [self] in wall })
    }
}
