/// Inline commands: a line of words, for people and for `telnet`.
enum RESPInline {
    /// Cuts a line into words by the rules of Redis: words are parted by space; `"…"` knows `\n \r \t \b \a`, `\xHH`
    /// and `\` before any other byte, `'…'` knows `\'` only; a quote may open inside a word, and space or the end of
    /// the line must follow a closing one.
    ///
    /// - Returns: Nil when quotes are not balanced; no words for a line of space.
    static func words(_ line: ArraySlice<UInt8>) -> [[UInt8]]? {
        var words: [[UInt8]] = []
        var at = line.startIndex
        while true {
            while at < line.endIndex, isSpace(line[at]) { at += 1 }
            guard at < line.endIndex else { return words }
            guard let word = word(line, &at) else { return nil }
            words.append(word)
        }
    }

    private static let doubleQuote = UInt8(ascii: "\"")
    private static let singleQuote = UInt8(ascii: "'")
    private static let backslash = UInt8(ascii: "\\")

    private static func word(_ line: ArraySlice<UInt8>, _ at: inout Int) -> [UInt8]? {
        var word: [UInt8] = []
        while at < line.endIndex {
            let byte = line[at]
            at += 1
            switch byte {
            case UInt8(ascii: " "), UInt8(ascii: "\n"), UInt8(ascii: "\r"), UInt8(ascii: "\t"): return word
            case doubleQuote, singleQuote:
                guard quoted(line, &at, by: byte, into: &word) else { return nil }
                // A closing quote ends the word.
                return at == line.endIndex || isSpace(line[at]) ? word : nil
            default: word.append(byte)
            }
        }
        return word
    }

    /// - Returns: Whether the closing quote was found; `at` is behind it then.
    private static func quoted(
        _ line: ArraySlice<UInt8>, _ at: inout Int, by quote: UInt8, into word: inout [UInt8]
    ) -> Bool {
        while at < line.endIndex {
            let byte = line[at]
            at += 1
            if byte == quote { return true }
            guard byte == backslash, at < line.endIndex else {
                word.append(byte)
                continue
            }
            let escaped = line[at]
            if quote == singleQuote {
                // Only the quote itself is escaped here; another backslash is a backslash.
                word.append(escaped == singleQuote ? escaped : byte)
                if escaped == singleQuote { at += 1 }
            } else if escaped == UInt8(ascii: "x"), at + 2 < line.endIndex,
                let high = nibble(line[at + 1]), let low = nibble(line[at + 2])
            {
                word.append(high << 4 | low)
                at += 3
            } else {
                word.append(unescaped(escaped))
                at += 1
            }
        }
        return false
    }

    private static func unescaped(_ byte: UInt8) -> UInt8 {
        switch byte {
        case UInt8(ascii: "n"): 10
        case UInt8(ascii: "r"): 13
        case UInt8(ascii: "t"): 9
        case UInt8(ascii: "b"): 8
        case UInt8(ascii: "a"): 7
        default: byte
        }
    }

    private static func nibble(_ byte: UInt8) -> UInt8? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
        default: nil
        }
    }

    private static func isSpace(_ byte: UInt8) -> Bool { byte == 32 || 9...13 ~= byte }
}
