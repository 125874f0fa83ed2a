import Testing

/// A checker that misses a lie is worse than none: each rule is broken once by hand.
@Suite("Crash checker")
struct CrashCheckerTests {
    static let setting = Setting(topics: [
        "a": .init(subscriptions: ["a@x", "a@y"], attemptsMax: 2),
        "b": .init(subscriptions: ["b@x"]),
        "once": .init(subscriptions: ["once"], isTaken: true),
    ])

    private func verdict(_ tell: (inout Story) -> Void) -> Set<Checker.Rule> {
        var story = Story()
        tell(&story)
        return story.verdict
    }

    @Test("A history in which everything went well breaks no rule")
    func good() {
        let rules = verdict { story in
            story.publish(1)
            story.settle(story.deliver(1))
            story.publish(2, to: "a")
            story.settle(story.deliver(2, on: "a@x"))
            story.settle(story.deliver(2, on: "a@y"), .fail)
            story.settle(story.deliver(2, on: "a@y", attempt: 2), .release)
            story.settle(story.deliver(2, on: "a@y", attempt: 2))
            story.publish(3)
            story.settle(story.deliver(3), .reject)
            story.bury(3)
            story.publish(4)
            story.commit(story.deliver(4), publishing: [5, 6], answer: .committed([.init(id: 105), .init(id: 106)]))
            for number in 5...6 { story.settle(story.deliver(number)) }
            story.publish(7, to: "once")
            story.take(7)
            story.refuse(8)
        }
        #expect(rules.isEmpty)
    }

    @Test("What was never answered may have happened or not")
    func unknown() {
        let rules = verdict { story in
            story.publish(1, id: nil)
            story.publish(2, id: nil)
            story.publish(3)
            story.settle(story.deliver(3), isAccepted: nil)
            story.publish(4)
            story.settle(story.deliver(4), isAccepted: nil)
            story.publish(9, to: "once")
            story.take(nil)
            story.restart(.init(ready: 2))
            story.settle(story.deliver(2))
            story.settle(story.deliver(4, attempt: 2))
        }
        #expect(rules.isEmpty)
    }

    @Test("A lost message is caught: never delivered, delivered and not ended, gone after a restart")
    func lost() {
        #expect(verdict { $0.publish(1) } == [.lost])
        #expect(
            verdict {
                $0.publish(1); $0.settle($0.deliver(1), .release)
            } == [.lost])
        #expect(
            verdict {
                $0.publish(1); $0.settle($0.deliver(1), .reject)
            } == [.lost])
        #expect(
            verdict {
                $0.publish(1, to: "a"); $0.settle($0.deliver(1, on: "a@x"))
            } == [.lost])
        #expect(
            verdict {
                $0.publish(1); $0.restart(.init(ready: 0))
            } == [.lost, .accounting])
        #expect(verdict { $0.publish(1, to: "once") } == [.lost])
        // Nobody confirmed it, but somebody saw it.
        #expect(
            verdict {
                $0.publish(1, id: nil); $0.deliver(1)
            } == [.lost])
        // An ack that was refused explains nothing.
        #expect(
            verdict {
                $0.publish(1)
                let lease = $0.deliver(1)
                $0.restart(.init(ready: 1))
                $0.settle(lease, isAccepted: false)
            } == [.lost])
    }

    @Test("A message that comes again after its end is caught, also across a restart, also as a dead letter")
    func resurrected() {
        #expect(
            verdict {
                $0.publish(1); $0.settle($0.deliver(1)); $0.deliver(1, attempt: 2)
            } == [.resurrected])
        #expect(
            verdict {
                $0.publish(1)
                $0.settle($0.deliver(1))
                $0.restart()
                $0.deliver(1, attempt: 2)
            } == [.resurrected])
        #expect(
            verdict {
                $0.publish(1); $0.settle($0.deliver(1)); $0.bury(1)
            }.contains(.resurrected))
        #expect(
            verdict {
                $0.publish(1); $0.settle($0.deliver(1)); $0.restart(.init(ready: 1))
            } == [.accounting])
    }

    @Test("A delivery that nobody published is caught: unknown, changed, of another topic, with another id")
    func phantom() {
        #expect(verdict { $0.deliver(1) } == [.phantom])
        #expect(
            verdict {
                $0.publish(1); $0.settle($0.deliver(1)); $0.deliver(1, fingerprint: 7)
            } == [.phantom])
        #expect(
            verdict {
                $0.publish(1); $0.settle($0.deliver(1)); $0.deliver(1, on: "a@x")
            } == [.phantom])
        #expect(
            verdict {
                $0.publish(1); $0.publish(2, id: 101)
            }.contains(.phantom))
        #expect(
            verdict {
                $0.publish(1); $0.settle($0.deliver(1), .reject); $0.bury(1, reason: "attempts")
            } == [.phantom])
    }

    @Test("A publish that became two messages is caught")
    func doubled() {
        #expect(
            verdict {
                $0.publish(1, id: nil)
                $0.restart(.init(ready: 1))
                $0.settle($0.deliver(1))
                $0.deliver(1, id: 150)
            } == [.doubled])
        #expect(
            verdict {
                $0.publish(1); $0.publish(1, id: 150); $0.settle($0.deliver(1))
            } == [.doubled])
    }

    @Test("Two leases at a time, and a lease that works after its end, are caught")
    func leases() {
        #expect(
            verdict {
                $0.publish(1)
                $0.deliver(1)
                $0.settle($0.deliver(1, attempt: 2, connection: 2), connection: 2)
            } == [.sharedLease])
        #expect(
            verdict {
                $0.publish(1); let lease = $0.deliver(1); $0.settle(lease); $0.settle(lease)
            } == [.staleLease])
        #expect(
            verdict {
                $0.publish(1)
                let lease = $0.deliver(1)
                $0.restart(.init(ready: 1))
                $0.settle($0.deliver(1, attempt: 2))
                $0.settle(lease)
            } == [.staleLease])
        #expect(
            verdict {
                $0.publish(1)
                let lease = $0.deliver(1)
                $0.settle(lease, isAccepted: false)
                $0.settle(lease)
            } == [.falseRefusal])
        #expect(
            verdict {
                $0.publish(1); $0.settle($0.deliver(1, lease: 9)); $0.settle(9, connection: 2)
            } == [.staleLease])
    }

    @Test("Half a commit is caught, and one that was refused and done")
    func commits() {
        #expect(
            verdict {
                $0.publish(1)
                $0.commit($0.deliver(1), publishing: [2, 3], answer: nil)
                $0.restart(.init(ready: 1))
                $0.settle($0.deliver(2))
            } == [.halfCommit])
        #expect(
            verdict {
                $0.publish(1)
                $0.commit($0.deliver(1), publishing: [2], answer: nil)
                $0.restart(.init(ready: 2))
                $0.settle($0.deliver(1, attempt: 2))
                $0.settle($0.deliver(2))
            } == [.halfCommit])
        // Neither its publishes nor its ack: then the message must come again.
        #expect(
            verdict {
                $0.publish(1)
                $0.commit($0.deliver(1), publishing: [2], answer: nil)
                $0.restart(.init(ready: 0))
            } == [.lost])
        #expect(
            verdict {
                $0.publish(1)
                let lease = $0.deliver(1)
                $0.settle(lease)
                $0.commit(lease, publishing: [2], answer: .refused)
                $0.settle($0.deliver(2))
            } == [.refusalHadEffect])
        #expect(
            verdict {
                $0.refuse(1); $0.settle($0.deliver(1))
            } == [.refusalHadEffect])
    }

    @Test("A lease that a refused commit left alone settles with the next request")
    func leftAlone() {
        let rules = verdict { story in
            story.publish(1)
            let lease = story.deliver(1)
            let first = story.history.invoke(
                .init(kind: .commit, connection: 1, settles: [lease, 99].map { .init(lease: $0, verdict: .ack) }))
            let second = story.history.invoke(
                .init(kind: .settle, connection: 1, settles: [.init(lease: lease, verdict: .ack)]))
            story.history.events.append(.answered(first, .refused))
            story.history.events.append(.answered(second, .settled([true])))
        }
        #expect(rules.isEmpty)
    }

    @Test("Attempts that fall, and attempts above the limit, are caught; a crash may repeat one")
    func attempts() {
        func story(_ attempts: [UInt32], isKilled: Bool = false) -> Set<Checker.Rule> {
            verdict { story in
                story.publish(1, to: "a")
                story.settle(story.deliver(1, on: "a@x"))
                for attempt in attempts.dropLast() {
                    story.settle(story.deliver(1, on: "a@y", attempt: attempt), .release)
                }
                if isKilled {
                    story.history.events.append(.killed)
                    story.history.events.append(.started(.init(subscriptions: ["a@y": .init(ready: 1)])))
                }
                story.settle(story.deliver(1, on: "a@y", attempt: attempts.last ?? 1))
            }
        }
        #expect(story([2, 1]) == [.attemptsFell])
        #expect(story([2, 3]) == [.tooManyAttempts])
        #expect(story([2, 3], isKilled: true).isEmpty)
        #expect(story([2, 2], isKilled: true).isEmpty)
        #expect(story([2, 4], isKilled: true) == [.tooManyAttempts])
        #expect(
            verdict {
                $0.publish(1)
                $0.settle($0.deliver(1), .fail)
                $0.settle($0.deliver(1, attempt: 1))
            } == [.attemptsFell])
    }

    @Test("Messages of a key that overtake each other are caught; other keys may")
    func order() {
        func story(_ keys: [String]) -> Set<Checker.Rule> {
            verdict { story in
                story.publish(1, key: keys[0])
                story.publish(2, key: keys[1])
                story.settle(story.deliver(2))
                story.settle(story.deliver(1))
            }
        }
        #expect(story(["k", "k"]) == [.outOfOrder])
        #expect(story(["k", "l"]).isEmpty)
        // Also while the first one waits for its retry.
        #expect(
            verdict {
                $0.publish(1, key: "k")
                $0.publish(2, key: "k")
                $0.settle($0.deliver(1), .fail)
                $0.settle($0.deliver(2))
                $0.settle($0.deliver(1, attempt: 2))
            } == [.outOfOrder])
    }

    @Test("A message taken twice, and counts that do not agree, are caught")
    func rest() {
        #expect(
            verdict {
                $0.publish(1, to: "once"); $0.take(1); $0.take(1)
            } == [.takenTwice])
        #expect(
            verdict {
                $0.publish(1)
                $0.settle($0.deliver(1))
                $0.remains.survey.subscriptions["b@x"] = .init(ready: 1)
            } == [.accounting])
        #expect(
            verdict {
                $0.publish(1); $0.settle($0.deliver(1)); $0.remains.survey.messages["b"] = 1
            } == [.accounting])
        #expect(
            verdict {
                $0.publish(1); $0.restart(.init(ready: 1, leased: 1)); $0.settle($0.deliver(1))
            } == [.accounting])
    }
}
