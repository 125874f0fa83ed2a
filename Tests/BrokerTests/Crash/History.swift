/// What clients asked, were answered and were handed, in the order in which it happened, and what the broker says of
/// itself in between. Plain values: the checker knows nothing else, and nothing of the broker's code.
struct History: Sendable {
    struct Publish: Hashable, Sendable {
        /// Of the test, not of the broker; one number may be published again with its dedup id.
        let number: Int
        let topic: String
        let fingerprint: UInt64
        var key: String?
        var priority: UInt8 = 4
        var isDelayed = false
        var dedupID: String?
    }

    enum Verdict: Hashable, Sendable {
        case ack, fail, release, reject
        /// The subscription is done with the message.
        var ends: Bool { self == .ack || self == .reject }
    }

    struct Settle: Hashable, Sendable {
        let lease: UInt64
        let verdict: Verdict
    }

    struct Operation: Sendable {
        enum Kind: Sendable {
            /// Item by item.
            case publish
            case settle
            /// All or nothing.
            case commit
            /// Takes one message of a subscription that is acknowledged before it is handed over.
            case take(String)
        }

        let kind: Kind
        let connection: Int
        var publishes: [Publish] = []
        var settles: [Settle] = []
    }

    struct Receipt: Hashable, Sendable {
        /// Nil: confirmed, but the answer tells no id.
        var id: UInt64?
        var isDuplicate = false
    }

    /// No answer at all means: nobody knows.
    enum Answer: Sendable {
        /// Nil: refused.
        case published([Receipt?])
        case settled([Bool])
        case committed([Receipt])
        case taken(Delivery?)
        case refused
    }

    struct Delivery: Hashable, Sendable {
        let connection: Int
        let subscription: String
        let lease: UInt64
        let id: UInt64
        let attempt: UInt32
        /// Read from the body; nil when it is none of ours.
        let number: Int?
        let fingerprint: UInt64
    }

    struct Counts: Hashable, Sendable {
        var ready = 0
        var delayed = 0
        var leased = 0
        var dead = 0
        var live: Int { ready + delayed + leased + dead }
    }

    /// What the broker counts.
    struct Survey: Hashable, Sendable {
        var subscriptions: [String: Counts] = [:]
        /// Messages that a topic holds.
        var messages: [String: Int] = [:]
    }

    struct DeadLetter: Hashable, Sendable {
        let subscription: String
        let id: UInt64
        let attempts: UInt32
        let reason: String
        let number: Int?
        let fingerprint: UInt64
    }

    enum Event: Sendable {
        /// A broker has recovered; nobody is connected yet.
        case started(Survey)
        case invoked(Operation)
        /// Of the operation with this index among those invoked.
        case answered(Int, Answer)
        case delivered(Delivery)
        case disconnected(Int)
        /// The broker was killed, and every connection with it.
        case killed
    }

    var events: [Event] = []
    private(set) var operationCount = 0

    /// - Returns: The operation's index.
    mutating func invoke(_ operation: Operation) -> Int {
        events.append(.invoked(operation))
        operationCount += 1
        return operationCount - 1
    }

    /// FNV-1a with 64 bits (Fowler, Noll, Vo).
    static func fingerprint(_ bytes: some Sequence<UInt8>) -> UInt64 {
        bytes.reduce(0xCBF2_9CE4_8422_2325) { ($0 ^ UInt64($1)) &* 0x0000_0100_0000_01B3 }
    }
}

/// What the test has set up, and what is left when everything was drained.
struct Setting: Sendable {
    struct Topic: Sendable {
        let subscriptions: [String]
        var attemptsMax: UInt32 = 10
        /// Messages are only taken with an ack before, at most once.
        var isTaken = false
    }

    var topics: [String: Topic] = [:]
}

struct Remains: Sendable {
    var survey = History.Survey()
    var letters: [History.DeadLetter] = []
}

extension History {
    /// What happened to one message, for a person who looks for the reason of a violation.
    func trail(of id: UInt64) -> [String] {
        var leases: Set<UInt64> = []
        var operations: [Int: Operation] = [:]
        var count = 0
        var lines: [String] = []
        for (index, event) in events.enumerated() {
            var isPart = false
            switch event {
            case .delivered(let delivery) where delivery.id == id:
                leases.insert(delivery.lease)
                isPart = true
            case .invoked(let operation):
                isPart = operation.settles.contains { leases.contains($0.lease) }
                if isPart { operations[count] = operation }
                count += 1
            case .answered(let operation, let answer):
                isPart = operations[operation] != nil
                if case .published(let receipts) = answer { isPart = receipts.contains { $0?.id == id } }
                if case .committed(let receipts) = answer { isPart = isPart || receipts.contains { $0.id == id } }
            case .started, .killed: isPart = true
            case .delivered, .disconnected: break
            }
            if isPart { lines.append("\(index): \(event)") }
        }
        return lines
    }
}
