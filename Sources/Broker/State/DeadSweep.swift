import BrokerProtocol

/// A redrive or a purge on its way through the dead letters of a subscription; many turns long when there are many.
final class DeadSweep {
    private(set) var subscription: Subscription
    /// Members of a pattern that come then.
    private var later: ArraySlice<Subscription>
    let selection: DeadSelection
    let isRedrive: Bool
    /// It touches what died before this many sweeps had begun.
    let number: UInt64
    let origin: Origin
    var next = MessageID(rawValue: 0)
    var count: UInt64 = 0

    init(
        subscription: Subscription, _ later: ArraySlice<Subscription>, selection: DeadSelection, isRedrive: Bool,
        number: UInt64, origin: Origin
    ) {
        self.subscription = subscription
        self.later = later
        self.selection = selection
        self.isRedrive = isRedrive
        self.number = number
        self.origin = origin
    }

    /// Begins with the next member.
    /// - Returns: False when there is none.
    func goOn() -> Bool {
        guard let following = later.popFirst() else { return false }
        subscription = following
        next = MessageID(rawValue: 0)
        return true
    }
}

/// One step through dead letters.
struct DeadScan {
    var chosen: [MessageID] = []
    /// Where the next step begins.
    var next: MessageID
    var isOver = false
    /// Letters that were looked at.
    var looked = 0
}

/// How much one turn may do, so that nobody waits long: entries of RAM looked at; a read of the log counts as many.
struct TurnBudget {
    static let usual = 10_000
    /// A read from the page cache takes some 10 µs, from a disk ten times as long.
    private static let readCost = 50
    private static let bytesPerCost = 1_024

    private(set) var left = usual

    mutating func look() { left -= 1 }
    mutating func read(bytes: UInt32) { left -= Self.readCost + Int(bytes) / Self.bytesPerCost }
    var isSpent: Bool { left <= 0 }
}

extension BrokerState {
    /// Begins a redrive or purge, and ends it at once when it is short.
    /// - Returns: Nil when it goes on in the next turns.
    func sweep(
        _ name: SubscriptionName, _ selection: DeadSelection, isRedrive: Bool, _ origin: Origin
    ) throws(BrokerError) -> Response? {
        let members = try members(of: name)
        guard let first = members.first else { return .count(0) }
        let selection = try checked(selection, name, members)
        sweepCount += 1
        let sweep = DeadSweep(
            subscription: first, members.dropFirst(), selection: selection, isRedrive: isRedrive, number: sweepCount,
            origin: origin)
        if let response = try step(sweep) { return response }
        sweeps.append(sweep)
        return nil
    }

    /// The selection with its ids in order, each once.
    private func checked(
        _ selection: DeadSelection, _ name: SubscriptionName, _ members: [Subscription]
    ) throws(BrokerError) -> DeadSelection {
        if selection.ids.isEmpty { return selection }
        if selection.ids.count > DeadSelection.idsMax {
            throw BrokerError(.batchTooLarge, "a redrive or purge names at most \(DeadSelection.idsMax) dead letters")
        }
        var checked = selection
        checked.ids = Set(selection.ids).sorted()
        for id in checked.ids where !members.contains(where: { $0.dead.contains(id) }) {
            throw BrokerError(
                .messageUnknown, "\(name) has no dead letter \(id); nothing was changed")
        }
        return checked
    }

    /// Goes on with the oldest sweep; call once a turn.
    func advanceSweeps() {
        guard let sweep = sweeps.first else { return }
        do throws(BrokerError) {
            guard sessions[sweep.origin.session] != nil else {
                sweeps.removeFirst()
                return
            }
            if subscriptions[sweep.subscription.id] == nil {
                throw BrokerError(.subscriptionUnknown, "the subscription \(sweep.subscription.name) was deleted")
            }
            guard let response = try step(sweep) else { return }
            respond(sweep.origin, response)
        } catch {
            respond(sweep.origin, .refused(error))
        }
        sweeps.removeFirst()
    }

    /// Members that one turn looks at.
    private static let membersPerTurn = 100

    /// - Returns: The answer when the sweep is done.
    private func step(_ sweep: DeadSweep) throws(BrokerError) -> Response? {
        for _ in 0..<Self.membersPerTurn {
            guard let response = try stepThroughOne(sweep) else { return nil }
            let isFull = sweep.selection.limit > 0 && sweep.count >= sweep.selection.limit
            if isFull || !sweep.goOn() { return response }
        }
        return nil
    }

    /// - Returns: The answer when the sweep is done with its subscription.
    private func stepThroughOne(_ sweep: DeadSweep) throws(BrokerError) -> Response? {
        let (selection, id) = (sweep.selection, sweep.subscription.id)
        let left = selection.limit == 0 ? UInt64.max : selection.limit - sweep.count
        let scan = try scan(sweep.subscription, selection, from: sweep.next, before: sweep.number, atMost: left)
        if !selection.isDryRun {
            do throws(BrokerError) {
                if !scan.chosen.isEmpty {
                    try record([sweep.isRedrive ? .redriven(id, scan.chosen) : .purged(id, scan.chosen)])
                }
            } catch {
                // The log became full on the way; what is done is told.
                if sweep.count == 0 { throw error }
                return .count(sweep.count)
            }
        }
        sweep.next = scan.next
        sweep.count += UInt64(scan.chosen.count)
        return scan.isOver ? .count(sweep.count) : nil
    }

    /// Looks at dead letters from `first` on, for as long as a turn may take.
    /// - Parameter sweep: Letters that died when so many sweeps had begun, or more, are passed over.
    func scan(
        _ subscription: Subscription, _ selection: DeadSelection, from first: MessageID, before sweep: UInt64,
        atMost limit: UInt64
    ) throws(BrokerError) -> DeadScan {
        var scan = DeadScan(next: first)
        var budget = TurnBudget()
        var named = selection.ids[selection.ids[...].index(of: first)...]
        var all = subscription.dead.from(first)
        while let id = selection.ids.isEmpty ? all.next() : named.popFirst() {
            if budget.isSpent || scan.chosen.count == Self.messagesPerFact { return scan }
            budget.look()
            scan.looked += 1
            scan.next = MessageID(rawValue: id.rawValue + 1)
            guard let slot = subscription.slots[id], let grave = slot.grave, grave.sweep < sweep,
                selection.admits(
                    grave.reason, text: grave.text, lastError: slot.lastError,
                    orderingKey: extras.isEmpty ? nil : extras[id]?.orderingKey, deadAt: grave.at)
            else { continue }
            if !selection.headers.isEmpty {
                guard let entry = messages[id] else { continue }
                budget.read(bytes: entry.bytes)
                guard try message(at: entry.address).headers.hold(selection.headers) else { continue }
            }
            scan.chosen.append(id)
            if UInt64(scan.chosen.count) == limit { break }
        }
        scan.isOver = true
        return scan
    }
}
