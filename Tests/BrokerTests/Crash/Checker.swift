/// Judges a history: the promises of docs/SEMANTICS.md, from the outside.
///
/// What was never answered may have happened or not, but not both, and not half. Everything else is certain.
struct Checker {
    enum Rule: String, Sendable {
        case lost = "a confirmed message was neither delivered until its ack nor is it a dead letter"
        case resurrected = "a message came again after a confirmed end"
        case phantom = "a delivery that nobody published"
        case doubled = "one publish became two messages"
        case outOfOrder = "messages of one key overtook each other"
        case sharedLease = "two valid leases for one message"
        case staleLease = "a lease that had ended still settled"
        case falseRefusal = "a valid lease was refused"
        case halfCommit = "a commit was done in part"
        case refusalHadEffect = "what was refused was done"
        case attemptsFell = "attempts went down"
        case tooManyAttempts = "more attempts than attempts_max"
        case takenTwice = "a message that was acknowledged before it was handed over came twice"
        case accounting = "the broker's counts do not agree"
    }

    struct Violation: Hashable, CustomStringConvertible, Sendable {
        let rule: Rule
        let text: String
        var description: String { "\(rule.rawValue): \(text)" }
    }

    private(set) var violations: [Violation] = []
    let setting: Setting
    var messages: [Int: Message] = [:]
    var numbers: [UInt64: Int] = [:]
    var tracks: [Key: Track] = [:]
    var operations: [Operation] = []
    var leases: [UInt64: Lease] = [:]
    var openConnections: Set<Int> = []
    var ledger: [String: Ledger] = [:]
    var shares: [String: Share] = [:]
    /// Open messages of each key of each subscription, by id.
    var rows: [Row: [UInt64]] = [:]
    var life = 0
    var kills: UInt32 = 0
    /// Index of the present event.
    var moment = 0

    /// One published number.
    struct Message {
        enum Fate { case asked, refused, durable }
        let publish: History.Publish
        var fate = Fate.asked
        var id: UInt64?
        var isConfirmed = false
        /// Asked again after an answer that never came.
        var askedCount = 1
        var takenCount = 0
    }

    struct Key: Hashable {
        let subscription: String
        let id: UInt64
    }

    struct Row: Hashable {
        let subscription: String
        let key: String
        let priority: UInt8
    }

    /// One message's way through one subscription.
    struct Track {
        var number: Int
        var lastAttempt: UInt32 = 0
        /// The next delivery has at least this attempt.
        var attemptMin: UInt32 = 1
        var lastLife = 0
        var lastMoment = 0
        var holder: UInt64?
        /// A confirmed end.
        var end: History.Verdict?
        /// Operations that would end it and were not answered yet, or never.
        var openEnds: [Int] = []
        /// It had its last attempt, so it must be a dead letter.
        var isExhausted = false
    }

    struct Lease {
        let key: Key
        let attempt: UInt32
        let connection: Int
        let life: Int
        var isSettled = false
        /// Operations that would settle it and were not answered yet, or never.
        var askers: [Int] = []
    }

    struct Operation {
        let operation: History.Operation
        let moment: Int
        var isAnswered = false
    }

    /// Of one topic: how many messages are there for certain, and how many may be.
    struct Ledger {
        var certain = 0
        var possible = 0
    }

    /// Of one subscription: how many messages it has done with.
    struct Share {
        var acknowledged = 0
        /// Perhaps acknowledged: ids with acks that were not answered.
        var doubtful: Set<UInt64> = []
        /// Messages taken with an ack before, by operations that were not answered.
        var doubtfulTakes = 0
    }

    init(_ setting: Setting) { self.setting = setting }

    /// - Returns: Everything that broke a promise; empty when all were kept.
    static func check(_ history: History, _ setting: Setting, _ remains: Remains) -> [Violation] {
        var checker = Checker(setting)
        for (index, event) in history.events.enumerated() {
            checker.moment = index
            checker.take(event)
        }
        checker.judge(remains)
        return checker.violations
    }

    mutating func report(_ rule: Rule, _ text: String) {
        // One fault may break a promise for each message that follows.
        if violations.count < 50 { violations.append(Violation(rule: rule, text: "\(text), at event \(moment)")) }
    }

    private mutating func take(_ event: History.Event) {
        switch event {
        case .started(let survey):
            life += 1
            compare(survey)
        case .invoked(let operation): invoke(operation)
        case .answered(let index, let answer): self.answer(index, answer)
        case .delivered(let delivery): deliver(delivery)
        case .disconnected(let connection): openConnections.remove(connection)
        case .killed:
            kills += 1
            openConnections = []
        }
    }

    // MARK: Requests

    private mutating func invoke(_ operation: History.Operation) {
        let index = operations.count
        operations.append(Operation(operation: operation, moment: moment))
        openConnections.insert(operation.connection)
        for publish in operation.publishes {
            if messages[publish.number] != nil {
                messages[publish.number]?.askedCount += 1
                if messages[publish.number]?.fate == .refused { setFate(.asked, of: publish.number) }
            } else {
                messages[publish.number] = Message(publish: publish)
                ledger[publish.topic, default: Ledger()].possible += 1
            }
        }
        for settle in operation.settles {
            guard let lease = leases[settle.lease] else { continue }
            leases[settle.lease]?.askers.append(index)
            guard settle.verdict.ends, isHeld(lease, by: operation) else { continue }
            tracks[lease.key]?.openEnds.append(index)
            closeRow(lease.key)
            if settle.verdict == .ack { shares[lease.key.subscription, default: Share()].doubtful.insert(lease.key.id) }
        }
        if case .take(let subscription) = operation.kind { shares[subscription, default: Share()].doubtfulTakes += 1 }
    }

    /// Whether the operation comes from where the lease is.
    private func isHeld(_ lease: Lease, by operation: History.Operation) -> Bool {
        lease.life == life && lease.connection == operation.connection
    }

    mutating func setFate(_ fate: Message.Fate, of number: Int) {
        guard let message = messages[number], message.fate != fate else { return }
        let topic = message.publish.topic
        func step(_ fate: Message.Fate, _ step: Int) {
            switch fate {
            case .asked: ledger[topic, default: Ledger()].possible += step
            case .durable: ledger[topic, default: Ledger()].certain += step
            case .refused: break
            }
        }
        step(message.fate, -1)
        step(fate, 1)
        messages[number]?.fate = fate
    }

    // MARK: Answers

    private mutating func answer(_ index: Int, _ answer: History.Answer) {
        guard operations.indices.contains(index), !operations[index].isAnswered else {
            report(.phantom, "an answer to operation \(index) that nobody waits for")
            return
        }
        operations[index].isAnswered = true
        let operation = operations[index].operation
        switch answer {
        case .published(let receipts):
            for (publish, receipt) in zip(operation.publishes, receipts) { confirm(publish, receipt) }
        case .settled(let results):
            for (settle, isAccepted) in zip(operation.settles, results) { settled(settle, isAccepted, index) }
        case .committed(let receipts):
            for (publish, receipt) in zip(operation.publishes, receipts) { confirm(publish, receipt) }
            for settle in operation.settles { settled(settle, true, index) }
        case .taken(let delivery): taken(delivery, by: operation)
        case .refused:
            for publish in operation.publishes { confirm(publish, nil) }
            let areAllValid = operation.settles.allSatisfy { isValid($0, index) }
            if case .commit = operation.kind, !operation.settles.isEmpty, areAllValid {
                report(.falseRefusal, "commit \(index)")
            }
            for settle in operation.settles { giveBack(settle, index) }
            if case .take(let subscription) = operation.kind { shares[subscription]?.doubtfulTakes -= 1 }
        }
    }

    private mutating func confirm(_ publish: History.Publish, _ receipt: History.Receipt?) {
        guard let receipt else {
            // Another try of the same number may still have been done.
            if messages[publish.number]?.askedCount == 1 { setFate(.refused, of: publish.number) }
            return
        }
        if receipt.isDuplicate, messages[publish.number]?.askedCount == 1 {
            report(.phantom, "number \(publish.number) was called a duplicate at its first publish")
        }
        if !receipt.isDuplicate, messages[publish.number]?.isConfirmed == true, publish.dedupID != nil {
            report(.doubled, "number \(publish.number) was known and was not called a duplicate")
        }
        messages[publish.number]?.isConfirmed = true
        if let id = receipt.id { return identify(publish.number, as: id) }
        setFate(.durable, of: publish.number)
    }

    /// The broker has the message, and it has this id.
    mutating func identify(_ number: Int, as id: UInt64) {
        guard let message = messages[number] else { return }
        if let known = message.id, known != id {
            report(.doubled, "number \(number) is message \(known) and message \(id)")
            return
        }
        if let other = numbers[id], other != number {
            report(.phantom, "message \(id) is number \(other) and number \(number)")
            return
        }
        if message.fate == .refused { report(.refusalHadEffect, "number \(number) is message \(id)") }
        setFate(.durable, of: number)
        if message.id != nil { return }
        messages[number]?.id = id
        numbers[id] = number
        openRow(of: message.publish, id)
    }

    // MARK: Verdicts

    private func isValid(_ settle: History.Settle, _ index: Int) -> Bool {
        guard let lease = leases[settle.lease], isHeld(lease, by: operations[index].operation),
            openConnections.contains(lease.connection), lease.askers.contains(index)
        else { return false }
        return !lease.isSettled
    }

    private mutating func settled(_ settle: History.Settle, _ isAccepted: Bool, _ index: Int) {
        guard let lease = leases[settle.lease] else {
            if isAccepted { report(.staleLease, "lease \(settle.lease), which nobody was given") }
            return
        }
        let wasValid = isValid(settle, index)
        guard isAccepted else {
            if wasValid { report(.falseRefusal, "lease \(settle.lease) of message \(lease.key.id)") }
            giveBack(settle, index)
            return
        }
        guard wasValid, let track = tracks[lease.key] else {
            report(.staleLease, "lease \(settle.lease) of message \(lease.key.id)")
            return
        }
        leases[settle.lease]?.isSettled = true
        if track.holder == settle.lease { tracks[lease.key]?.holder = nil }
        accept(settle.verdict, lease, next: track.holder == settle.lease ? nil : track.lastAttempt)
    }

    /// - Parameter next: The attempt of a delivery that was seen since: after a failure or a release it may come before
    ///   the answer is read.
    private mutating func accept(_ verdict: History.Verdict, _ lease: Lease, next: UInt32?) {
        let text = "message \(lease.key.id) on \(lease.key.subscription)"
        guard let number = tracks[lease.key]?.number, let topic = messages[number]?.publish.topic else { return }
        let subscription = lease.key.subscription
        switch verdict {
        case .ack, .reject:
            if next != nil { report(.resurrected, text) }
            if tracks[lease.key]?.end != nil { report(.staleLease, "\(text) was ended twice") }
            tracks[lease.key]?.end = verdict
            shares[subscription, default: Share()].doubtful.remove(lease.key.id)
            if verdict == .ack { shares[subscription, default: Share()].acknowledged += 1 }
        case .fail:
            if let next, next <= lease.attempt { report(.attemptsFell, "\(text), attempt \(next)") }
            if next == nil { tracks[lease.key]?.attemptMin = lease.attempt + 1 }
            if lease.attempt >= setting.topics[topic]?.attemptsMax ?? .max {
                if next != nil { report(.resurrected, text) }
                tracks[lease.key]?.isExhausted = true
                closeRow(lease.key)
            }
        case .release: break
        }
    }

    /// A verdict that was refused has done nothing.
    private mutating func giveBack(_ settle: History.Settle, _ index: Int) {
        guard let lease = leases[settle.lease], !lease.isSettled else { return }
        leases[settle.lease]?.askers.removeAll { $0 == index }
        tracks[lease.key]?.openEnds.removeAll { $0 == index }
        if tracks[lease.key]?.openEnds.isEmpty == true { shares[lease.key.subscription]?.doubtful.remove(lease.key.id) }
    }
}
