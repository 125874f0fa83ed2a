import BrokerProtocol

/// A pause in force.
struct Pause: Hashable, Sendable {
    /// Nil: until it is resumed.
    let until: WallTime?
}

/// What a pause is about, by the log's small name.
enum PausePlace: Hashable, Comparable, Sendable {
    case topic(TopicID)
    case subscription(SubscriptionID)

    private var order: (Int, UInt32) {
        switch self {
        case .topic(let id): (0, id.rawValue)
        case .subscription(let id): (1, id.rawValue)
        }
    }

    static func < (left: Self, right: Self) -> Bool { left.order < right.order }
}

/// When a pause ends by itself. Earliest first.
struct PauseEnd: Comparable {
    let until: WallTime
    let place: PausePlace
    static func < (left: Self, right: Self) -> Bool { (left.until, left.place) < (right.until, right.place) }
}

/// The pauses that have an end.
struct PauseEnds {
    private var ends: [PausePlace: WallTime] = [:]
    private var order = Heap<PauseEnd>()

    var first: WallTime? { order.first?.until }

    /// - Parameter until: The earliest end of the place's pauses; nil: none has one.
    mutating func set(_ place: PausePlace, _ until: WallTime?) {
        ends[place] = until
        if let until { order.insert(PauseEnd(until: until, place: place)) }
        order.dropStale(liveCount: ends.count) { ends[$0.place] == $0.until }
    }

    /// The next place with a pause whose end has come.
    mutating func takeOver(now: WallTime) -> PausePlace? {
        while let first = order.first, first.until <= now {
            order.removeFirst()
            if ends[first.place] == first.until {
                ends[first.place] = nil
                return first.place
            }
        }
        return nil
    }
}
