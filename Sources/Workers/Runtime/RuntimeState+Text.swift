extension RuntimeState {
    /// True while only numbers change in ``text``.
    var isWorking: Bool { phase == .running && link == .up }

    /// One line for people: what the runtime does now.
    var text: String {
        let running = held.count(where: \.isInHandler)
        switch phase {
        case .ended: return "ended"
        case .draining: return "draining, \(running) of \(configuration.slots) slots busy"
        case .cancelling: return "draining, \(running) handlers cancelled"
        case .running: break
        }
        switch link {
        case .connecting(1, _): return "connecting to the broker"
        case .connecting(let nextTry, _), .down(let nextTry, _):
            return "broker gone, reconnecting, \(Self.ordinal(nextTry)) try"
        case .ending: return "the broker shuts down, \(running) of \(configuration.slots) slots busy"
        case .up, .closed:
            var text =
                "\(busy) of \(configuration.slots) slots busy, \(counters.done) done, \(counters.rejected) rejected"
            if !stuck.isEmpty { text += ", \(stuck.count) stuck" }
            return text
        }
    }

    static func ordinal(_ number: Int) -> String {
        switch (number % 10, number % 100) {
        case (1, let rest) where rest != 11: "\(number)st"
        case (2, let rest) where rest != 12: "\(number)nd"
        case (3, let rest) where rest != 13: "\(number)rd"
        default: "\(number)th"
        }
    }
}
