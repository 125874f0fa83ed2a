private import Foundation
public import BrokerProtocol

/// A kind of message: a Swift type that stands as JSON in the body, and the topic that it is published to.
public protocol Event: Codable, Sendable {
    static var topic: TopicName { get }
    /// Tells the kinds of one topic apart; the topic's own name unless a topic carries several kinds.
    ///
    /// A message names its kind in the header ``EventType/headerKey``; one without that header is of the kind that
    /// has the topic's name.
    static var type: String { get }
}

extension Event {
    public static var type: String { topic.text }
}

public enum EventType {
    public static let headerKey = "event-type"

    static func named(in headers: [Header], topic: TopicName) -> String {
        headers.first { $0.key == headerKey }?.value ?? topic.text
    }
}

/// An event on its way out, encoded.
public struct Publication: Hashable, Sendable {
    public let message: OutgoingMessage

    /// - Parameters:
    ///   - key: Messages of one ordering key are delivered one at a time, in order, also while one waits for its retry.
    ///   - dedupID: A second publish with the same id inside the topic's `dedup_window` publishes nothing. A handler
    ///     that runs again after a crash publishes once when the id is made of its event.
    ///   - headers: Short keys and values that travel with the message; the broker limits their sum, usually to 16 KiB.
    ///   - deliverAt: Not delivered before this time.
    ///   - delay: Not delivered before so long after the publish; with `deliverAt`, the later of both counts.
    ///   - priority: 0 (last) to 9 (first).
    ///   - expiresAt: When it is not delivered before this time, it becomes a dead letter or is dropped, as its topic
    ///     says.
    /// - Throws: `EncodingError` when the event has no JSON form, a number that is not finite for instance.
    public init<E: Event>(
        _ event: E, key: String? = nil, dedupID: String? = nil, headers: [Header] = [], deliverAt: WallTime? = nil,
        delay: Duration? = nil, priority: UInt8 = 4, expiresAt: WallTime? = nil
    ) throws {
        var headers = headers
        if E.type != E.topic.text { headers.append(Header(EventType.headerKey, E.type)) }
        message = OutgoingMessage(
            topic: E.topic, body: try EventCoding.encode(event), headers: headers, priority: priority,
            orderingKey: key, deliverAt: deliverAt, expiresAt: expiresAt, dedupID: dedupID,
            delayMilliseconds: delay.map { max(0, $0.milliseconds) })
    }
}

extension MessageBroker {
    /// Publishes an event; on return it is durable.
    /// - Throws: The broker's refusal, or `CONNECTION_LOST` when nobody knows whether it was published: with a dedup id
    ///   the same publication can be published again.
    @discardableResult
    public func publish(_ publication: Publication) async throws(BrokerError) -> PublishReceipt {
        try await publish(publication.message)
    }

    /// Publishes events; on return those that were accepted are durable. One result for each, in order.
    public func publish(
        _ publications: [Publication]
    ) async throws(BrokerError) -> [Result<PublishReceipt, BrokerError>] {
        try await publish(publications.map(\.message))
    }
}

/// The JSON of events: keys sorted, so that equal events have equal bytes; times as ISO 8601 text in UTC.
enum EventCoding {
    static func encode(_ event: some Encodable) throws -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        encoder.dateEncodingStrategy = .iso8601
        return Array(try encoder.encode(event))
    }

    static func decode<E: Decodable>(_ type: E.Type, from body: [UInt8]) throws -> E {
        let decoder = JSONDecoder()
        decoder.dateDecodingStrategy = .iso8601
        return try decoder.decode(type, from: Data(body))
    }
}
