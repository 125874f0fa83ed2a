import BrokerProtocol

/// The ticks of a schedule: its cron line in its zone.
struct TickPlan {
    let cron: Cron
    let zone: ZoneRules
    /// Spans are counted from here.
    let anchor: WallTime

    /// The first tick behind a time; nil when there is none.
    func next(after time: WallTime) -> WallTime? {
        switch cron {
        case .every(let span):
            if time < anchor { return anchor.adding(milliseconds: span) }
            let (passed, overflow) = time.milliseconds.subtractingReportingOverflow(anchor.milliseconds)
            if overflow { return nil }
            let next = time.milliseconds.addingReportingOverflow(span - passed % span)
            return next.overflow ? nil : WallTime(milliseconds: next.partialValue)
        case .fields(let fields):
            guard let tick = next(of: fields, after: time.milliseconds.floored(to: 1_000) / 1_000) else { return nil }
            let next = tick.multipliedReportingOverflow(by: 1_000)
            return next.overflow ? nil : WallTime(milliseconds: next.partialValue)
        }
    }

    /// In seconds.
    private func next(of fields: CronFields, after time: Int64) -> Int64? {
        var local = (time + zone.period(at: time).offset).floored(to: 60) + 60
        while let tick = fields.first(from: local) {
            // In an hour that comes again, ticks of its first time have passed.
            let moment = zone.moment(reaching: tick)
            if moment > time { return moment }
            local = tick + 60
        }
        return nil
    }

    /// The last tick behind `start` that is not behind `end`; nil when there is none. Looks at some 40 ticks at most,
    /// however many there are.
    func last(after start: WallTime, through end: WallTime) -> WallTime? {
        guard let first = next(after: start), first <= end else { return nil }
        // A tick behind `low` is not behind `end`; none behind `high` is.
        var (low, high) = (first.milliseconds - 1, end.milliseconds)
        var last = first
        while high - low > 1 {
            let middle = low + (high - low) / 2
            if let tick = next(after: WallTime(milliseconds: middle)), tick <= end {
                last = tick
                low = max(middle, tick.milliseconds - 1)
            } else {
                high = middle
            }
        }
        return last
    }
}
