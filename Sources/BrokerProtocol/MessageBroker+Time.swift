extension MessageBroker {
    /// Takes messages back from every subscription that still has to deliver them; dead letters stay.
    /// - Returns: One entry per id: nil when it is gone, `MESSAGE_LEASED`, or `MESSAGE_UNKNOWN`.
    public func cancel(_ ids: [MessageID]) async throws(BrokerError) -> [BrokerError?] {
        try await results(.cancel(ids), count: ids.count)
    }

    /// The same for one message. - Throws: `MESSAGE_LEASED` or `MESSAGE_UNKNOWN`.
    public func cancel(_ id: MessageID) async throws(BrokerError) {
        if let error = try await cancel([id])[0] { throw error }
    }

    /// Gives messages a new deliver-at, wherever they still have to be delivered; a time in the past means now.
    /// - Returns: One entry per id: nil when it is done, `MESSAGE_LEASED`, `MESSAGE_UNKNOWN`, or `DELAYED_LIMIT`.
    public func reschedule(
        _ ids: [MessageID], deliverAt time: WallTime
    ) async throws(BrokerError) -> [BrokerError?] {
        try await results(.reschedule(ids, time), count: ids.count)
    }

    /// The same for one message. - Throws: `MESSAGE_LEASED`, `MESSAGE_UNKNOWN`, or `DELAYED_LIMIT`.
    public func reschedule(_ id: MessageID, deliverAt time: WallTime) async throws(BrokerError) {
        if let error = try await reschedule([id], deliverAt: time)[0] { throw error }
    }

    private func results(_ request: Request, count: Int) async throws(BrokerError) -> [BrokerError?] {
        switch try await perform(request) {
        case .settled(let results) where results.count == count: return results
        case .refused(let error): throw error
        default: throw BrokerError(.responseMalformed, "the response does not belong to the request")
        }
    }

    /// Makes a schedule or replaces the one of its name, whose counts begin again.
    /// - Throws: `SETTING_INVALID` with the field that is wrong, or a limit.
    public func setSchedule(_ schedule: Schedule) async throws(BrokerError) {
        try await administer(.scheduleSet(schedule))
    }

    public func deleteSchedule(_ name: ScheduleName) async throws(BrokerError) {
        try await administer(.scheduleDelete(name))
    }

    /// From now on no tick fires; those until ``resumeSchedule(_:)`` are left out.
    public func pauseSchedule(_ name: ScheduleName) async throws(BrokerError) {
        try await administer(.schedulePause(name))
    }

    public func resumeSchedule(_ name: ScheduleName) async throws(BrokerError) {
        try await administer(.scheduleResume(name))
    }

    /// All schedules, by name.
    public func schedules() async throws(BrokerError) -> [ScheduleStatus] {
        switch try await perform(.scheduleList) {
        case .schedules(let schedules): return schedules
        case .refused(let error): throw error
        default: throw BrokerError(.responseMalformed, "the response does not belong to the request")
        }
    }

    /// Holds up intake, delivery or both, until the time if there is one. A second pause replaces the first.
    /// - Throws: `TOPIC_UNKNOWN`, `SUBSCRIPTION_UNKNOWN`; `SETTING_INVALID` for the intake of a subscription.
    public func pause(
        _ target: PauseTarget, _ scope: PauseScope, until time: WallTime? = nil
    ) async throws(BrokerError) {
        try await administer(.pause(target, scope, until: time))
    }

    public func resume(_ target: PauseTarget, _ scope: PauseScope) async throws(BrokerError) {
        try await administer(.resume(target, scope))
    }
}
