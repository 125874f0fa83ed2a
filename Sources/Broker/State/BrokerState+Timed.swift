import BrokerProtocol

extension BrokerState {
    /// The requests about time: cancel, reschedule, schedules, pauses.
    func answerTimed(_ request: Request, _ now: Now) throws(BrokerError) -> Response {
        switch request {
        case .cancel(let ids): return .settled(try cancel(ids))
        case .reschedule(let ids, let time): return .settled(try reschedule(ids, at: time, now: now))
        case .scheduleSet(let schedule): try setSchedule(schedule, now: now)
        case .scheduleDelete(let name): try deleteSchedule(name)
        case .scheduleList: return .schedules(schedules.inOrder.map(\.status))
        case .schedulePause(let name): try setSchedulePaused(name, true, now: now)
        case .scheduleResume(let name): try setSchedulePaused(name, false, now: now)
        case .pause(let target, let scope, let until): try pause(target, scope, until: until, now: now)
        case .resume(let target, let scope): try resume(target, scope)
        default: throw BrokerError(.unsupported, "this is no request about time")
        }
        return .done
    }
}
