import BrokerProtocol

/// One connection, or one in-process user.
struct SessionID: Hashable, Comparable, Sendable {
    let rawValue: UInt64
    static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }

    /// Connections count from 1 and never come here; the consumers of groups do.
    static let firstOfGroups: UInt64 = 1 << 63
    var isOfGroup: Bool { rawValue >= Self.firstOfGroups }
}

/// Who asked: the session and its number for the request.
struct Origin: Hashable, Sendable {
    let session: SessionID
    let correlation: UInt32
}

final class Session {
    let id: SessionID
    let name: String
    var consumers: [ConsumerID: Consumer] = [:]
    var pops: [UInt64: WaitingPop] = [:]
    var leases = NumberSet<LeaseID>()
    /// One for each source that its consumers read, in the order of creation.
    var crews: [Crew] = []
    /// Leases, and pops that may become one at any moment.
    var holdCount: Int { leases.count + pops.count }

    init(id: SessionID, name: String) {
        self.id = id
        self.name = name
    }
}

final class Consumer {
    let id: ConsumerID
    unowned let session: Session
    let source: Source
    var credit: UInt32
    var unsettled: UInt32 = 0
    let leaseMilliseconds: Int64?
    /// 1 to 100.
    let weight: UInt8
    let crew: Crew
    /// Counts the deliveries of its source; that of the last one, or of its beginning.
    var servedAt: UInt64 = 0
    var place = -1
    var isEnded = false
    /// Messages of its ordering keys that wait until it has room. An entry is a hint.
    var held = Heap<HeldMessage>()
    /// Whether it stands among those whose held messages are looked at next.
    var isFreed = false
    var hasCredit: Bool { unsettled < credit }

    init(
        id: ConsumerID, session: Session, source: Source, credit: UInt32, leaseMilliseconds: Int64?,
        weight: UInt8
    ) {
        self.id = id
        self.session = session
        self.source = source
        self.credit = credit
        self.leaseMilliseconds = leaseMilliseconds
        self.weight = max(weight, 1)
        if let crew = session.crews.first(where: { $0.source === source }) {
            self.crew = crew
        } else {
            crew = Crew(session: session, source: source)
            session.crews.append(crew)
        }
    }
}

/// A pop that waits for a message.
final class WaitingPop {
    let number: UInt64
    let origin: Origin
    let sources: [Source]
    let acknowledges: Bool
    /// What a Redis client waits for; nil for a native pop or fetch.
    let errand: Errand?
    /// Nil for a pop, which takes one message.
    let fetch: Fetch?

    init(
        number: UInt64, origin: Origin, sources: [Source], acknowledges: Bool, errand: Errand? = nil,
        fetch: Fetch? = nil
    ) {
        self.number = number
        self.origin = origin
        self.sources = sources
        self.acknowledges = acknowledges
        self.errand = errand
        self.fetch = fetch
    }
}

/// The right of one session to settle one delivery.
struct Lease {
    let id: LeaseID
    /// A connection, or a consumer of a group, which outlives its connections.
    var session: SessionID
    /// Nil for a pop, which needs no credit.
    let consumer: Consumer?
    let subscription: Subscription
    let message: MessageID
    /// On the monotonic clock, in milliseconds.
    var takenAt: Int64
    /// The same; the largest number means never.
    var deadline: Int64
    /// The longest lease, and the longest single extension: 12 hours.
    static let millisecondsMax: Int64 = 12 * 3_600_000
}

struct LeaseDeadline: Comparable {
    let deadline: Int64
    let lease: LeaseID
    static func < (left: Self, right: Self) -> Bool { (left.deadline, left.lease) < (right.deadline, right.lease) }
}

struct PopDeadline: Comparable {
    let deadline: Int64
    let pop: UInt64
    let session: SessionID
    static func < (left: Self, right: Self) -> Bool { (left.deadline, left.pop) < (right.deadline, right.pop) }
}

/// One delayed message of one subscription. Earliest first.
struct DelayedEntry: Comparable {
    let until: WallTime
    let message: MessageID
    let subscription: SubscriptionID
    static func < (left: Self, right: Self) -> Bool {
        (left.until, left.message, left.subscription) < (right.until, right.message, right.subscription)
    }
}
