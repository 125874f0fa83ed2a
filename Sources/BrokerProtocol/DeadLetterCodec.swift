extension ByteWriter {
    mutating func deadLetter(_ letter: DeadLetter) {
        u64(letter.id.rawValue)
        subscription(letter.subscription)
        u8(letter.code?.rawValue ?? 0)
        text(letter.reason)
        optionalText(letter.lastError)
        optionalText(letter.lastConsumer)
        u32(letter.attempts)
        u32(letter.deliveries)
        u32(letter.redrives)
        u32(UInt32(letter.attemptTimes.count))
        for time in letter.attemptTimes { i64(time.milliseconds) }
        i64(letter.publishedAt.milliseconds)
        i64(letter.deadAt.milliseconds)
        u8(letter.priority)
        optionalText(letter.orderingKey)
        headers(letter.headers)
        blob(letter.body)
    }
}

extension ByteReader {
    static let deadLetterBytesMin = 58

    mutating func deadLetter() throws(Malformed) -> DeadLetter {
        DeadLetter(
            id: MessageID(rawValue: try u64("message id")), subscription: try subscription(),
            code: DeadReason(rawValue: try u8("reason code")), reason: try text("reason"),
            lastError: try optionalText("last error"), lastConsumer: try optionalText("last consumer"),
            attempts: try u32("attempts"), deliveries: try u32("deliveries"), redrives: try u32("redrives"),
            attemptTimes: try times("attempt times"), publishedAt: WallTime(milliseconds: try i64("published at")),
            deadAt: WallTime(milliseconds: try i64("dead at")), priority: try u8("priority"),
            orderingKey: try optionalText("ordering key"), headers: try headers(), body: try blob("body"))
    }

    package mutating func times(_ what: String) throws(Malformed) -> [WallTime] {
        var times: [WallTime] = []
        for _ in 0..<(try count(what, itemBytes: 8)) { times.append(WallTime(milliseconds: try i64(what))) }
        return times
    }
}
