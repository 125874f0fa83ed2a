/// So many deliveries in a second, a minute or an hour; or no bound.
public struct DeliveryRate: Hashable, Sendable {
    /// 0 means no bound.
    public let count: UInt32
    public let periodMilliseconds: Int64

    public static let unbounded = DeliveryRate(count: 0, periodMilliseconds: 1_000)
    /// The highest count of a period.
    static let countMax: UInt32 = 1_000_000
    private static let periods: [(letter: Character, milliseconds: Int64)] = [
        ("s", 1_000), ("m", 60_000), ("h", 3_600_000),
    ]

    private init(count: UInt32, periodMilliseconds: Int64) {
        self.count = count
        self.periodMilliseconds = periodMilliseconds
    }

    /// `100/s`, `30/m`, `5/h`, or `0` for no bound.
    public init?(_ text: String) {
        if text == "0" {
            self = .unbounded
            return
        }
        let digits = text.prefix { $0.isASCII && $0.isNumber }
        let unit = text.dropFirst(digits.count)
        guard unit.count == 2, unit.first == "/", let count = UInt32(digits), count > 0,
            let period = Self.periods.first(where: { $0.letter == unit.last })
        else { return nil }
        self.init(count: count, periodMilliseconds: period.milliseconds)
    }

    /// What ``init(_:)`` reads.
    public var text: String {
        let letter = Self.periods.first { $0.milliseconds == periodMilliseconds }?.letter ?? "s"
        return count == 0 ? "0" : "\(count)/\(letter)"
    }

    /// What comes in one second, at least one.
    package var tokensOfSecond: Int64 { max(Int64(count) * 1_000 / periodMilliseconds, 1) }
}

/// How many messages in a row a value of the header of fair delivery gets; values that are not named get one.
public struct FairWeights: Hashable, Sendable {
    private var weights: [String: UInt32] = [:]
    /// The most values that are named, the highest weight, and the longest text in bytes.
    static let (countMax, weightMax, bytesMax) = (1_000, UInt32(1_000), 16_384)

    public init() {}

    /// `big=3,small=1`; a value has no comma. Empty: every value has the weight 1.
    public init?(_ text: String) {
        for part in text.split(separator: ",", omittingEmptySubsequences: !text.contains(",")) {
            guard let sign = part.lastIndex(of: "="), let weight = UInt32(part[part.index(after: sign)...]),
                weights.updateValue(weight, forKey: String(part[..<sign])) == nil
            else { return nil }
        }
    }

    /// What ``init(_:)`` reads, by value.
    public var text: String {
        weights.sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }.map { "\($0.key)=\($0.value)" }
            .joined(separator: ",")
    }

    package subscript(value: String) -> UInt32 { weights.isEmpty ? 1 : weights[value] ?? 1 }

    var isValid: Bool {
        weights.count <= Self.countMax && weights.values.allSatisfy { (1...Self.weightMax).contains($0) }
            && text.utf8.count <= Self.bytesMax
    }
}
