import BrokerProtocol
import Foundation

/// Cuts bytes into lines and counts them. The memory that it uses is bounded by the longest line allowed.
struct EventLines {
    struct Line: Equatable {
        let number: Int
        let bytes: [UInt8]
    }

    /// The line has more bytes than are allowed.
    struct TooLong: Error, Equatable {
        let number: Int
    }

    let lineBytesMax: Int
    private var buffer: [UInt8] = []
    private var start = 0
    private var searched = 0
    private var count = 0

    init(lineBytesMax: Int) { self.lineBytesMax = lineBytesMax }

    mutating func append(_ bytes: [UInt8]) {
        buffer.removeFirst(start)
        searched -= start
        start = 0
        buffer.append(contentsOf: bytes)
    }

    /// The next whole line, without its end; blank ones are passed over.
    mutating func next() throws(TooLong) -> Line? {
        while let end = buffer[searched...].firstIndex(of: UInt8(ascii: "\n")) {
            if let line = try cut(at: end, skipping: 1) { return line }
        }
        searched = buffer.count
        if buffer.count - start > lineBytesMax { throw TooLong(number: count + 1) }
        return nil
    }

    /// What stands behind the last line's end.
    mutating func last() throws(TooLong) -> Line? { try cut(at: buffer.count, skipping: 0) }

    private mutating func cut(at end: Int, skipping: Int) throws(TooLong) -> Line? {
        let bytes = buffer[start..<end]
        count += 1
        start = end + skipping
        searched = start
        if bytes.count > lineBytesMax { throw TooLong(number: count) }
        let blanks = [UInt8(ascii: " "), UInt8(ascii: "\t"), UInt8(ascii: "\r")]
        return bytes.allSatisfy(blanks.contains) ? nil : Line(number: count, bytes: Array(bytes))
    }
}

/// How a line becomes a message.
struct EventForm: Sendable {
    /// Why a line is no event.
    struct Refusal: Error, Equatable {
        let reason: String
    }

    let topic: TopicName
    var headers: [Header] = []
    /// The field whose value is the dedup id.
    var dedupField: String?

    /// - Throws: When the line is not JSON, or has no dedup id where one is asked for.
    func message(_ line: [UInt8]) throws(Refusal) -> OutgoingMessage {
        guard String(validating: line, as: UTF8.self) != nil else { throw Refusal(reason: "not UTF-8") }
        let value: Any
        do {
            value = try JSONSerialization.jsonObject(with: Data(line), options: .fragmentsAllowed)
        } catch {
            let detail = (error as NSError).userInfo[NSDebugDescriptionErrorKey] as? String
            throw Refusal(reason: "not JSON: \(detail ?? error.localizedDescription)")
        }
        var message = OutgoingMessage(topic: topic, body: line, headers: headers)
        if let dedupField {
            switch (value as? [String: Any])?[dedupField] {
            case let text as String where !text.isEmpty: message.dedupID = text
            case let number as NSNumber: message.dedupID = number.stringValue
            default: throw Refusal(reason: "there is no text or number in the field `\(dedupField)`")
            }
        }
        return message
    }
}
