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
        var lastError: String?
        var lastConsumer: String?
        var failedAt: [WallTime]
        var grave: Grave?

        init(_ other: Texts? = nil) {
            lastError = other?.lastError
            lastConsumer = other?.lastConsumer
            failedAt = other?.failedAt ?? []
            grave = other?.grave
        }
    }

    init(place: Place) { self.place = place }

    var lastError: String? { texts?.lastError }
    /// Whose attempt failed last.
    var lastConsumer: String? { texts?.lastConsumer }
    /// When the last attempts failed, the oldest first.
    var failedAt: [WallTime] { texts?.failedAt ?? [] }
    var grave: Grave? { texts?.grave }
    var deathReason: String? { grave?.text }

    private mutating func amendTexts(_ change: (Texts) -> Void) {
        // A copy of the slot may hold the same box.
        if texts == nil || !isKnownUniquelyReferenced(&texts) { texts = Texts(texts) }
        if let texts { change(texts) }
    }

    mutating func note(_ back: Return) {
        if !back.countsAttempt && attempts > 0 { attempts -= 1 }
        if back.isDeath { countDeath() }
        if back.countsAttempt { noteFailure(back.error, back.consumer, back.at) }
    }

    /// - Parameter sweep: How many redrives and purges by filter have begun.
    mutating func note(_ death: Death, sweep: UInt64) {
        if death.isDeath { countDeath() }
        if death.consumer != nil { noteFailure(death.error, death.consumer, death.at) }
        amendTexts { texts in
            texts.grave = Grave(reason: death.reason, words: death.words, at: death.at, sweep: sweep)
        }
    }

    private mutating func noteFailure(_ error: String?, _ consumer: String?, _ time: WallTime) {
        amendTexts { texts in
            texts.lastError = error ?? texts.lastError
            texts.lastConsumer = consumer ?? texts.lastConsumer
            if texts.failedAt.count >= DeadLetter.attemptTimesMax { texts.failedAt.removeFirst() }
            texts.failedAt.append(time)
        }
    }

    /// An attempt is counted, up to what the log can hold.
    mutating func countAttempt() {
        attempts = attempts == .max ? .max : attempts + 1
        deliveries = deliveries == .max ? .max : deliveries + 1
    }

    /// A delivery ended without a verdict.
    mutating func countDeath() { deaths = deaths == .max ? .max : deaths + 1 }

    /// A new life: attempts and deaths begin again; what went wrong before stays to be read.
    mutating func noteRedrive() {
        attempts = 0
        deliveries = 0
        deaths = 0
        redrives = redrives == .max ? .max : redrives + 1
        if texts != nil { amendTexts { $0.grave = nil } }
    }

    // MARK: Restated

    init(_ record: SlotRecord) {
        place = record.grave != nil ? .dead : record.readyAt.map { .delayed(until: $0) } ?? .ready
        attempts = record.attempts
        deliveries = record.deliveries
        deaths = record.deaths
        redrives = record.redrives
        if record.lastError == nil && record.failedAt.isEmpty && record.grave == nil { return }
        amendTexts { texts in
            texts.lastError = record.lastError
            texts.lastConsumer = record.lastConsumer
            texts.failedAt = record.failedAt
            texts.grave = record.grave
        }
    }

    func record(of subscription: SubscriptionID) -> SlotRecord {
        var readyAt: WallTime?
        if case .delayed(let until) = place { readyAt = until }
        return SlotRecord(
            subscription: subscription, attempts: attempts, deliveries: deliveries, deaths: deaths, redrives: redrives,
            lastError: lastError, lastConsumer: lastConsumer, failedAt: failedAt, readyAt: readyAt, grave: grave)
    }
}
