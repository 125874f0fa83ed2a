extension RESPValue {
    /// Adds the value's bytes.
    package func encode(as version: RESPVersion, into writer: inout ByteWriter) {
        let isThree = version == .three
        switch self {
        case .simple(let text): writer.line("+", text.utf8)
        case .error(let error): writer.line("-", error.bytes)
        case .integer(let number): writer.count(":", number)
        case .bulk(let bytes): writer.bulk(bytes)
        case .null: writer.ascii(isThree ? "_\r\n" : "$-1\r\n")
        case .nullArray: writer.ascii(isThree ? "_\r\n" : "*-1\r\n")
        case .array(let values): writer.values("*", values, version)
        case .set(let values): writer.values(isThree ? "~" : "*", values, version)
        case .push(let values): writer.values(isThree ? ">" : "*", values, version)
        case .map(let fields):
            writer.count(isThree ? "%" : "*", Int64(isThree ? fields.count : 2 * fields.count))
            for field in fields {
                field.key.encode(as: version, into: &writer)
                field.value.encode(as: version, into: &writer)
            }
        case .double(let number): writer.scalar(",", Self.text(of: number), isThree)
        case .boolean(let flag): writer.ascii(isThree ? (flag ? "#t\r\n" : "#f\r\n") : (flag ? ":1\r\n" : ":0\r\n"))
        case .bigNumber(let digits): writer.scalar("(", digits, isThree)
        case .verbatim(let format, let bytes):
            guard isThree else { return writer.bulk(bytes) }
            // The format has exactly three letters; the count covers it and its colon.
            let name = (Array(format.utf8) + Array("   ".utf8)).prefix(3)
            writer.count("=", Int64(bytes.count + 4))
            writer.bytes.append(contentsOf: name)
            writer.ascii(":")
            writer.bytes.append(contentsOf: bytes)
            writer.ascii("\r\n")
        }
    }

    package func bytes(as version: RESPVersion) -> [UInt8] {
        var writer = ByteWriter()
        encode(as: version, into: &writer)
        return writer.bytes
    }

    /// The shortest text that reads as the number; whole numbers without a point.
    private static func text(of number: Double) -> String {
        if number.isNaN { return "nan" }
        if number.isInfinite { return number < 0 ? "-inf" : "inf" }
        if number == 0 { return number.sign == .minus ? "-0" : "0" }
        let isWhole = number.magnitude < 0x1p53 && Double(Int64(number)) == number
        return isWhole ? String(Int64(number)) : number.description
    }
}

extension ByteWriter {
    fileprivate mutating func ascii(_ text: String) { bytes.append(contentsOf: text.utf8) }

    /// A text that ends with its line. What would end it sooner becomes a space.
    fileprivate mutating func line(_ mark: Unicode.Scalar, _ text: some Collection<UInt8>) {
        u8(UInt8(ascii: mark))
        bytes.append(contentsOf: text.lazy.map { $0 == 10 || $0 == 13 ? 32 : $0 })
        ascii("\r\n")
    }

    fileprivate mutating func count(_ mark: Unicode.Scalar, _ number: Int64) {
        u8(UInt8(ascii: mark))
        if number >= 0, number < 10 {
            u8(UInt8(ascii: "0") + UInt8(number))
        } else {
            // Of at most 15 digits, the text lives on the stack.
            ascii(String(number))
        }
        ascii("\r\n")
    }

    fileprivate mutating func bulk(_ value: some Collection<UInt8>) {
        count("$", Int64(value.count))
        bytes.append(contentsOf: value)
        ascii("\r\n")
    }

    fileprivate mutating func values(_ mark: Unicode.Scalar, _ values: [RESPValue], _ version: RESPVersion) {
        count(mark, Int64(values.count))
        for value in values { value.encode(as: version, into: &self) }
    }

    /// What RESP2 has only as a bulk.
    fileprivate mutating func scalar(_ mark: Unicode.Scalar, _ text: String, _ isThree: Bool) {
        if isThree { line(mark, text.utf8) } else { bulk(text.utf8) }
    }
}
