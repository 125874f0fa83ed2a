/// Which of Redis's two wire formats a connection speaks.
package enum RESPVersion: Int, Hashable, Sendable {
    case two = 2
    case three = 3
}

/// One reply. RESP3 writes each kind as it is; RESP2 has only the first six and writes the others as Redis does.
package enum RESPValue: Hashable, Sendable {
    /// A short text, such as `OK`; line ends in it are written as spaces.
    case simple(String)
    case error(RESPError)
    case integer(Int64)
    case bulk([UInt8])
    /// No value: `$-1` in RESP2.
    case null
    /// No array: `*-1` in RESP2; in RESP3 the same as ``null``.
    case nullArray
    case array([RESPValue])
    /// RESP2: an array of keys and values by turns.
    case map([RESPField])
    /// RESP2: an array.
    case set([RESPValue])
    /// RESP2: a bulk.
    case double(Double)
    /// RESP2: 1 or 0.
    case boolean(Bool)
    /// An integer of any length in decimal digits. RESP2: a bulk.
    case bigNumber(String)
    /// A text with its format, three ASCII letters such as `txt`. RESP2: a bulk.
    case verbatim(format: String, [UInt8])
    /// What the client has not asked for. RESP2: an array.
    case push([RESPValue])

    package static let ok = RESPValue.simple("OK")

    package static func bulk(_ text: String) -> RESPValue { .bulk(Array(text.utf8)) }

    /// A map with texts for keys, in the order given.
    package static func fields(_ fields: KeyValuePairs<String, RESPValue>) -> RESPValue {
        .map(fields.map { RESPField(.bulk($0.key), $0.value) })
    }
}

/// A key of a map and its value.
package struct RESPField: Hashable, Sendable {
    package var key: RESPValue
    package var value: RESPValue

    package init(_ key: RESPValue, _ value: RESPValue) {
        self.key = key
        self.value = value
    }
}
