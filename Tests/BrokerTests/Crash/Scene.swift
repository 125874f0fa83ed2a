import BrokerProtocol

/// The topics of the crash test: their settings for the broker, and the same for the checker.
enum Scene {
    static let subscriptions = ["plain@x", "plain@y", "keyed@x", "out@x"]
    static let taken = "once"

    static let setting = Setting(topics: [
        "plain": .init(subscriptions: ["plain@x", "plain@y"], attemptsMax: 5),
        // Nothing here may die unseen, or the order could not be judged.
        "keyed": .init(subscriptions: ["keyed@x"], attemptsMax: 1000),
        "out": .init(subscriptions: ["out@x"], attemptsMax: 1000),
        "once": .init(subscriptions: ["once"], isTaken: true),
    ])

    /// For brokerd.conf: no lease runs out by itself, and what failed comes back at once.
    static let configuration = """
        [defaults]
        lease = 1h
        backoff_base = 0s
        backoff_cap = 0s
        attempts_max = 1000
        poison_deaths_max = 1000
        [topic plain]
        attempts_max = 5
        poison_deaths_max = 3
        [topic keyed]
        attempts_max = 1000
        [topic out]
        attempts_max = 1000
        [topic once]
        attempts_max = 1000
        """

    /// A body that tells its number: eight bytes of it, then filling that depends on it.
    static func body(_ number: Int, bytes: Int) -> [UInt8] {
        var dice = Dice(seed: UInt64(number))
        let filling = (0..<max(bytes - 8, 0)).map { _ in UInt8(truncatingIfNeeded: dice.next()) }
        return (0..<8).map { UInt8(truncatingIfNeeded: number >> (8 * (7 - $0))) } + filling
    }

    static func number(in body: [UInt8]) -> Int? {
        guard body.count >= 8 else { return nil }
        let word = body.prefix(8).reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        return Int(exactly: word)
    }

    static func survey(_ topics: [TopicStatus]) -> History.Survey {
        var survey = History.Survey()
        for topic in topics {
            survey.messages[topic.name.text] = Int(topic.messages)
            for status in topic.subscriptions {
                survey.subscriptions[status.name.description] = History.Counts(
                    ready: Int(status.ready), delayed: Int(status.delayed), leased: Int(status.leased),
                    dead: Int(status.dead))
            }
        }
        return survey
    }

    static func seen(_ delivery: Delivery, by connection: Int) -> History.Delivery {
        History.Delivery(
            connection: connection, subscription: delivery.subscription.description, lease: delivery.lease.rawValue,
            id: delivery.id.rawValue, attempt: delivery.attempt, number: number(in: delivery.body),
            fingerprint: History.fingerprint(delivery.body))
    }
}
