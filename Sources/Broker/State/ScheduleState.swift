import BrokerProtocol

/// How far a schedule has come; stands in the log beside its definition.
struct ScheduleProgress: Hashable, Sendable {
    /// When it was set; spans are counted from here.
    var anchor: WallTime
    /// Ticks up to here are over.
    var handledUntil: WallTime
    /// The last tick that fired or was refused.
    var last: WallTime?
    var fired: UInt64 = 0
    var refused: UInt64 = 0
    var lastRefusal: String?

    init(since time: WallTime) {
        anchor = time
        handledUntil = time
    }

    /// A tick is over.
    mutating func note(_ tick: WallTime, refusal: String?) {
        handledUntil = max(handledUntil, tick)
        last = tick
        if let refusal {
            refused &+= 1
            lastRefusal = refusal
        } else {
            fired &+= 1
        }
    }
}

/// A schedule of this broker.
final class ScheduleState {
    let schedule: Schedule
    var progress: ScheduleProgress
    /// Nil while it is paused, or when its zone cannot be read any more.
    var plan: TickPlan?
    var next: WallTime?
    /// What was missed has been sorted out; what is due now fires.
    var hasCaughtUp = false
    /// Why there is no plan.
    var problem: String?

    init(_ schedule: Schedule, _ progress: ScheduleProgress) {
        self.schedule = schedule
        self.progress = progress
    }

    func advance() { next = plan?.next(after: progress.handledUntil) }

    var status: ScheduleStatus {
        var status = ScheduleStatus(schedule)
        status.next = next
        status.last = progress.last
        status.fired = progress.fired
        status.refused = progress.refused
        status.lastRefusal = problem ?? progress.lastRefusal
        return status
    }
}

/// The next tick of a schedule. Earliest first.
struct ScheduleTick: Comparable {
    let at: WallTime
    let name: ScheduleName
    static func < (left: Self, right: Self) -> Bool { (left.at, left.name) < (right.at, right.name) }
}

/// All schedules with their ticks in order.
struct ScheduleTable {
    private(set) var states: [ScheduleName: ScheduleState] = [:]
    private var ticks = Heap<ScheduleTick>()
    /// After a start, once the clock is known.
    var hasBegun = false

    var count: Int { states.count }
    var first: WallTime? { ticks.first?.at }
    var inOrder: [ScheduleState] { states.values.sorted { $0.schedule.name < $1.schedule.name } }

    mutating func set(_ state: ScheduleState) { states[state.schedule.name] = state }
    mutating func remove(_ name: ScheduleName) -> ScheduleState? { states.removeValue(forKey: name) }

    /// The schedule's next tick takes its place in the row.
    mutating func plan(_ state: ScheduleState) {
        guard let next = state.next else { return }
        ticks.insert(ScheduleTick(at: next, name: state.schedule.name))
        ticks.dropStale(liveCount: states.count) { states[$0.name]?.next == $0.at }
    }

    mutating func takeDue(now: WallTime) -> ScheduleState? {
        while let first = ticks.first, first.at <= now {
            ticks.removeFirst()
            if let state = states[first.name], state.next == first.at { return state }
        }
        return nil
    }
}
