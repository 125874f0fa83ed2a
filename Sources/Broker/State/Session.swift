import BrokerProtocol

/// One connection, or one in-process user.
struct SessionID: Hashable, Comparable, Sendable {
    let rawValue: UInt64
    static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
}

/// Who asked: the session and its number for the request.
struct Origin: Hashable, Sendable {
    let session: SessionID
    let correlation: UInt32
}

struct ConsumerKey: Hashable, Sendable {
    let session: SessionID
    let consumer: ConsumerID
}

struct PopKey: Hashable, Sendable {
    let session: SessionID
    let pop: UInt64
}

struct Consumer {
    let subscription: SubscriptionID
    var credit: UInt32
    var unsettled: UInt32 = 0
    let leaseMilliseconds: Int64?
    var hasCredit: Bool { unsettled < credit }
}

/// A pop that waits for a message.
struct WaitingPop {
    let origin: Origin
    let subscriptions: [SubscriptionID]
    let acknowledges: Bool
}

struct Session {
    let name: String
    var consumers: [ConsumerID: Consumer] = [:]
    var pops: [UInt64: WaitingPop] = [:]
    var leases: Set<LeaseID> = []
}

/// The right of one session to settle one delivery.
struct Lease {
    let id: LeaseID
    let session: SessionID
    let consumer: ConsumerID?
    let subscription: SubscriptionID
    let message: MessageID
    let takenAt: Int64
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

/// A message as it is described to a client before its body is read from the log.
struct Notice: Hashable, Sendable {
    var consumer = ConsumerID(rawValue: 0)
    var lease = LeaseID(rawValue: 0)
    var leaseMilliseconds: Int64 = 0
    let id: MessageID
    let subscription: SubscriptionName
    var attempt: UInt32 = 0
    let publishedAt: WallTime
    var redrives: UInt32 = 0
    var lastError: String?
    var deathReason: String?
    var deadAt = WallTime(milliseconds: 0)
    let address: RecordAddress
}

/// What the state wants done outside.
enum Effect: Hashable, Sendable {
    case respond(Origin, Response)
    case deliver(SessionID, Notice)
    case answerPop(Origin, Notice)
    case answerPeek(Origin, [Notice])
    case answerDead(Origin, [Notice])
    case endConsumer(SessionID, ConsumerID, BrokerError?)
}

struct PendingEffect: Sendable {
    /// The log must be durable up to here first.
    let requires: UInt64
    let effect: Effect
}
