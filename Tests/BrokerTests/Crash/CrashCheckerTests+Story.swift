extension CrashCheckerTests {
    /// Writes a history in few words. Number n is message 100 + n with the fingerprint n.
    struct Story {
        var history = History()
        var remains = Remains()
        private var lease: UInt64 = 0

        private func publish(_ number: Int, _ topic: String, key: String? = nil) -> History.Publish {
            History.Publish(number: number, topic: topic, fingerprint: UInt64(number), key: key)
        }

        init() { history.events.append(.started(History.Survey())) }

        /// - Parameter id: Nil: never answered.
        @discardableResult
        mutating func publish(_ number: Int, to topic: String = "b", key: String? = nil, id: UInt64? = 0) -> Int {
            let operation = history.invoke(
                .init(kind: .publish, connection: 1, publishes: [publish(number, topic, key: key)]))
            if let id {
                let receipt = History.Receipt(id: id == 0 ? UInt64(100 + number) : id)
                history.events.append(.answered(operation, .published([receipt])))
            }
            return operation
        }

        mutating func refuse(_ number: Int) {
            let operation = history.invoke(.init(kind: .publish, connection: 1, publishes: [publish(number, "b")]))
            history.events.append(.answered(operation, .published([nil])))
        }

        /// - Returns: The lease.
        @discardableResult
        mutating func deliver(
            _ number: Int, on subscription: String = "b@x", attempt: UInt32 = 1, connection: Int = 1,
            lease: UInt64? = nil, id: UInt64? = nil, fingerprint: UInt64? = nil
        ) -> UInt64 {
            self.lease += 1
            let lease = lease ?? self.lease
            history.events.append(
                .delivered(
                    .init(
                        connection: connection, subscription: subscription, lease: lease,
                        id: id ?? UInt64(100 + number), attempt: attempt, number: number,
                        fingerprint: fingerprint ?? UInt64(number))))
            return lease
        }

        /// - Parameter isAccepted: Nil: never answered.
        mutating func settle(
            _ lease: UInt64, _ verdict: History.Verdict = .ack, connection: Int = 1, isAccepted: Bool? = true
        ) {
            let operation = history.invoke(
                .init(kind: .settle, connection: connection, settles: [.init(lease: lease, verdict: verdict)]))
            if let isAccepted { history.events.append(.answered(operation, .settled([isAccepted]))) }
        }

        mutating func commit(_ lease: UInt64, publishing numbers: [Int], answer: History.Answer?) {
            let operation = history.invoke(
                .init(
                    kind: .commit, connection: 1, publishes: numbers.map { publish($0, "b") },
                    settles: [.init(lease: lease, verdict: .ack)]))
            if let answer { history.events.append(.answered(operation, answer)) }
        }

        mutating func take(_ number: Int?) {
            let operation = history.invoke(.init(kind: .take("once"), connection: 1))
            guard let number else { return }
            let delivery = History.Delivery(
                connection: 1, subscription: "once", lease: 0, id: UInt64(100 + number), attempt: 1, number: number,
                fingerprint: UInt64(number))
            history.events.append(.answered(operation, .taken(delivery)))
        }

        /// A kill, and a start that counts this on b@x.
        mutating func restart(_ counts: History.Counts = History.Counts()) {
            history.events.append(.killed)
            history.events.append(.started(.init(subscriptions: ["b@x": counts], messages: [:])))
        }

        mutating func bury(_ number: Int, reason: String = "rejected: why", attempts: UInt32 = 1) {
            remains.letters.append(
                .init(
                    subscription: "b@x", id: UInt64(100 + number), attempts: attempts, reason: reason, number: number,
                    fingerprint: UInt64(number)))
            remains.survey.subscriptions["b@x", default: .init()].dead += 1
            remains.survey.messages["b", default: 0] += 1
        }

        var verdict: Set<Checker.Rule> {
            Set(Checker.check(history, CrashCheckerTests.setting, remains).map(\.rule))
        }
    }
}
