import BrokerProtocol

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

    mutating func drop(_ index: Int, _ reason: String, _ now: Duration) {
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
        case .running: conclude(index, ruling, now)
        case .cancelled(.leaseLost, _): drop(index, "the lease was lost", now)
        case .cancelled(let cause, _):
            // Finished work counts although the cancellation came first; everything else follows from that.
            if ruling.error == nil, ruling.outcome.isFinal {
                settle(index, Settling(lease: lease, ruling.outcome, wall: wall()))
            } else if cause == .timeout, case .pauseQueue = ruling.outcome {
                // What is down often shows as a call that does not end.
                conclude(index, ruling, now)
            } else if cause == .timeout {
                settle(index, Settling(lease: lease, .fail(timeoutText), wall: wall()))
            } else {
                settle(index, Settling(lease: lease, .release, wall: wall()))
            }
        case .waiting, .pausing, .settling, .refused: break
        }
    }

    private mutating func conclude(_ index: Int, _ ruling: Ruling, _ now: Duration) {
        if case .pauseQueue(let time, let reason) = ruling.outcome {
            pause(index, until: time.wall(now: wall()), ErrorText.bounded(reason ?? ruling.error ?? "a worker asked"))
        } else {
            settle(
                index,
                Settling(lease: held[index].delivery.lease, ruling.outcome, error: ruling.error, wall: wall()))
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
            let text = timeoutText + "; the handler ignores its cancellation"
            settle(index, Settling(lease: item.delivery.lease, .fail(text), wall: wall()))
        case .drain: settle(index, Settling(lease: item.delivery.lease, .release, wall: wall()))
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
        } else if error.code == .diskFull {
            waitForDisk(index, settling, error, now)
        } else if settling.publishes.isEmpty {
            drop(index, error.description, now)
        } else if error.code.isForATime {
            postpone(index, error)
        } else {
            let text = "the publishes were refused: \(error)"
            settle(index, Settling(lease: settling.lease, .fail(text), wall: wall()))
        }
    }

    private mutating func count(_ ending: Ending) {
        counters.brokerAnswers += 1
        switch ending {
        case .done: counters.done += 1
        case .failed: counters.failed += 1
        case .snoozed: counters.snoozed += 1
        case .pausedQueue: counters.pausedQueue += 1
        case .released: counters.released += 1
        case .rejected: counters.rejected += 1
        }
    }

    mutating func leasesLost(_ leases: [LeaseID], _ now: Duration) {
        counters.brokerAnswers += 1
        for lease in leases {
            guard let index = held.firstIndex(where: { $0.delivery.lease == lease && isConnected($0) }) else {
                continue
            }
            switch held[index].stage {
            case .settling, .pausing: continue  // The answer to the settlement says the same.
            case .waiting, .running, .cancelled, .refused: break
            }
            counters.leasesLost += 1
            actions.append(.report(.leaseLost(attempt(held[index]))))
            actions.append(.forgetLease(lease))
            switch held[index].stage {
            case .settling, .pausing: break
            case .waiting: remove(index)
            case .refused: drop(index, "the lease was lost", now)
            case .running: cancel(index, .leaseLost, now)
            case .cancelled(_, let until): held[index].stage = .cancelled(.leaseLost, until: until)
            }
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
