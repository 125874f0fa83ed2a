import BrokerProtocol

@testable import Broker

extension BrokerState {
    /// Counts everything again from what is there, and compares it with the counters that are kept on the way.
    /// - Returns: What does not agree; empty when all is well.
    func disagreements() -> [String] {
        var found: [String] = []
        func agree<Value: Equatable>(_ what: String, _ kept: Value, _ counted: Value) {
            if kept != counted { found.append("\(what): kept \(kept), counted \(counted)") }
        }
        var owedBy: [MessageID: Int] = [:]
        var delayedSum = 0
        for subscription in subscriptions.values {
            let name = "\(subscription.name)"
            let owed = subscription.owed()
            for id in owed {
                owedBy[id, default: 0] += 1
                if let entry = messages[id] {
                    agree("\(name) owes \(id)", subscription.owes(id, entry), true)
                    agree("\(name) topic of \(id)", entry.topic, subscription.topic.id)
                } else {
                    found.append("\(name) owes \(id), which is no message")
                }
            }
            let places = subscription.slots.values.map(\.place)
            let leased = places.filter { if case .leased = $0 { true } else { false } }.count
            let delayed = places.filter { if case .delayed = $0 { true } else { false } }.count
            delayedSum += delayed
            agree("\(name) fresh", subscription.freshCount, owed.count - subscription.slots.count)
            agree(
                "\(name) ready slots", subscription.readyCount - subscription.freshCount, places.count { $0 == .ready })
            agree("\(name) blocked", subscription.blockedCount, places.count { $0 == .blocked })
            for (id, slot) in subscription.slots where slot.place == .blocked {
                let key = extras[id]?.orderingKey ?? ""
                let isNext = subscription.slots.contains {
                    $0.value.place == .ready && extras[$0.key]?.orderingKey == key
                }
                let waits = subscription.keys[key]?.tokenAt != nil || subscription.sticky?.owner(of: key) != nil
                agree("\(name) key of \(id) is held", subscription.isHeld(key, against: id) || isNext || waits, true)
            }
            for (key, held) in subscription.keys {
                agree(
                    "\(name) blocked of \(key)", held.blockedCount,
                    subscription.slots.count { $0.value.place == .blocked && extras[$0.key]?.orderingKey == key })
            }
            agree(
                "\(name) parked keys", subscription.parkedKeyCount,
                subscription.keys.values.count { !$0.parkedBy.isEmpty })
            agree("\(name) leased", subscription.leasedCount, leased)
            agree("\(name) delayed", subscription.delayedCount, delayed)
            found += disagreementsOfPlaces(subscription)
            agree("\(name) its topic knows it", topics[subscription.topic.id] === subscription.topic, true)
        }
        let retained = topics.values.flatMap { Array($0.retained.ids.from()) }
        for id in retained where owedBy[id] != nil || messages[id]?.owed != 0 {
            found.append("\(id) is retained, and owed \(messages[id]?.owed ?? 0) times")
        }
        for topic in topics.values {
            let bytes = topic.retained.ids.from().reduce(0) { $0 + UInt64(messages[$1]?.contentBytes ?? 0) }
            agree("retained bytes of \(topic.name)", topic.retained.bytes, bytes)
        }
        agree("messages", messages.count, owedBy.count + retained.count)
        agree("owed", owedCount, owedBy.values.reduce(0, +))
        agree("delayed", delayedCount, delayedSum)
        for (id, count) in owedBy { agree("owed of \(id)", Int(messages[id]?.owed ?? 0), count) }
        for topic in topics.values {
            agree(
                "messages of \(topic.name)", topic.messageCount, owedBy.keys.count { messages[$0]?.topic == topic.id })
        }
        found += disagreementsOfOpen() + disagreementsOfPatterns()
        for id in extras.keys where messages[id] == nil { found.append("extras of \(id), which is no message") }
        return found + disagreementsOfLeases()
            + disagreementsOfSegments((Array(owedBy.keys) + retained).compactMap { messages[$0] })
    }

    /// Each slot's id stands in the one ordered set of its place, and the cursors know what is fresh.
    private func disagreementsOfPlaces(_ subscription: Subscription) -> [String] {
        var found: [String] = []
        func agree(_ what: String, _ kept: OrderedIDs, _ isThere: (MessageID, Slot.Place) -> Bool) {
            let counted = subscription.slots.filter { isThere($0.key, $0.value.place) }.map(\.key).sorted()
            if Array(kept.from()) != counted || kept.count != counted.count {
                found.append("\(subscription.name) \(what): kept \(Array(kept.from())), counted \(counted)")
            }
        }
        agree("dead", subscription.dead) { $1 == .dead }
        agree("leased", subscription.leased) { if case .leased = $1 { true } else { false } }
        agree("delayed", subscription.delayed) { if case .delayed = $1 { true } else { false } }
        for lane in 0..<Topic.priorities {
            agree("returned \(lane)", subscription.returned[lane]) {
                $1 == .ready && messages[$0].map { Int($0.priority) } == lane
            }
            agree("blocked \(lane)", subscription.blocked[lane]) {
                $1 == .blocked && messages[$0].map { Int($0.priority) } == lane
            }
            let behind = subscription.topic.lanes[lane].from(subscription.cursors[lane])
            let ahead = Array(subscription.ahead[lane].from())
            if !Set(ahead).isSubset(of: behind) || behind.first.map(ahead.contains) ?? false {
                found.append("\(subscription.name) ahead \(lane): \(ahead) of \(behind)")
            }
            if subscription.isQueued && !behind.isEmpty {
                found.append("\(subscription.name) is queued, but its cursor is not at the end of lane \(lane)")
            }
            let waiting = subscription.owed().filter { id in
                guard messages[id].map({ Int($0.priority) }) == lane else { return false }
                let place = subscription.slots[id]?.place ?? .ready
                return place == .ready || place == .blocked
            }
            if subscription.waiting(lane: lane, 0..<subscription.waitingCount(lane: lane)) != waiting {
                found.append("\(subscription.name) list of lane \(lane) is not \(waiting)")
            }
            for index in waiting.indices where subscription.waiting(lane: lane, index..<index + 1) != [waiting[index]] {
                found.append("\(subscription.name) index \(index) of lane \(lane) is not \(waiting[index])")
            }
        }
        return found
    }

    private func disagreementsOfOpen() -> [String] {
        var found: [String] = []
        var dead: [MessageID: UInt16] = [:]
        for topic in topics.values {
            var open: Set<MessageID> = []
            for subscription in topic.subscriptions {
                for id in subscription.owed() {
                    if subscription.slots[id]?.place == .dead { dead[id, default: 0] += 1 } else { open.insert(id) }
                }
            }
            let bytes = open.reduce(0) { $0 + UInt64(messages[$1]?.contentBytes ?? 0) }
            if topic.openCount != open.count || topic.openBytes != bytes {
                found.append(
                    "open of \(topic.name): kept \(topic.openCount), \(topic.openBytes) bytes, "
                        + "counted \(open.count), \(bytes) bytes")
            }
            let entries = entries(of: topic, from: .message(MessageID(rawValue: 0)), limit: .max)
            if entries != open.sorted() { found.append("entries of \(topic.name): \(entries), counted \(open)") }
        }
        if dead != deadOwed { found.append("dead: kept \(deadOwed), counted \(dead)") }
        return found
    }

    /// Each topic that matches has its member, and no other topic has.
    private func disagreementsOfPatterns() -> [String] {
        var found: [String] = []
        for pattern in patterns.all {
            let matching = topics.values.filter { pattern.name.topic.matches($0.name) }.map(\.name).sorted()
            if pattern.members.map(\.name.topic).sorted() != matching {
                found.append("members of \(pattern.name): \(pattern.members.map(\.name.topic)), topics \(matching)")
            }
            for member in pattern.members where member.pattern !== pattern || subscriptions[member.id] !== member {
                found.append("\(member.name) is no member of \(pattern.name)")
            }
        }
        return found
    }

    private func disagreementsOfLeases() -> [String] {
        var found: [String] = []
        var unsettled: [ObjectIdentifier: UInt32] = [:]
        var held: [SessionID: Set<LeaseID>] = [:]
        for (id, lease) in leases {
            held[lease.session, default: []].insert(id)
            if let consumer = lease.consumer { unsettled[ObjectIdentifier(consumer), default: 0] += 1 }
            if lease.subscription.slots[lease.message]?.place != .leased(id) {
                found.append("lease \(id) of \(lease.message), which is not leased by it")
            }
        }
        if leases.count != subscriptions.values.reduce(0, { $0 + $1.leasedCount }) {
            found.append("\(leases.count) leases, but not as many leased messages")
        }
        var popCount = 0
        for session in sessions.values {
            popCount += session.pops.count
            if Set(session.leases) != held[session.id] ?? [] { found.append("leases of session \(session.id)") }
            for consumer in session.consumers.values {
                if consumer.unsettled != unsettled[ObjectIdentifier(consumer)] ?? 0 {
                    found.append("unsettled of consumer \(consumer.id): \(consumer.unsettled)")
                }
                if !consumer.source.consumers.contains(where: { $0 === consumer }) {
                    found.append("consumer \(consumer.id) has no turn")
                }
            }
        }
        if popCount != waitingPopCount { found.append("waiting pops: kept \(waitingPopCount), counted \(popCount)") }
        return found
    }

    private func disagreementsOfSegments(_ entries: [MessageEntry]) -> [String] {
        var found: [String] = []
        var live: [UInt64: Int] = [:]
        for entry in entries { live[entry.position / segmentBytes, default: 0] += Int(entry.bytes) }
        if segments.totalBytes != live.values.reduce(0, +) {
            found.append("total of live bytes: \(segments.totalBytes)")
        }
        for segment in 0...(journal.end / segmentBytes) where segments.liveBytes(in: segment) != live[segment] ?? 0 {
            found.append("live bytes of segment \(segment): \(segments.liveBytes(in: segment))")
        }
        return found
    }
}
