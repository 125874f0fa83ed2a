extension ByteWriter {
    mutating func query(_ query: BrowseQuery) {
        u8(query.states.reduce(0) { $0 | $1.rawValue })
        headers(query.headers)
        optionalText(query.orderingKey)
        optionalText(query.errorContains)
        u8(query.priority == nil ? 0 : 1)
        if let priority = query.priority { u8(priority) }
        optionalWallTime(query.publishedFrom)
        optionalWallTime(query.publishedBefore)
        u64(query.from.rawValue)
        u32(query.limit)
        u8(query.wantsBodies ? 1 : 0)
    }

    mutating func page(_ page: BrowsePage) {
        u32(UInt32(page.messages.count))
        for browsed in page.messages {
            delivery(browsed.message)
            u8(browsed.state.rawValue)
            optionalWallTime(browsed.readyAt)
            optionalText(browsed.holder)
            u8(browsed.leaseMilliseconds == nil ? 0 : 1)
            if let left = browsed.leaseMilliseconds { i64(left) }
            u8(browsed.death == nil ? 0 : 1)
            if let death = browsed.death {
                u8(death.code?.rawValue ?? 0)
                text(death.reason)
                i64(death.at.milliseconds)
            }
        }
        u8(page.next == nil ? 0 : 1)
        if let next = page.next { u64(next.rawValue) }
    }
}

extension ByteReader {
    mutating func query() throws(Malformed) -> BrowseQuery {
        var query = BrowseQuery()
        let at = offset
        var bits = try u8("states")
        for state in MessageState.allCases where bits & state.rawValue != 0 {
            query.states.insert(state)
            bits ^= state.rawValue
        }
        guard bits == 0 else { throw Malformed(offset: at, what: "states \(bits) are unknown") }
        query.headers = try headers()
        query.orderingKey = try optionalText("ordering key")
        query.errorContains = try optionalText("error")
        if try flag("has priority") { query.priority = try u8("priority") }
        query.publishedFrom = try optionalWallTime("published from")
        query.publishedBefore = try optionalWallTime("published before")
        query.from = MessageID(rawValue: try u64("from"))
        query.limit = try u32("limit")
        query.wantsBodies = try flag("wants bodies")
        return query
    }

    mutating func page() throws(Malformed) -> BrowsePage {
        var messages: [BrowsedMessage] = []
        for _ in 0..<(try count("messages", itemBytes: 61)) { messages.append(try browsed()) }
        let next = try flag("has next") ? MessageID(rawValue: try u64("next")) : nil
        return BrowsePage(messages: messages, next: next)
    }

    private mutating func browsed() throws(Malformed) -> BrowsedMessage {
        let message = try delivery()
        let at = offset
        let number = try u8("state")
        guard let state = MessageState(rawValue: number) else {
            throw Malformed(offset: at, what: "there is no state \(number)")
        }
        return BrowsedMessage(
            message: message, state: state, readyAt: try optionalWallTime("ready at"),
            holder: try optionalText("holder"), leaseMilliseconds: try flag("has a lease") ? try i64("lease") : nil,
            death: try flag("is dead") ? try browsedDeath() : nil)
    }

    private mutating func browsedDeath() throws(Malformed) -> BrowsedMessage.Death {
        BrowsedMessage.Death(
            code: DeadReason(rawValue: try u8("reason code")), reason: try text("reason"),
            at: WallTime(milliseconds: try i64("dead at")))
    }
}
