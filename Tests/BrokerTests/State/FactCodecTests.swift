import BrokerProtocol
import Testing

@testable import Broker

@Suite("Facts as bytes") struct FactCodecTests {
    static let facts: [Fact] = {
        let topic = TopicID(rawValue: 3)
        let subscription = SubscriptionID(rawValue: 4)
        let time = WallTime(milliseconds: -5)
        let full = PublishedMessage(
            id: id(9), topic: topic, publishedAt: time, priority: 9, orderingKey: "k", deliverAt: time, expiresAt: time,
            dedupID: "d",
            headers: [Header("k", "v"), Header("", "ü")], body: [0, 255])
        let bare = PublishedMessage(
            id: id(OrderedIDs.idMax), topic: topic, publishedAt: time, priority: 0, orderingKey: nil, deliverAt: nil,
            expiresAt: nil, dedupID: nil,
            headers: [], body: [])
        let slots = [
            SlotRecord(
                subscription: subscription, attempts: 1, deliveries: 1, deaths: 2, redrives: 3, lastError: "e",
                lastConsumer: "c", failedAt: [time, time], readyAt: time,
                grave: Grave(reason: .rejected, words: "r", at: time, sweep: 8)),
            SlotRecord(
                subscription: subscription, attempts: 0, deliveries: 0, deaths: 0, redrives: 0, lastError: nil,
                lastConsumer: nil, failedAt: [], readyAt: nil, grave: nil),
        ]
        var selection = DeadSelection()
        selection.reasons = [.poison, .age]
        selection.headers = [Header("k", "v")]
        let job = JobRecord(
            id: 7, subscription: subscription, selection: selection, rate: 5, startedAt: time, next: id(8), moved: 2)
        var settings = TopicSettings()
        settings.messagesMax = .max
        settings.delivery.attemptsMax = 7
        return [
            .topicDefined(topic, TopicName("t")!, settings), .topicDeleted(topic),
            .subscriptionDefined(subscription, topic, name: "s", start: .beginning, .implicit),
            .subscriptionDefined(subscription, topic, name: "s", start: .now, .asked),
            .subscriptionDefined(subscription, topic, name: "s", start: .time(time), .asked),
            .subscriptionDefined(subscription, topic, name: "s", start: .message(id(7)), .asked),
            .subscriptionSet(subscription, nil), .subscriptionSet(subscription, settings.delivery),
            .subscriptionDeleted(subscription), .published(full), .published(bare),
            .acknowledged(subscription, []), .acknowledged(subscription, [1, 2, 3, 9, 8, 7, 7].map { id($0) }),
            .attempted(subscription, [id(1)]),
            .returned(
                subscription, id(1),
                Return(readyAt: time, countsAttempt: true, isDeath: false, error: "e", consumer: "c", at: time)),
            .returned(
                subscription, id(1),
                Return(readyAt: time, countsAttempt: false, isDeath: true, error: nil, consumer: nil, at: time)),
            .died(subscription, id(1), Death(reason: .rejected, words: "r", consumer: "c", isDeath: true, at: time)),
            .died(subscription, id(1), Death(reason: .overflow, error: "e", at: time)),
            .redriven(subscription, [id(1)]), .purged(subscription, [id(1)]), .restated(full, slots),
            .restated(bare, []),
            .deduplicated(topic, [DedupEntry(dedupID: "d", message: id(1), until: time)]),
            .subscriptionFiltered(subscription, MessageFilter([Header("k", "v"), Header("", "ü")])),
            .assigned(subscription, [id(1)], rest: nil), .forgotten(topic, through: id(5)),
            .patternDefined(subscription, SubscriptionName("a.*@b")!),
            .memberDefined(subscription, topic, of: SubscriptionID(rawValue: 9), start: .message(id(3))),
            .assigned(subscription, [], rest: Reading(next: id(1), through: id(2), since: nil)),
            .assigned(subscription, [], rest: Reading(next: id(1), through: id(2), since: time)),
            .counted(nextMessage: id(1), nextTopic: topic, nextSubscription: subscription), .jobStarted(job),
            .jobMoved(7, next: id(9), moved: 3), .jobEnded(7),
        ] + timed
    }()

    /// The facts of cancelled and rescheduled messages, schedules and pauses.
    private static let timed: [Fact] = {
        let time = WallTime(milliseconds: -5)
        let bare = Schedule(ScheduleName("s")!, topic: TopicName("t")!, cron: "@daily")
        var full = bare
        full.zone = "Europe/Berlin"
        full.missed = .all
        full.isPaused = true
        full.headers = [Header("k", "v")]
        full.priority = 9
        full.orderingKey = "k"
        full.expiryMilliseconds = 5
        full.body = [1, 2]
        var progress = ScheduleProgress(since: time)
        progress.note(WallTime(milliseconds: 7), refusal: "full")
        return [
            .cancelled([1, 2, 9].map { id($0) }), .rescheduled(id(3), deliverAt: time),
            .scheduleDefined(bare, ScheduleProgress(since: time)), .scheduleDefined(full, progress),
            .scheduleDeleted(full.name), .scheduleFired(full.name, time, refusal: nil),
            .scheduleFired(full.name, time, refusal: "full"),
            .paused(.topic(TopicID(rawValue: 3)), .both, Pause(until: nil)),
            .paused(.subscription(SubscriptionID(rawValue: 4)), .delivery, Pause(until: time)),
            .paused(.topic(TopicID(rawValue: 3)), .intake, nil),
        ]
    }()

    @Test("A message's outline and content are those of the whole, wherever it stands")
    func outline() throws {
        for fact in Self.facts {
            let payload = FactCodec.encode([.topicDeleted(TopicID(rawValue: 1)), fact]).payload
            let bytes = [1, 2, 3] + payload + [4]
            let range = 3..<3 + payload.count
            switch fact {
            case .published(let message), .restated(let message, _):
                let (outline, content) = try FactCodec.outline(in: bytes, range, at: 5)
                var reader = ByteReader(bytes, content)
                var whole = outline
                whole.headers = try reader.headers()
                whole.body = try reader.blob("body")
                #expect(whole == message && reader.remaining == 0)
                for end in 8..<content.upperBound {
                    #expect(throws: FactCodec.Malformed.self) { try FactCodec.outline(in: bytes, 3..<end, at: 5) }
                }
            default: #expect(throws: FactCodec.Malformed.self) { try FactCodec.outline(in: bytes, range, at: 5) }
            }
        }
    }

    @Test("Every fact comes back as it was")
    func roundTrip() throws {
        let (payload, offsets) = FactCodec.encode(Self.facts)
        let decoded = try FactCodec.decode(payload)
        #expect(decoded.map(\.fact) == Self.facts)
        #expect(decoded.map(\.offset) == offsets)
    }

    @Test("A message is found at its offset, and nothing else is taken for one")
    func messageAt() throws {
        let (payload, offsets) = FactCodec.encode(Self.facts)
        for (fact, offset) in zip(Self.facts, offsets) {
            switch fact {
            case .published(let message), .restated(let message, _):
                #expect(try FactCodec.message(in: payload, at: offset) == message)
            default: #expect(throws: FactCodec.Malformed.self) { try FactCodec.message(in: payload, at: offset) }
            }
        }
        for offset in [-1, payload.count, .max] {
            #expect(throws: FactCodec.Malformed.self) { try FactCodec.message(in: payload, at: offset) }
        }
    }

    @Test("A fact that is cut anywhere is refused")
    func truncated() {
        for fact in Self.facts {
            let payload = FactCodec.encode([fact]).payload
            for count in 1..<payload.count {
                #expect(throws: FactCodec.Malformed.self) { try FactCodec.decode(Array(payload[..<count])) }
            }
        }
    }

    @Test("The highest number of each kind is no id")
    func highestNumber() {
        let time = WallTime(milliseconds: 0)
        let topic = TopicID(rawValue: .max)
        let subscription = SubscriptionID(rawValue: .max)
        let message = PublishedMessage(
            id: id(.max), topic: TopicID(rawValue: 1), publishedAt: time, priority: 0, orderingKey: nil, deliverAt: nil,
            expiresAt: nil,
            dedupID: nil, headers: [], body: [])
        for fact in [
            Fact.topicDeleted(topic), .subscriptionDeleted(subscription), .published(message), .restated(message, []),
            .counted(
                nextMessage: id(.max), nextTopic: TopicID(rawValue: 1), nextSubscription: SubscriptionID(rawValue: 1)),
        ] {
            #expect(throws: FactCodec.Malformed.self) { try FactCodec.decode(FactCodec.encode([fact]).payload) }
        }
    }

    @Test("Flipped bytes are refused or read, and never trap, also when they are applied")
    func flipped() {
        var random = SeededRandom(seed: 11)
        let payload = FactCodec.encode(Self.facts).payload
        for _ in 0..<3_000 {
            var bytes = payload
            for _ in 0..<Int.random(in: 1...3, using: &random) {
                bytes[Int.random(in: bytes.indices, using: &random)] = UInt8.random(in: 0...255, using: &random)
            }
            guard let facts = try? FactCodec.decode(bytes) else { continue }
            let state = BrokerState(limits: StateLimits(), journal: MemoryJournal(), seed: 1)
            for (fact, offset) in facts where !Self.isHuge(fact) {
                state.apply(fact, at: RecordAddress(position: 0, offset: offset))
            }
        }
    }

    /// A range of millions of ids is legal and only slow.
    private static func isHuge(_ fact: Fact) -> Bool {
        switch fact {
        case .acknowledged(_, let ids), .attempted(_, let ids), .redriven(_, let ids), .purged(_, let ids),
            .cancelled(let ids):
            ids.count > 1_000
        default: false
        }
    }
}
