public import BrokerProtocol

/// A moment in an event: in JSON a text of RFC 3339, for instance `2025-03-01T09:30:00Z`, with any offset on the way
/// in and always UTC with whole or milliseconds on the way out.
public struct EventTime: Hashable, Sendable, Codable, CustomStringConvertible {
    public let wall: WallTime

    public init(_ wall: WallTime) { self.wall = wall }

    /// - Returns: Nil when the text is no date and time of RFC 3339. A leap second counts as the second before it.
    public init?(_ text: String) {
        guard let milliseconds = Self.milliseconds(Array(text.utf8)) else { return nil }
        wall = WallTime(milliseconds: milliseconds)
    }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        let text = try container.decode(String.self)
        guard let time = EventTime(text) else {
            throw DecodingError.dataCorruptedError(
                in: container, debugDescription: "not a time like 2025-03-01T09:30:00Z")
        }
        self = time
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }

    public var description: String {
        let time = CalendarTime(wall)
        let milliseconds = time.millisecond == 0 ? "" : "." + padded(time.millisecond, 3)
        return "\(padded(time.year, 4))-\(padded(time.month, 2))-\(padded(time.day, 2))"
            + "T\(padded(time.hour, 2)):\(padded(time.minute, 2)):\(padded(time.second, 2))\(milliseconds)Z"
    }

    private static func milliseconds(_ text: [UInt8]) -> Int64? {
        var reader = Reader(text: text)
        guard let year = reader.number(digits: 4), reader.skip("-"), let month = reader.number(digits: 2),
            reader.skip("-"), let day = reader.number(digits: 2), reader.skip("T") || reader.skip("t"),
            let hour = reader.number(digits: 2), reader.skip(":"), let minute = reader.number(digits: 2),
            reader.skip(":"), let second = reader.number(digits: 2), hour < 24, minute < 60, second < 61,
            let midnight = CalendarTime.daysSince1970(year: year, month: month, day: day),
            let fraction = reader.fraction(), let offset = reader.offsetMinutes(), reader.isAtEnd
        else { return nil }
        let minutes = (midnight * 24 + hour) * 60 + minute - offset
        return Int64(minutes * 60 + min(second, 59)) * 1000 + Int64(fraction)
    }

    private struct Reader {
        let text: [UInt8]
        var position = 0

        var isAtEnd: Bool { position == text.count }

        mutating func skip(_ letter: Character) -> Bool {
            guard position < text.count, text[position] == letter.asciiValue else { return false }
            position += 1
            return true
        }

        mutating func digit() -> Int? {
            guard position < text.count, (0x30...0x39).contains(text[position]) else { return nil }
            position += 1
            return Int(text[position - 1]) - 0x30
        }

        mutating func number(digits: Int) -> Int? {
            var number = 0
            for _ in 0..<digits {
                guard let digit = digit() else { return nil }
                number = number * 10 + digit
            }
            return number
        }

        /// Milliseconds of an optional fraction; what is finer is cut.
        mutating func fraction() -> Int? {
            guard skip(".") else { return 0 }
            var digits: [Int] = []
            while let digit = digit() { digits.append(digit) }
            guard !digits.isEmpty else { return nil }
            return (0..<3).reduce(0) { $0 * 10 + ($1 < digits.count ? digits[$1] : 0) }
        }

        mutating func offsetMinutes() -> Int? {
            if skip("Z") || skip("z") { return 0 }
            let sign = skip("+") ? 1 : skip("-") ? -1 : 0
            guard sign != 0, let hours = number(digits: 2), skip(":"), let minutes = number(digits: 2), hours < 24,
                minutes < 60
            else { return nil }
            return sign * (hours * 60 + minutes)
        }
    }
}
