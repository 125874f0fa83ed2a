import BrokerProtocol

/// One message inside one subscription, from its first delivery, delay or return until it is settled for good.
struct Slot {
    enum Place: Hashable {
        case ready
        case leased(LeaseID)
        case delayed(until: WallTime)
        case dead
        /// Ready, but another message of its ordering key is in flight or waits for its retry.
        case blocked

        var isDead: Bool { if case .dead = self { true } else { false } }
    }

    var place: Place
    var attempts: UInt32 = 0
    /// Released ones included.
    var deliveries: UInt32 = 0
    var deaths: UInt16 = 0
    var redrives: UInt16 = 0
    private var texts: Texts?

    /// Boxed: nearly all messages are acknowledged at their first delivery.
    private final class Texts {
        let lastError: String?
        let deathReason: String?
        let deadAt: WallTime?

        init(lastError: String?, deathReason: String?, deadAt: WallTime?) {
            self.lastError = lastError
            self.deathReason = deathReason
            self.deadAt = deadAt
        }
    }

    init(place: Place) { self.place = place }

    var lastError: String? { texts?.lastError }
    var deathReason: String? { texts?.deathReason }
    var deadAt: WallTime? { texts?.deadAt }

    mutating func note(error: String?) {
        guard let error else { return }
        texts = Texts(lastError: error, deathReason: nil, deadAt: nil)
    }

    mutating func noteDeath(reason: String?, error: String?, at time: WallTime?) {
        texts = Texts(lastError: error ?? lastError, deathReason: reason, deadAt: time)
    }

    /// An attempt is counted, up to what the log can hold.
    mutating func countAttempt() {
        attempts = attempts == .max ? .max : attempts + 1
        deliveries = deliveries == .max ? .max : deliveries + 1
    }

    /// A delivery ended without a verdict.
    mutating func countDeath() { deaths = deaths == .max ? .max : deaths + 1 }

    /// A new life: attempts and deaths begin again, the last error stays to be read.
    mutating func noteRedrive() {
        attempts = 0
        deliveries = 0
        deaths = 0
        redrives = redrives == .max ? .max : redrives + 1
        texts = lastError.map { Texts(lastError: $0, deathReason: nil, deadAt: nil) }
    }
}
