import BrokerProtocol

/// How a delivery is settled: the verdict, with publishes as one commit.
struct Settling: Hashable, Sendable {
    let lease: LeaseID
    let verdict: Verdict
    let publishes: [OutgoingMessage]
    let ending: Ending

    private init(_ lease: LeaseID, _ verdict: Verdict, _ ending: Ending, publishes: [OutgoingMessage] = []) {
        self.lease = lease
        self.verdict = verdict
        self.publishes = publishes
        self.ending = ending
    }

    /// - Parameter error: The text of a retry, at most 1 KiB of it.
    init(lease: LeaseID, _ outcome: Outcome, error: String? = nil) {
        switch outcome {
        case .done(let publications):
            self.init(
                lease, .ack, .done(published: publications.count), publishes: publications.map(\.message))
        case .retry(let after):
            let error = ErrorText.bounded(error ?? "the worker asked for a retry")
            let milliseconds = after.map { max(0, $0.milliseconds) }
            self.init(lease, .fail(error: error, afterMilliseconds: milliseconds), .retried(error: error))
        case .snooze(let time):
            self.init(lease, .release(afterMilliseconds: max(0, time.milliseconds)), .snoozed(time))
        case .dead(let reason):
            let reason = ErrorText.bounded(reason)
            self.init(lease, .reject(reason: reason), .dead(reason: reason))
        case .release: self.init(lease, .release(), .released)
        }
    }
}

extension RuntimeState {
    func index(of ticket: Ticket) -> Int? { held.firstIndex { $0.ticket == ticket } }

    mutating func settle(_ index: Int, _ settling: Settling) {
        held[index].stage = .settling(settling)
        actions.append(.settle(held[index].ticket, settling))
    }

    private mutating func remove(_ index: Int) {
        actions.append(.forgetLease(held[index].delivery.lease))
        held.remove(at: index)
    }

    private mutating func drop(_ index: Int, _ reason: String, _ now: Duration) {
        let item = held[index]
        counters.dropped += 1
        actions.append(.report(.dropped(attempt(item), reason: reason, duration: now - item.startedAt)))
        remove(index)
    }

    /// A handler returned. Its ruling counts only as far as the stage of its delivery allows.
    mutating func finished(_ ticket: Ticket, _ ruling: Ruling, _ now: Duration) {
        guard let index = index(of: ticket), held[index].isInHandler else {
            stuck.remove(ticket)
            return
        }
        let item = held[index]
        let lease = item.delivery.lease
        if !isConnected(item) { return drop(index, "the connection was lost", now) }
        switch item.stage {
        case .running: settle(index, Settling(lease: lease, ruling.outcome, error: ruling.error))
        case .cancelled(.leaseLost, _): drop(index, "the lease was lost", now)
        case .cancelled(let cause, _):
            // Finished work counts although the cancellation came first; everything else follows from that.
            if ruling.error == nil, ruling.outcome.isFinal {
                settle(index, Settling(lease: lease, ruling.outcome))
            } else if cause == .timeout {
                settle(index, Settling(lease: lease, .retry(), error: timeoutText))
            } else {
                settle(index, Settling(lease: lease, .release))
            }
        case .waiting, .settling: break
        }
    }

    private var timeoutText: String {
        "timed out after \(SettingText.span(milliseconds: configuration.attemptTimeout.milliseconds))"
    }

    /// The handler ignored its cancellation: the slot goes to the next, the handler runs on without one.
    mutating func writeOff(_ index: Int, _ cause: Held.Cause, _ now: Duration) {
        let item = held[index]
        stuck.insert(item.ticket)
        actions.append(.report(.stuck(attempt(item), count: stuck.count)))
        if !isConnected(item) { return drop(index, "the connection was lost", now) }
        switch cause {
        case .timeout:
            settle(
                index,
                Settling(
                    lease: item.delivery.lease, .retry(),
                    error: timeoutText + "; the handler ignores its cancellation"))
        case .drain: settle(index, Settling(lease: item.delivery.lease, .release))
        case .leaseLost: drop(index, "the lease was lost", now)
        }
    }

    /// The broker answered to a settlement.
    mutating func settled(_ ticket: Ticket, _ error: BrokerError?, _ now: Duration) {
        guard let index = index(of: ticket), case .settling(let settling) = held[index].stage else { return }
        let item = held[index]
        guard let error else {
            count(settling.ending)
            let duration = item.startedAt == .zero ? .zero : now - item.startedAt
            actions.append(.report(.settled(attempt(item), settling.ending, duration: duration)))
            return remove(index)
        }
        if error.isConnectionLoss {
            // Whether the settlement was done, nobody knows; if not, the event comes again.
            drop(index, error.description, now)
            connectionLost(item.generation, error, now)
        } else if error.code == .leaseLost {
            counters.leasesLost += 1
            drop(index, error.description, now)
        } else if settling.publishes.isEmpty {
            drop(index, error.description, now)
        } else {
            settle(
                index, Settling(lease: settling.lease, .retry(), error: "the publishes were refused: \(error)"))
        }
    }

    private mutating func count(_ ending: Ending) {
        counters.brokerAnswers += 1
        switch ending {
        case .done: counters.done += 1
        case .retried: counters.retried += 1
        case .snoozed: counters.snoozed += 1
        case .released: counters.released += 1
        case .dead: counters.dead += 1
        }
    }

    mutating func leasesLost(_ leases: [LeaseID], _ now: Duration) {
        counters.brokerAnswers += 1
        for lease in leases {
            guard let index = held.firstIndex(where: { $0.delivery.lease == lease && isConnected($0) }) else {
                continue
            }
            if case .settling = held[index].stage { continue }  // The answer to the settlement says the same.
            counters.leasesLost += 1
            actions.append(.report(.leaseLost(attempt(held[index]))))
            actions.append(.forgetLease(lease))
            switch held[index].stage {
            case .settling: break
            case .waiting: remove(index)
            case .running: cancel(index, .leaseLost, now)
            case .cancelled(_, let until): held[index].stage = .cancelled(.leaseLost, until: until)
            }
        }
    }
}

extension Outcome {
    /// True when the event needs no other attempt.
    fileprivate var isFinal: Bool {
        switch self {
        case .done, .dead: true
        case .retry, .snooze, .release: false
        }
    }
}

extension BrokerError {
    /// The connection is of no more use.
    var isConnectionLoss: Bool {
        switch code {
        case .connectionLost, .connectionRefused, .closed, .responseMalformed: true
        default: code.endsConnection
        }
    }
}
