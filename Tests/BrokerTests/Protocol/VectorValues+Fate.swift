import BrokerProtocol

/// Dead letters, jobs and what a browse asks and finds.
extension VectorValues {
    func fate(_ name: String) -> Frame? {
        switch name {
        case "dead-redrive": .request(25, .deadRedrive(email, []))
        case "dead-redrive-chosen": .request(27, .deadRedrive(email, chosen, rate: 50))
        case "dead-purge": .request(26, .deadPurge(email, purged))
        case "dead-jobs": .request(28, .deadJobs)
        case "dead-job-cancel": .request(29, .deadJobCancel(12))
        case "dead-jobs-answer":
            .response(
                28,
                .deadJobs([
                    DeadJob(id: 12, subscription: email, selection: chosen, rate: 50, startedAt: newYear, moved: 7)
                ]))
        case "browse": .request(30, .browse(email, query))
        case "browsed": .response(30, .browsed(page))
        case "delete": .request(31, .delete(email, [MessageID(rawValue: 1001), MessageID(rawValue: 1002)]))
        default: nil
        }
    }

    private var chosen: DeadSelection {
        var selection = DeadSelection()
        selection.reasons = [.rejected, .attempts]
        selection.errorContains = "451"
        selection.headers = [Header("tenant", "big")]
        selection.orderingKey = "order-1001"
        selection.diedFrom = newYear
        selection.diedBefore = newYear.adding(milliseconds: 60_000)
        selection.limit = 500
        return selection
    }

    private var purged: DeadSelection {
        var selection = DeadSelection(ids: [MessageID(rawValue: 1001), MessageID(rawValue: 1002)])
        selection.isDryRun = true
        return selection
    }

    private var query: BrowseQuery {
        var query = BrowseQuery()
        query.states = [.delayed, .leased]
        query.headers = [Header("tenant", "big")]
        query.orderingKey = "order-1001"
        query.errorContains = "451"
        query.priority = 4
        query.publishedFrom = newYear
        query.from = MessageID(rawValue: 1001)
        query.limit = 10
        return query
    }

    private var page: BrowsePage {
        func message(_ id: UInt64, _ attempts: UInt32, _ deliveries: UInt32, _ error: String? = nil) -> Delivery {
            Delivery(
                consumer: ConsumerID(rawValue: 0), lease: LeaseID(rawValue: 0), leaseMilliseconds: 0,
                id: MessageID(rawValue: id), subscription: email, attempt: attempts, deliveries: deliveries,
                publishedAt: newYear, lastError: error, body: [])
        }
        let later = newYear.adding(milliseconds: 60_000)
        return BrowsePage(
            messages: [
                BrowsedMessage(
                    message: message(1001, 1, 1), state: .leased, holder: "email-1", leaseMilliseconds: 29_500),
                BrowsedMessage(message: message(1002, 2, 3, "smtp: 451"), state: .delayed, readyAt: later),
                BrowsedMessage(
                    message: message(1003, 10, 10, "smtp: 451"), state: .dead,
                    death: BrowsedMessage.Death(code: .attempts, reason: "attempts", at: later)),
            ], next: MessageID(rawValue: 1004))
    }
}
