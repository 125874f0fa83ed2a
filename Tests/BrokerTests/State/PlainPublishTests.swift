import BrokerProtocol
import Testing

@testable import Broker

@Suite("Plain publishes") struct PlainPublishTests {
    /// The same state twice: one takes requests as on the wire, the other in the general way.
    private final class Twins {
        let journals = (MemoryJournal(), MemoryJournal())
        let direct: BrokerState
        let general: BrokerState
        var now = Now(monotonic: 5_000_000, wall: WallTime(milliseconds: 1_700_000_000_000))
        private var correlation: UInt32 = 0

        init(_ limits: StateLimits = StateLimits()) {
            direct = BrokerState(limits: limits, journal: journals.0, seed: 1)
            general = BrokerState(limits: limits, journal: journals.1, seed: 1)
            for state in [direct, general] {
                state.begin(epoch: 1)
                state.open(SessionID(rawValue: 1), name: "shop")
                state.advance(now: now)
            }
        }

        /// - Returns: Whether the direct way was taken, and the answers are the same.
        func ask(_ request: Request) -> (isDirect: Bool, isAlike: Bool) {
            correlation += 1
            let origin = Origin(session: SessionID(rawValue: 1), correlation: correlation)
            direct.handleAsOnTheWire(request, from: origin, now: now)
            general.handle(request, from: origin, now: now)
            let isDirect = !direct.confirmations.isEmpty
            let answers = (direct.takeEffects(), general.takeEffects())
            let isAlike =
                answers.0.map(\.effect) == answers.1.map(\.effect)
                && answers.0.map(\.requires) == answers.1.map(\.requires)
            return (isDirect, isAlike)
        }

        func publish(_ message: OutgoingMessage) -> (isDirect: Bool, isAlike: Bool) { ask(.publish([message])) }

        var isAlike: Bool {
            journals.0.records.map(\.payload) == journals.1.records.map(\.payload)
                && direct.topicStatuses() == general.topicStatuses() && direct.status() == general.status()
                && direct.disagreements() == [] && general.disagreements() == []
        }
    }

    private static let topic = TopicName("orders")!
    private static func plain(_ bytes: Int = 10, headers: [Header] = [], priority: UInt8 = 0) -> OutgoingMessage {
        OutgoingMessage(
            topic: topic, body: [UInt8](repeating: 7, count: bytes), headers: headers, priority: priority)
    }

    @Test("Log, answers and state are those of the general way")
    func isTheSame() {
        let twins = Twins()
        #expect(twins.publish(Self.plain()) == (false, true), "the topic is made in the general way")
        #expect(twins.publish(Self.plain()) == (true, true))
        #expect(twins.publish(Self.plain(0, headers: [Header("kind", "größer"), Header("", "")])) == (true, true))
        twins.now.wall = twins.now.wall.adding(milliseconds: 5)
        #expect(twins.publish(Self.plain(priority: 9)) == (true, true))
        #expect(twins.ask(.subscriptionCreate(SubscriptionName("orders@mail")!, .beginning)).isAlike)
        #expect(twins.ask(.subscriptionCreate(SubscriptionName("orders@stock")!, .now)).isAlike)
        #expect(twins.publish(Self.plain()) == (true, true))
        #expect(twins.isAlike)
    }

    @Test("What is more than plain goes the general way")
    func isMore() {
        let twins = Twins()
        _ = twins.publish(Self.plain())
        for change: (inout OutgoingMessage) -> Void in [
            { $0.orderingKey = "k" }, { $0.dedupID = "d" }, { $0.delayMilliseconds = 5 },
            { $0.deliverAt = WallTime(milliseconds: 5) }, { $0.expiresAt = WallTime(milliseconds: 5) },
        ] {
            var message = Self.plain()
            change(&message)
            #expect(twins.publish(message) == (false, true))
        }
        #expect(twins.ask(.publish([Self.plain(), Self.plain()])) == (false, true))
        #expect(twins.isAlike)
    }

    @Test("What is refused is refused in the general way")
    func isRefused() {
        var limits = StateLimits()
        limits.bodyBytesMax = 20
        limits.headersBytesMax = 20
        let twins = Twins(limits)
        _ = twins.publish(Self.plain())
        #expect(twins.publish(Self.plain(20, headers: [Header("12345678", "12345678")])) == (true, true))
        #expect(twins.publish(Self.plain(21)) == (false, true))
        #expect(twins.publish(Self.plain(headers: [Header("12345678", "123456789")])) == (false, true))
        #expect(twins.publish(Self.plain(priority: 10)) == (false, true))
        #expect(twins.ask(.pause(.topic(Self.topic), .intake, until: nil)).isAlike)
        #expect(twins.publish(Self.plain()) == (false, true))
        #expect(twins.ask(.resume(.topic(Self.topic), .intake)).isAlike)
        #expect(twins.publish(Self.plain()) == (true, true))
        twins.journals.0.publishBytesFree = 0
        twins.journals.1.publishBytesFree = 0
        #expect(twins.publish(Self.plain()) == (false, true))
        #expect(twins.isAlike)
    }

    @Test("A topic with limits, or a subscription that looks at headers, needs the general way")
    func isNoPlainTopic() {
        let twins = Twins()
        _ = twins.publish(Self.plain())
        var settings = TopicSettings()
        settings.messagesMax = 3
        #expect(twins.ask(.topicSet(Self.topic, settings)).isAlike)
        #expect(twins.publish(Self.plain()) == (false, true))
        settings.messagesMax = 0
        settings.delivery.fairHeader = "tenant"
        #expect(twins.ask(.topicSet(Self.topic, settings)).isAlike)
        #expect(twins.publish(Self.plain(headers: [Header("tenant", "a")])) == (false, true))
        #expect(twins.ask(.topicSet(Self.topic, TopicSettings())).isAlike)
        #expect(twins.publish(Self.plain()) == (true, true))
        #expect(twins.isAlike)
    }

    @Test("While the broker drains, or keeps history, the general way answers")
    func isNoPlainTime() {
        var limits = StateLimits()
        limits.historyMilliseconds = 1_000
        let twins = Twins(limits)
        _ = twins.publish(Self.plain())
        #expect(twins.publish(Self.plain()) == (true, true))
        twins.now.wall = twins.now.wall.adding(milliseconds: 100)
        for state in [twins.direct, twins.general] { state.advance(now: twins.now) }
        #expect(twins.publish(Self.plain()) == (false, true), "a time is due in the log")
        #expect(twins.publish(Self.plain()) == (true, true))
        for state in [twins.direct, twins.general] { state.drain() }
        #expect(twins.publish(Self.plain()) == (false, true))
        #expect(twins.isAlike)
    }
}
