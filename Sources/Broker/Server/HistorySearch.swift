import BrokerProtocol
import SegmentLog

/// Reads the log once, from its oldest segment to what was durable when it came there, for what happened to some
/// messages. A bounded piece per turn; it holds nothing but what it found.
final class HistorySearch {
    let origin: Origin
    private let query: HistoryQuery
    private let limit: Int
    private var next: UInt64
    private let last: UInt64
    private var cursor: SegmentCursor?
    private var wanted: Set<MessageID> = []
    /// Of the wanted ones that the log has told of: facts about a message for all its subscriptions do not name it.
    private var topicsOfWanted: [MessageID: TopicID] = [:]
    /// As the log defines them on the way; each segment begins with all that exist.
    private var topics: [TopicID: TopicName] = [:]
    private var subscriptions: [SubscriptionID: (topic: TopicID, name: String)] = [:]
    private var patterns: [SubscriptionID: String] = [:]
    private var time: WallTime?
    private(set) var history = MessageHistory()

    init(_ origin: Origin, _ query: HistoryQuery, limit: UInt32, segments: ClosedRange<UInt64>) {
        self.origin = origin
        self.query = query
        self.limit = Int(limit)
        next = segments.lowerBound
        last = segments.upperBound
        if case .message(let id) = query { wanted = [id] }
    }

    /// - Returns: Whether the search is over.
    func step(_ log: SegmentLog, bytes: Int) throws(LogError) -> Bool {
        var read = 0
        while read < bytes {
            if cursor == nil {
                // What was given back meanwhile is skipped.
                next = max(next, log.firstSegment)
                guard next <= last, let found = try log.durableCursor(of: next) else { return true }
                cursor = found
                next += 1
            }
            guard let (position, payload) = try cursor?.next() else {
                cursor = nil
                continue
            }
            read += payload.count + 64
            do throws(FactCodec.Malformed) {
                for (fact, _) in try FactCodec.decode(payload) { note(fact) }
            } catch {
                throw .damaged(
                    file: "segment \(position / log.segmentBytes)", offset: Int(position % log.segmentBytes),
                    reason: "\(error.what) at byte \(error.offset) of the record")
            }
            if history.hasMore { return true }
        }
        return false
    }

    private func note(_ fact: Fact) {
        switch fact {
        case .clocked(let time): self.time = time
        case .topicDefined(let id, let name, _): topics[id] = name
        case .subscriptionDefined(let id, let topic, let name, _, _): subscriptions[id] = (topic, name)
        case .patternDefined(let id, let name): patterns[id] = name.name
        case .memberDefined(let id, let topic, let pattern, _): subscriptions[id] = (topic, patterns[pattern] ?? "")
        case .published(let message): note(message)
        case .restated(let message, _): find(message)
        case .attempted(let id, let messages): note(messages, .delivered, id)
        case .handed(let id, let messages, let consumer): note(messages, .delivered, id, "to \(consumer)")
        case .acknowledged(let id, let messages): note(messages, .acknowledged, id)
        case .returned(let id, let message, let back):
            note([message], back.isDeath ? .lost : back.countsAttempt ? .failed : .released, id, back.error ?? "")
        case .died(let id, let message, let death):
            let reason = death.reason.text(death.words)
            note([message], .died, id, reason + (death.error.map { ", last error: \($0)" } ?? ""))
        case .redriven(let id, let messages): note(messages, .redriven, id)
        case .purged(let id, let messages): note(messages, .purged, id)
        case .rescheduled(let message, let deliverAt): note(message, .rescheduled, "to \(deliverAt.utcText)")
        case .cancelled(let messages): for message in messages { note(message, .cancelled) }
        default: break
        }
    }

    /// A message with the header that is looked for becomes one whose events are wanted.
    private func find(_ message: PublishedMessage) {
        if case .header(let header) = query, message.headers.contains(header) { wanted.insert(message.id) }
        if wanted.contains(message.id) { topicsOfWanted[message.id] = message.topic }
    }

    private func note(_ message: PublishedMessage) {
        find(message)
        guard wanted.contains(message.id), let topic = topics[message.topic] else { return }
        var words = ["\(message.body.count) bytes"]
        if let key = message.orderingKey { words.append("key \(key)") }
        if let id = message.dedupID { words.append("dedup id \(id)") }
        append(
            HistoryEvent(
                message: message.id, kind: .published, at: message.publishedAt, topic: topic, subscription: nil,
                detail: words.joined(separator: ", ")))
    }

    private func note(_ messages: [MessageID], _ kind: HistoryEvent.Kind, _ id: SubscriptionID, _ detail: String = "") {
        if wanted.isEmpty { return }
        guard let (topicID, name) = subscriptions[id], let topic = topics[topicID] else { return }
        for message in messages where wanted.contains(message) {
            append(
                HistoryEvent(
                    message: message, kind: kind, at: time, topic: topic, subscription: name, detail: detail))
        }
    }

    /// What happened to a message in all its subscriptions.
    private func note(_ message: MessageID, _ kind: HistoryEvent.Kind, _ detail: String = "") {
        guard let id = topicsOfWanted[message], let topic = topics[id] else { return }
        append(
            HistoryEvent(message: message, kind: kind, at: time, topic: topic, subscription: nil, detail: detail))
    }

    private func append(_ event: HistoryEvent) {
        if history.events.count < limit { history.events.append(event) } else { history.hasMore = true }
    }
}

extension EventLoop {
    /// At a time, over all clients: each costs a part of every turn.
    private static let searchesMax = 8
    /// What a turn reads for all searches; some milliseconds.
    private static let searchBytesPerTurn = 1 << 20

    func startSearch(_ origin: Origin, _ query: HistoryQuery, _ limit: UInt32) {
        guard searches.count < Self.searchesMax else {
            let error = BrokerError(
                .batchTooLarge, "\(Self.searchesMax) histories are being read already; ask again later")
            return send(.response(origin.correlation, .refused(error)), to: origin.session)
        }
        searches.append(
            HistorySearch(
                origin, query, limit: limit, segments: engine.log.firstSegment...engine.log.lastSegment))
    }

    /// Goes on with the histories that are being read.
    func search() throws(LogError) {
        if searches.isEmpty { return }
        var going: [HistorySearch] = []
        for search in searches {
            if try search.step(engine.log, bytes: Self.searchBytesPerTurn / searches.count) {
                send(.response(search.origin.correlation, .history(search.history)), to: search.origin.session)
            } else {
                going.append(search)
            }
        }
        searches = going
    }
}
