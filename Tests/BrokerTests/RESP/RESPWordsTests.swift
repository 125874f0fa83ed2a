import BrokerProtocol
import Testing

@Suite("Arguments of Redis commands") struct RESPWordsTests {
    @Test("A keyword is known in capital and small letters, and nothing else is taken for it") func keywords() {
        for text in ["COUNT", "count", "cOuNt"] { #expect(RESPWords.isWord(Array(text.utf8), "COUNT")) }
        for text in ["", "COUN", "COUNTS", "C0UNT", "COUNt\u{0}", "\u{3}OUNT"] {
            #expect(!RESPWords.isWord(Array(text.utf8), "COUNT"), "\(text)")
        }
        // Only letters have a case: `[` and `{` differ by the same bit.
        #expect(!RESPWords.isWord(Array("[".utf8), "{"))
        #expect(!RESPWords.isWord([0xC4], "\u{E4}"))
    }

    @Test("Numbers are read strictly") func integers() {
        for number in [0, 1, -1, 10, 1_048_576, Int64.max, .max - 1, .min, .min + 1] {
            #expect(RESPWords.integer(Array(String(number).utf8)) == number)
        }
        for text in [
            "", "-", "-0", "+1", "01", "-01", "00", " 1", "1 ", "1.0", "0x1", "1e3", "--1", "9223372036854775808",
            "-9223372036854775809", "99999999999999999999", "１",
        ] {
            #expect(RESPWords.integer(Array(text.utf8)) == nil, "\(text)")
        }
    }

    @Test(
        "Seconds may have a fraction, and are rounded up to milliseconds",
        arguments: [
            ("0", 0), ("5", 5_000), ("0.1", 100), ("0.0001", 1), (".5", 500), ("1.", 1_000), ("+1", 1_000),
            ("1e1", 10_000),
            ("0x1p-3", 125), ("1e-400", 1), ("0x.1p-9999", 1), ("-0", 0), ("-0.0001", 0), ("0e5", 0), ("0.0011", 2),
            ("1e-3", 1), ("0x0p5", 0),
            ("9000000000000000", 1 << 42),
        ])
    func seconds(text: String, milliseconds: Int64) throws {
        #expect(try RESPWords.timeoutSeconds(Array(text.utf8)) == .milliseconds(milliseconds))
    }

    @Test(
        "What is no time is refused in Redis's words",
        arguments: [
            ("", "not a float or out of range"), ("x", "not a float or out of range"),
            ("nan", "not a float or out of range"), ("-nan", "not a float or out of range"),
            (" 1", "not a float or out of range"), ("1 ", "not a float or out of range"),
            ("1\u{0}", "not a float or out of range"),
            (String(repeating: "1", count: 6_000), "not a float or out of range"),
            ("-1", "negative"), ("-0.001", "negative"), ("-inf", "negative"),
            ("inf", "out of range"), ("1e18", "out of range"), ("1e400", "out of range"),
        ])
    func noSeconds(text: String, words: String) {
        #expect(throws: RESPError("ERR timeout is \(words)")) { try RESPWords.timeoutSeconds(Array(text.utf8)) }
    }

    @Test("The milliseconds of BLOCK are a whole number") func milliseconds() throws {
        #expect(try RESPWords.timeoutMilliseconds(Array("0".utf8)) == .zero)
        #expect(try RESPWords.timeoutMilliseconds(Array("1500".utf8)) == .milliseconds(1_500))
        #expect(try RESPWords.timeoutMilliseconds(Array("9000000000000000000".utf8)) == RESPWords.timeoutMax)
        for (text, words) in [
            ("1.5", "not an integer or out of range"), ("x", "not an integer or out of range"), ("-1", "negative"),
            ("9223372036854775807", "out of range"),
        ] {
            #expect(throws: RESPError("ERR timeout is \(words)")) {
                try RESPWords.timeoutMilliseconds(Array(text.utf8))
            }
        }
    }
}
