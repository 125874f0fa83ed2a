/// How the arguments of a command are read, by Redis's rules.
package enum RESPWords {
    /// Whether the argument is the keyword in any mix of capital and small ASCII letters. Does not allocate.
    @inlinable
    package static func isWord(_ argument: some Collection<UInt8>, _ keyword: String) -> Bool {
        let keyword = keyword.utf8
        guard argument.count == keyword.count else { return false }
        return zip(argument, keyword).allSatisfy { lowercased($0) == lowercased($1) }
    }

    /// The ASCII letter in small; every other byte as it is.
    @inlinable
    package static func lowercased(_ byte: UInt8) -> UInt8 { byte &- 0x41 < 26 ? byte | 0x20 : byte }

    /// Reads a whole number strictly: an optional minus and digits; no plus, no space, no zero in front, no `-0`.
    ///
    /// - Returns: Nil for anything else, and for what does not fit into 64 bits.
    package static func integer(_ argument: some Collection<UInt8>) -> Int64? {
        var digits = argument[...]
        let isNegative = digits.first == UInt8(ascii: "-")
        if isNegative { digits = digits.dropFirst() }
        guard let first = digits.first, digits.count <= 19 else { return nil }
        if first == UInt8(ascii: "0") { return isNegative || digits.count > 1 ? nil : 0 }
        var value: Int64 = 0
        for byte in digits {
            let digit = byte &- UInt8(ascii: "0")
            guard digit <= 9 else { return nil }
            // Counted below zero, where the range is longer by one.
            let (tenfold, isTooLong) = value.multipliedReportingOverflow(by: 10)
            let (sum, isTooLow) = tenfold.subtractingReportingOverflow(Int64(digit))
            guard !isTooLong, !isTooLow else { return nil }
            value = sum
        }
        if isNegative { return value }
        return value == .min ? nil : -value
    }

    /// Reads the timeout of a blocking list command: seconds with a fraction, rounded up to whole milliseconds.
    ///
    /// - Returns: Zero, which means to wait for ever, or 1 ms to ``timeoutMax``.
    /// - Throws: Redis's own words for no number, a negative one and one that is too large.
    package static func timeoutSeconds(_ argument: [UInt8]) throws(RESPError) -> Duration {
        let noFloat: RESPError = "ERR timeout is not a float or out of range"
        // A zero byte would end the number for the parser.
        guard argument.count < floatBytesMax, !argument.contains(0),
            let text = String(validating: argument, as: UTF8.self), let seconds = Double(text), !seconds.isNaN
        else { throw noFloat }
        // A negative fraction of a millisecond is zero, as it is for Redis.
        let milliseconds = seconds * 1_000
        guard milliseconds > -1 else { throw "ERR timeout is negative" }
        guard milliseconds < 0x1p63 else { throw "ERR timeout is out of range" }
        let whole = Int64(milliseconds)
        let isRoundedUp = Double(whole) < milliseconds
        // Too small for a double, it is still a time, and not the zero that waits for ever.
        let isTiny = milliseconds == 0 && seconds.sign == .plus && hasNonzeroMantissa(argument)
        return try wait(milliseconds: isRoundedUp || isTiny ? whole + 1 : whole)
    }

    /// Reads the `BLOCK` of a stream command: whole milliseconds.
    ///
    /// - Returns: Zero, which means to wait for ever, or 1 ms to ``timeoutMax``.
    /// - Throws: As ``timeoutSeconds(_:)``.
    package static func timeoutMilliseconds(_ argument: [UInt8]) throws(RESPError) -> Duration {
        guard let milliseconds = integer(argument) else { throw "ERR timeout is not an integer or out of range" }
        return try wait(milliseconds: milliseconds)
    }

    /// What longer waits are cut to, about 139 years, so that they can be added to any time.
    package static let timeoutMax = Duration.milliseconds(1 << 42)

    /// The bytes of a number that is still looked at.
    private static let floatBytesMax = 5 * 1_024

    private static func wait(milliseconds: Int64) throws(RESPError) -> Duration {
        guard milliseconds >= 0 else { throw "ERR timeout is negative" }
        // Redis adds the time of day, which is below 2^41 milliseconds until the year 2039.
        guard milliseconds <= Int64.max - 1 << 41 else { throw "ERR timeout is out of range" }
        return min(.milliseconds(milliseconds), timeoutMax)
    }

    /// Whether a number that reads as zero had a digit other than 0 before its exponent.
    private static func hasNonzeroMantissa(_ argument: [UInt8]) -> Bool {
        let isHexadecimal = argument.contains { lowercased($0) == UInt8(ascii: "x") }
        let exponentMark = UInt8(ascii: isHexadecimal ? "p" : "e")
        return argument.prefix { lowercased($0) != exponentMark }.contains { byte in
            UInt8(ascii: "1")...UInt8(ascii: "9") ~= byte
                || UInt8(ascii: "a")...UInt8(ascii: "f") ~= lowercased(byte)
        }
    }
}
