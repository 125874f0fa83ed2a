import BrokerProtocol

@testable import Broker

/// The operations that nobody asks for: time, lost connections, full disks, the end of the process.
extension Simulation {
    func passTime() throws {
        let step = chance(70) ? pick(0...800) : pick(0...6_000)
        var wall = step
        if chance(10) { wall = pick(-20_000...20_000) }
        now.monotonic += step
        now.wall = now.wall.adding(milliseconds: wall)
        model.advance(monotonic: step, wall: wall)
        let timeouts = model.pops.filter { $0.deadline.map { $0 <= model.monotonic } ?? false }.count
        let before = model.pops.count
        state.advance(now: now)
        try lookUpDrawn()
        model.wake()
        for effect in take() { try accept(effect) }
        try demand("pops that timed out", before - model.pops.count, timeouts)
        if let wait = state.nextDeadline(now: now) { try demand("a wait is not negative", wait >= 0, true) }
    }

    func close() throws {
        let session = session()
        model.close(session)
        state.close(SessionID(rawValue: session), now: now)
        try demand("effects of a close", take(), [])
        state.open(SessionID(rawValue: session), name: "session-\(session)")
    }

    func toggleDisk() throws {
        model.isFull.toggle()
        journal.publishBytesFree = model.isFull ? 0 : Self.publishBytesFree
    }

    func sync() throws {
        journal.sync()
        moments = [(journal.end, model)]
    }

    func shortenLog() throws {
        for _ in 0..<100 {
            switch state.retentionStep(current: journal.currentSegment) {
            case .nothing: return
            case .retire(let segment): state.retire(segment)
            case .scan(let segment):
                for record in journal.records where record.position / journal.segmentBytes == segment {
                    let facts = try FactCodec.decode(record.payload)
                    try demand("there is space to move", state.restate(facts, at: record.position, now: now), true)
                }
                state.retire(segment)
            }
            for effect in take() { try accept(effect) }
        }
        throw Disagreement(description: "retention does not end")
    }

    /// The process ends, and all that was not synced may be lost back to any moment.
    func crash() throws {
        guard let moment = moments.randomElement(using: &random) else { return }
        let (isFull, wallMax) = (model.isFull, model.wallMax)
        journal.crash(keepingBefore: moment.end)
        journal.sync()
        model = moment.model
        model.isFull = isFull
        model.monotonic = now.monotonic
        model.wall = now.wall.milliseconds
        model.wallMax = wallMax
        try startAgain()
        model.restart()
        allowRestated()
        model.wake()
        moments = [(journal.end, model)]
    }

    /// A message that moved in the log after its time had come stands there as ready; if no attempt counts, it has
    /// given its key back.
    private func allowRestated() {
        for topic in model.topics.indices {
            for second in model.topics[topic].subscriptions.indices {
                let subscription = model.topics[topic].subscriptions[second]
                let name = SubscriptionName("\(model.topics[topic].name)@\(subscription.name)")!
                let real = state.subscription(named: name)
                for (id, slot) in subscription.slots {
                    let place = real?.slots[id]?.place
                    if slot.waited != nil, place == .ready || place == .blocked {
                        model.topics[topic].subscriptions[second].slots[id]?.place = .ready
                    }
                    let holds = real?.keys.values.contains { $0.owner == id } ?? false
                    if slot.holdsKey, slot.attempts == 0, slot.place == .ready || place == .ready {
                        model.topics[topic].subscriptions[second].slots[id]?.holdsKey = holds
                    }
                    // One that was rescheduled after an attempt has its key again when it moved in the log.
                    if !slot.holdsKey, slot.attempts > 0, holds {
                        model.topics[topic].subscriptions[second].slots[id]?.holdsKey = true
                    }
                }
            }
        }
    }

    private func startAgain() throws {
        epoch += 1
        state = try StateHarness.replay(journal, limits: Self.limits, epoch: epoch)
        state.advance(now: now)
        for session in 1...3 as ClosedRange<UInt64> {
            state.open(SessionID(rawValue: session), name: "session-\(session)")
        }
    }

    /// The power goes between any two records: whatever two neighbouring moments agree on must hold.
    func crashInside() throws {
        let cuts = journal.records.map(\.position).filter { $0 >= max(journal.durableEnd, moments.first?.end ?? 0) }
        guard let cut = cuts.randomElement(using: &random),
            let before = moments.last(where: { $0.end <= cut })?.model,
            let after = moments.first(where: { $0.end > cut })?.model
        else { return }
        journal.crash(keepingBefore: cut)
        try startAgain()
        try demand("recount", state.disagreements(), [])
        for topic in before.topics where after.topicIndex(topic.name) != nil {
            for subscription in topic.subscriptions {
                let name = SubscriptionName("\(topic.name)@\(subscription.name)")!
                guard after.index(name) != nil, let real = state.subscription(named: name) else { continue }
                for number in 1..<before.nextMessage {
                    let id = MessageID(rawValue: number)
                    let entry = state.messages[id].flatMap { $0.topic == real.topic.id ? $0 : nil }
                    let there = entry.map { real.owes(id, $0) } ?? false
                    let (left, right) = (subscription.slots[id], after.slot(topic.name, subscription.name, id))
                    // What was over when the broker started again may have been dropped.
                    if !there,
                        topic.messages.contains(where: {
                            ($0.id, true) == (id, $0.expiresAt ?? .max <= now.wall.milliseconds)
                        })
                    {
                        continue
                    }
                    guard let left, let right else {
                        if left == nil && right == nil { try demand("\(name) owes \(id)", there, false) }
                        continue
                    }
                    try demand("\(name) owes \(id)", there, true)
                    // A redrive begins the count again.
                    guard left.redrives == right.redrives else { continue }
                    let attempts = real.slots[id]?.attempts ?? 0
                    let range = min(left.attempts, right.attempts)...max(left.attempts, right.attempts)
                    try demand("attempts of \(name) \(id): \(attempts) in \(range)", range.contains(attempts), true)
                    if case .dead(let reason) = left.place, right.place == left.place {
                        try demand("reason of \(name) \(id)", real.slots[id]?.deathReason, reason)
                    }
                }
            }
        }
    }
}
