import BrokerProtocol

/// A redrive that goes on by itself.
struct DeadJobReport: Encodable {
    let job: UInt64
    let subscription: String
    let ratePerSecond: UInt32
    let limit: UInt64
    let moved: UInt64
    let startedAt: String

    init(_ job: DeadJob) {
        self.job = job.id
        subscription = job.subscription.full
        ratePerSecond = job.rate
        limit = job.selection.limit
        moved = job.moved
        startedAt = job.startedAt.text
    }
}

/// `dead jobs`.
struct DeadJobsReport: Encodable {
    let schema = 1
    let jobs: [DeadJobReport]

    func text(_ style: Style) -> String {
        if jobs.isEmpty { return "no redrive goes on by itself\n" }
        var table = TextTable(
            .number("JOB"), "SUBSCRIPTION", .number("PER SECOND"), .number("MOVED"), .number("LIMIT"), "STARTED AT")
        for job in jobs {
            table.add(
                "\(job.job)", job.subscription, "\(job.ratePerSecond)", "\(job.moved)",
                job.limit == 0 ? "none" : "\(job.limit)", job.startedAt)
        }
        return table.text(style)
    }
}
