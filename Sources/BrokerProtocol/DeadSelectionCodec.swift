extension ByteWriter {
    package mutating func selection(_ selection: DeadSelection) {
        messageIDs(selection.ids)
        u16(selection.reasons.reduce(0) { $0 | 1 << UInt16($1.rawValue) })
        optionalText(selection.errorContains)
        headers(selection.headers)
        optionalText(selection.orderingKey)
        optionalWallTime(selection.diedFrom)
        optionalWallTime(selection.diedBefore)
        u64(selection.limit)
        u8(selection.isDryRun ? 1 : 0)
    }

    mutating func messageIDs(_ ids: [MessageID]) {
        u32(UInt32(ids.count))
        for id in ids { u64(id.rawValue) }
    }

    mutating func optionalWallTime(_ time: WallTime?) {
        u8(time == nil ? 0 : 1)
        if let time { i64(time.milliseconds) }
    }

    mutating func jobs(_ jobs: [DeadJob]) {
        u32(UInt32(jobs.count))
        for job in jobs {
            u64(job.id)
            subscription(job.subscription)
            selection(job.selection)
            u32(job.rate)
            i64(job.startedAt.milliseconds)
            u64(job.moved)
        }
    }
}

extension ByteReader {
    package mutating func selection() throws(Malformed) -> DeadSelection {
        var selection = DeadSelection(ids: try messageIDs())
        let at = offset
        var bits = try u16("reasons")
        for reason in DeadReason.allCases where bits & 1 << UInt16(reason.rawValue) != 0 {
            selection.reasons.insert(reason)
            bits ^= 1 << UInt16(reason.rawValue)
        }
        guard bits == 0 else { throw Malformed(offset: at, what: "reasons \(bits) are unknown") }
        selection.errorContains = try optionalText("error")
        selection.headers = try headers()
        selection.orderingKey = try optionalText("ordering key")
        selection.diedFrom = try optionalWallTime("died from")
        selection.diedBefore = try optionalWallTime("died before")
        selection.limit = try u64("limit")
        selection.isDryRun = try flag("is a dry run")
        return selection
    }

    mutating func optionalWallTime(_ what: String) throws(Malformed) -> WallTime? {
        try flag("has \(what)") ? WallTime(milliseconds: try i64(what)) : nil
    }

    mutating func jobs() throws(Malformed) -> [DeadJob] {
        var jobs: [DeadJob] = []
        for _ in 0..<(try count("jobs", itemBytes: 54)) {
            jobs.append(
                DeadJob(
                    id: try u64("job"), subscription: try subscription(), selection: try selection(),
                    rate: try u32("rate"), startedAt: WallTime(milliseconds: try i64("started at")),
                    moved: try u64("moved")))
        }
        return jobs
    }
}
