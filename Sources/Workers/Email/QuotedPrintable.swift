/// The quoted-printable encoding of text bodies, RFC 2045 section 6.7.
package enum QuotedPrintable {
    /// With the soft line break's `=`.
    private static let columnsMax = 76
    private static let hexDigits = Array("0123456789ABCDEF".utf8)

    /// - Parameter text: Lines end in LF or CRLF.
    /// - Returns: ASCII lines of at most 76 columns, each with CRLF at its end.
    package static func encode(_ text: String) -> [UInt8] {
        var output: [UInt8] = []
        var lines = text.utf8.split(separator: 0x0A, omittingEmptySubsequences: false)
        if lines.last?.isEmpty == true { lines.removeLast() }
        for line in lines {
            encode(line: line.last == 0x0D ? line.dropLast() : line, to: &output)
            output += [0x0D, 0x0A]
        }
        return output
    }

    private static func encode(line: Substring.UTF8View.SubSequence, to output: inout [UInt8]) {
        var column = 0
        var index = line.startIndex
        while index < line.endIndex {
            let byte = line[index]
            index = line.index(after: index)
            let isLast = index == line.endIndex
            let token = token(byte, isLast: isLast)
            if column + token.count > (isLast ? columnsMax : columnsMax - 1) {
                output += [0x3D, 0x0D, 0x0A]
                column = 0
            }
            output += token
            column += token.count
        }
    }

    /// White space at the end of a line is lost on some ways, so there it is encoded.
    private static func token(_ byte: UInt8, isLast: Bool) -> [UInt8] {
        switch byte {
        case 0x3D: break
        case 0x20, 0x09: if !isLast { return [byte] }
        case 0x21...0x7E: return [byte]
        default: break
        }
        return [0x3D, hexDigits[Int(byte >> 4)], hexDigits[Int(byte & 15)]]
    }
}
