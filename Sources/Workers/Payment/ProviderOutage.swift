import BrokerProtocol
private import Synchronization

/// Tells whether a provider that cannot be asked is down for everybody, so that the queue had better wait, or only for
/// one payment, which then must not hold up the others.
///
/// It is down for everybody when no other payment got an answer lately, and this payment was not handed out too often
/// already. Then the queue waits, longer each time that the oldest payment finds it down again.
final class ProviderOutage: Sendable {
    /// So long an answer to any payment shows that the provider can be asked.
    private static let signOfLifeMilliseconds: Int64 = 10_000
    private static let pauseBaseSeconds: Int64 = 5
    private static let pauseSecondsMax: Int64 = 300
    /// A payment that was handed out more often counts its attempts, so that it ends.
    private static let deliveriesMax: UInt32 = 8

    private let answeredAt = Mutex<WallTime?>(nil)

    func answered(at now: WallTime) { answeredAt.withLock { $0 = max($0 ?? now, now) } }

    /// - Parameter deliveries: Of the payment that found it down; from 1.
    /// - Returns: How long the queue had better wait; nil: the payment alone fails.
    func pause(deliveries: UInt32, now: WallTime) -> Duration? {
        if let last = answeredAt.withLock(\.self), now < last.adding(milliseconds: Self.signOfLifeMilliseconds) {
            return nil
        }
        if deliveries > Self.deliveriesMax { return nil }
        let doublings = Int64(deliveries) - min(1, Int64(deliveries))
        return .seconds(min(Self.pauseSecondsMax, Self.pauseBaseSeconds << doublings))
    }
}
