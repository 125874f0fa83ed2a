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
    ///   - key: Messages of one ordering key are delivered one at a time, in order.
    ///   - dedupID: A second publish with the same id inside the topic's window is not delivered again.
    ///   - deliverAt: Not delivered before this time.
    /// - Throws: `EncodingError` when the event has no JSON form, a number that is not finite for instance.
    public init<E: Event>(
        _ event: E, key: String? = nil, dedupID: String? = nil, headers: [Header] = [], deliverAt: WallTime? = nil
    ) throws {
        var headers = headers
        if E.type != E.topic.text { headers.append(Header(EventType.headerKey, E.type)) }
        message = OutgoingMessage(
            topic: E.topic, body: try EventCoding.encode(event), headers: headers, orderingKey: key,
            deliverAt: deliverAt, dedupID: dedupID)
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
