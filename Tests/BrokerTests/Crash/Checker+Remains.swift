extension Checker {
    /// Everything was drained: each message has come to its end.
    mutating func judge(_ remains: Remains) {
        var letters: [Key: History.DeadLetter] = [:]
        for letter in remains.letters {
            let key = Key(subscription: letter.subscription, id: letter.id)
            if letters[key] != nil { report(.doubled, "dead letter \(letter.id) on \(letter.subscription)") }
            letters[key] = letter
            judge(letter)
        }
        for message in messages.values.sorted(by: { $0.publish.number < $1.publish.number }) {
            guard message.fate == .durable else { continue }
            if let id = message.id {
                judge(message, id, letters)
            } else if setting.topics[message.publish.topic]?.isTaken == false {
                report(.lost, "number \(message.publish.number): never delivered")
            }
        }
        judgeTakes()
        for (index, operation) in operations.enumerated() where !operation.isAnswered {
            if case .commit = operation.operation.kind { judgeCommit(index) }
        }
        count(remains, letters)
    }

    private mutating func judge(_ letter: History.DeadLetter) {
        let key = Key(subscription: letter.subscription, id: letter.id)
        guard let message = recognise(letter.number, letter.fingerprint, letter.subscription, letter.id) else { return }
        let track = tracks[key]
        if track?.end == .ack { report(.resurrected, "message \(key.id) on \(key.subscription) is a dead letter") }
        let attemptsMax = setting.topics[message.publish.topic]?.attemptsMax ?? .max
        let wasRejected = track?.end == .reject || !(track?.openEnds.isEmpty ?? true)
        switch letter.reason.prefix(while: { $0 != ":" }) {
        case "rejected" where wasRejected: break
        case "attempts" where letter.attempts >= attemptsMax: break
        case "poison": break
        default:
            report(.phantom, "dead letter \(key.id) on \(key.subscription) with the reason \(letter.reason)")
        }
    }

    private mutating func judge(_ message: Message, _ id: UInt64, _ letters: [Key: History.DeadLetter]) {
        guard let topic = setting.topics[message.publish.topic], !topic.isTaken else { return }
        for subscription in topic.subscriptions {
            let key = Key(subscription: subscription, id: id)
            if letters[key] != nil { continue }
            let text = "number \(message.publish.number), message \(id), on \(subscription)"
            guard let track = tracks[key] else {
                report(.lost, "\(text): never delivered")
                continue
            }
            if track.end == .ack { continue }
            if track.end == .reject || track.isExhausted {
                report(.lost, "\(text): no dead letter")
            } else if !track.openEnds.contains(where: { mayHaveAcknowledged($0, key) }) {
                report(.lost, "\(text): last delivered with attempt \(track.lastAttempt)")
            }
        }
    }

    /// Whether an operation without an answer can be why a message is gone.
    private func mayHaveAcknowledged(_ index: Int, _ key: Key) -> Bool {
        let operation = operations[index].operation
        let acknowledges = operation.settles.contains { $0.verdict == .ack && leases[$0.lease]?.key == key }
        guard acknowledges else { return false }
        guard case .commit = operation.kind else { return true }
        let own = ownPublishes(of: operation)
        return own.isEmpty || own.contains { messages[$0.number]?.fate == .durable }
    }

    /// What nobody published in another way as well.
    private func ownPublishes(of operation: History.Operation) -> [History.Publish] {
        operation.publishes.filter { messages[$0.number]?.askedCount == 1 }
    }

    /// A commit without an answer was done as a whole, or not at all.
    private mutating func judgeCommit(_ index: Int) {
        let operation = operations[index].operation
        let own = ownPublishes(of: operation)
        let count = own.count { messages[$0.number]?.fate == .durable }
        if count == 0 { return }
        if count < own.count { report(.halfCommit, "operation \(index) published \(count) of \(own.count)") }
        for settle in operation.settles where settle.verdict.ends {
            guard let lease = leases[settle.lease], let track = tracks[lease.key] else { continue }
            if track.lastMoment > operations[index].moment {
                report(.halfCommit, "operation \(index) published, and message \(lease.key.id) came again")
            }
        }
    }

    /// A take without an answer may have taken one message with it.
    private mutating func judgeTakes() {
        for (name, topic) in setting.topics where topic.isTaken {
            let missing = messages.values.count {
                $0.publish.topic == name && $0.fate == .durable && $0.takenCount == 0
            }
            let doubtful = topic.subscriptions.reduce(0) { $0 + (shares[$1]?.doubtfulTakes ?? 0) }
            if missing > doubtful {
                report(.lost, "\(missing) messages of \(name) were never taken, and \(doubtful) takes not answered")
            }
        }
    }

    private mutating func count(_ remains: Remains, _ letters: [Key: History.DeadLetter]) {
        for (name, topic) in setting.topics.sorted(by: { $0.key < $1.key }) {
            var dead: Set<UInt64> = []
            for subscription in topic.subscriptions {
                let counts = remains.survey.subscriptions[subscription] ?? History.Counts()
                let ids = letters.keys.filter { $0.subscription == subscription }.map(\.id)
                dead.formUnion(ids)
                if counts != History.Counts(dead: ids.count) {
                    report(.accounting, "\(subscription) is drained and has \(ids.count) dead letters, but \(counts)")
                }
            }
            let held = remains.survey.messages[name] ?? 0
            if held != dead.count { report(.accounting, "\(name) holds \(held) messages, \(dead.count) are dead") }
        }
    }
}
