/// What became of messages: dead letters, and those that still wait.
extension MessageBroker {
    /// Makes dead letters ready again for the subscription that gave them up.
    /// - Returns: How many; with a dry run, how many it would be.
    /// - Throws: `MESSAGE_UNKNOWN` when one of the ids is no dead letter; nothing was changed then.
    public func redrive(
        _ subscription: SubscriptionName, _ selection: DeadSelection = DeadSelection()
    ) async throws(BrokerError) -> UInt64 {
        try await count(.deadRedrive(subscription, selection))
    }

    /// The same, so many messages in a second, as a job that goes on by itself, over restarts.
    /// - Parameters:
    ///   - selection: Not by ids, and no dry run.
    ///   - rate: Messages in a second: 1 to 1,000,000.
    public func redrive(
        _ subscription: SubscriptionName, _ selection: DeadSelection, rate: UInt32
    ) async throws(BrokerError) -> DeadJob {
        let response = try await perform(.deadRedrive(subscription, selection, rate: rate))
        guard case .deadJobs(let jobs) = response, let job = jobs.first else { throw refusal(of: response) }
        return job
    }

    /// Removes dead letters for good. The rest is as with a redrive.
    public func purge(
        _ subscription: SubscriptionName, _ selection: DeadSelection = DeadSelection()
    ) async throws(BrokerError) -> UInt64 {
        try await count(.deadPurge(subscription, selection))
    }

    /// The redrives that go on by themselves, the oldest first.
    public func deadJobs() async throws(BrokerError) -> [DeadJob] {
        let response = try await perform(.deadJobs)
        guard case .deadJobs(let jobs) = response else { throw refusal(of: response) }
        return jobs
    }

    /// Ends a job; what it has redriven stays so.
    /// - Throws: `MESSAGE_UNKNOWN` when there is no such job, maybe because it is done.
    public func cancelDeadJob(_ id: UInt64) async throws(BrokerError) { try await administer(.deadJobCancel(id)) }

    /// Looks at messages of a subscription in the order of their ids; nothing changes by it.
    public func browse(
        _ subscription: SubscriptionName, _ query: BrowseQuery = BrowseQuery()
    ) async throws(BrokerError) -> BrowsePage {
        let response = try await perform(.browse(subscription, query))
        guard case .browsed(let page) = response else { throw refusal(of: response) }
        return page
    }

    /// Takes messages from a subscription for good, dead letters too; other subscriptions keep theirs.
    /// - Parameter ids: At most 10,000.
    /// - Returns: One entry per id, nil when it is gone: `MESSAGE_UNKNOWN`, `MESSAGE_LEASED`.
    public func delete(
        _ ids: [MessageID], from subscription: SubscriptionName
    ) async throws(BrokerError) -> [BrokerError?] {
        let response = try await perform(.delete(subscription, ids))
        guard case .settled(let results) = response, results.count == ids.count else { throw refusal(of: response) }
        return results
    }
}
