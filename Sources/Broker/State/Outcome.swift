import BrokerProtocol

/// A delivery, or a wait, that ended with the message going back to waiting.
struct Return: Hashable, Sendable {
    let readyAt: WallTime
    /// False for a release.
    let countsAttempt: Bool
    /// The consumer gave no verdict.
    let isDeath: Bool
    let error: String?
    /// Who had it.
    let consumer: String?
    let at: WallTime
}

/// A message that a subscription gives up on.
struct Death: Hashable, Sendable {
    let reason: DeadReason
    /// The consumer's own, of a rejection.
    var words: String?
    var error: String?
    /// Whose attempt ended with it; nil when nobody had the message.
    var consumer: String?
    /// That consumer gave no verdict.
    var isDeath = false
    let at: WallTime
}

/// What a dead letter remembers of its death.
struct Grave: Hashable, Sendable {
    let reason: DeadReason
    let words: String?
    let at: WallTime
    /// How many redrives and purges by filter had begun before: they touch what died before them.
    let sweep: UInt64

    var text: String { reason.text(words) }
}

extension ByteWriter {
    mutating func returned(_ back: Return) {
        i64(back.readyAt.milliseconds)
        u8((back.countsAttempt ? 1 : 0) | (back.isDeath ? 2 : 0))
        optionalText(back.error)
        optionalText(back.consumer)
        i64(back.at.milliseconds)
    }

    mutating func death(_ death: Death) {
        u8(death.reason.rawValue)
        u8(death.isDeath ? 1 : 0)
        optionalText(death.words)
        optionalText(death.error)
        optionalText(death.consumer)
        i64(death.at.milliseconds)
    }

    mutating func grave(_ grave: Grave?) {
        u8(grave?.reason.rawValue ?? 0)
        guard let grave else { return }
        optionalText(grave.words)
        i64(grave.at.milliseconds)
        u64(grave.sweep)
    }
}

extension ByteReader {
    mutating func returned() throws(Malformed) -> Return {
        let readyAt = try time("ready at")
        let flags = try u8("flags")
        return Return(
            readyAt: readyAt, countsAttempt: flags & 1 != 0, isDeath: flags & 2 != 0, error: try optionalText("error"),
            consumer: try optionalText("consumer"), at: try time("at"))
    }

    mutating func death() throws(Malformed) -> Death {
        let reason = try deadReason()
        let isDeath = try flag("is a death")
        return Death(
            reason: reason, words: try optionalText("words"), error: try optionalText("error"),
            consumer: try optionalText("consumer"), isDeath: isDeath, at: try time("at"))
    }

    mutating func grave() throws(Malformed) -> Grave? {
        let at = offset
        let number = try u8("reason")
        if number == 0 { return nil }
        guard let reason = DeadReason(rawValue: number) else { throw unknownReason(number, at) }
        return Grave(
            reason: reason, words: try optionalText("words"), at: try time("dead at"), sweep: try sweep())
    }

    /// The highest number is none: one more must exist for the next one.
    mutating func sweep() throws(Malformed) -> UInt64 {
        let at = offset
        let number = try u64("sweep")
        guard number < .max else { throw Malformed(offset: at, what: "sweep \(number)") }
        return number
    }

    private mutating func deadReason() throws(Malformed) -> DeadReason {
        let at = offset
        let number = try u8("reason")
        guard let reason = DeadReason(rawValue: number) else { throw unknownReason(number, at) }
        return reason
    }

    private func unknownReason(_ number: UInt8, _ offset: Int) -> Malformed {
        Malformed(offset: offset, what: "there is no reason \(number)")
    }
}
