import BrokerProtocol
import TestSupport
import Testing

@Suite("RESP replies") struct RESPValueTests {
    /// A value, its text in RESP2 and in RESP3.
    static let table: [(RESPValue, String, String)] = [
        (.ok, "+OK\r\n", "+OK\r\n"),
        (.simple("a\r\nb"), "+a  b\r\n", "+a  b\r\n"),
        (.error("ERR no\nway"), "-ERR no way\r\n", "-ERR no way\r\n"),
        (.integer(0), ":0\r\n", ":0\r\n"),
        (.integer(.min), ":-9223372036854775808\r\n", ":-9223372036854775808\r\n"),
        (.integer(1_234), ":1234\r\n", ":1234\r\n"),
        (.bulk(""), "$0\r\n\r\n", "$0\r\n\r\n"),
        (.bulk("0123456789\r\n"), "$12\r\n0123456789\r\n\r\n", "$12\r\n0123456789\r\n\r\n"),
        (.null, "$-1\r\n", "_\r\n"),
        (.nullArray, "*-1\r\n", "_\r\n"),
        (.array([]), "*0\r\n", "*0\r\n"),
        (.array([.null, .array([.integer(1)])]), "*2\r\n$-1\r\n*1\r\n:1\r\n", "*2\r\n_\r\n*1\r\n:1\r\n"),
        (
            .fields(["b": .integer(2), "a": .null]), "*4\r\n$1\r\nb\r\n:2\r\n$1\r\na\r\n$-1\r\n",
            "%2\r\n$1\r\nb\r\n:2\r\n$1\r\na\r\n_\r\n"
        ),
        (.set([.bulk("x")]), "*1\r\n$1\r\nx\r\n", "~1\r\n$1\r\nx\r\n"),
        (.push([.bulk("x")]), "*1\r\n$1\r\nx\r\n", ">1\r\n$1\r\nx\r\n"),
        (.double(2.5), "$3\r\n2.5\r\n", ",2.5\r\n"),
        (.double(-3), "$2\r\n-3\r\n", ",-3\r\n"),
        (.double(-0.0), "$2\r\n-0\r\n", ",-0\r\n"),
        (.double(1e300), "$6\r\n1e+300\r\n", ",1e+300\r\n"),
        (.double(.infinity), "$3\r\ninf\r\n", ",inf\r\n"),
        (.double(-.infinity), "$4\r\n-inf\r\n", ",-inf\r\n"),
        (.double(.nan), "$3\r\nnan\r\n", ",nan\r\n"),
        (.boolean(true), ":1\r\n", "#t\r\n"),
        (.boolean(false), ":0\r\n", "#f\r\n"),
        (.bigNumber("12345678901234567890"), "$20\r\n12345678901234567890\r\n", "(12345678901234567890\r\n"),
        (.verbatim(format: "txt", Array("hi".utf8)), "$2\r\nhi\r\n", "=6\r\ntxt:hi\r\n"),
        (.verbatim(format: "m", []), "$0\r\n\r\n", "=4\r\nm  :\r\n"),
    ]

    @Test("Every kind is written as Redis writes it, in both versions", arguments: table.indices)
    func written(index: Int) {
        let (value, two, three) = Self.table[index]
        #expect(String(decoding: value.bytes(as: .two), as: UTF8.self) == two)
        #expect(String(decoding: value.bytes(as: .three), as: UTF8.self) == three)
    }

    @Test("What is written is read back, cut at every point, and never before its last byte") func roundTrip() throws {
        let values = Self.table.map(\.0).filter { !$0.isLossy }
        for version in [RESPVersion.two, .three] {
            for value in values + [.array(values), .array([.array(values), .null])] {
                let bytes = value.bytes(as: version)
                let expected = value.read(as: version)
                for at in 0..<bytes.count {
                    var decoder = RESPReplyDecoder()
                    decoder.append(bytes[..<at])
                    #expect(try decoder.next() == nil, "\(value) cut at \(at)")
                    decoder.append(bytes[at...])
                    #expect(try decoder.next() == expected, "\(value) cut at \(at)")
                    #expect(decoder.bufferedBytes == 0)
                }
            }
        }
    }

    @Test("The tests' reader refuses what is no reply") func noReply() {
        for text in ["x\r\n", ":1x\r\n", "$3\r\nabcd\r\n", "*9999999999\r\n", ",x\r\n", "=2\r\nab\r\n"] {
            var decoder = RESPReplyDecoder()
            decoder.append(Array(text.utf8))
            #expect(throws: RESPReplyDecoder.Malformed.self, "\(text)") { try decoder.next() }
        }
        var decoder = RESPReplyDecoder()
        decoder.append(Array(String(repeating: "*1\r\n", count: 100).utf8))
        #expect(throws: RESPReplyDecoder.Malformed.self) { try decoder.next() }
    }
}

extension RESPValue {
    /// Whether its text is not read as the same value: not a number, cleaned texts, padded formats.
    fileprivate var isLossy: Bool {
        switch self {
        case .double(let number): number.isNaN
        case .simple(let text): text.contains("\r\n")
        case .error(let error): error.bytes.contains(10)
        case .verbatim(let format, _): format.count != 3
        default: false
        }
    }

    /// What a client of that version reads.
    fileprivate func read(as version: RESPVersion) -> RESPValue {
        if version == .three {
            switch self {
            case .nullArray: return .null
            case .array(let values): return .array(values.map { $0.read(as: version) })
            default: return self
            }
        }
        switch self {
        case .array(let values), .set(let values), .push(let values): return .array(values.map { $0.read(as: version) })
        case .map(let fields): return .array(fields.flatMap { [$0.key, $0.value] }.map { $0.read(as: version) })
        case .double(let number):
            var decoder = RESPReplyDecoder()
            decoder.append(RESPValue.double(number).bytes(as: .two))
            return ((try? decoder.next()) ?? nil) ?? .null
        case .boolean(let flag): return .integer(flag ? 1 : 0)
        case .bigNumber(let digits): return .bulk(digits)
        case .verbatim(_, let bytes): return .bulk(bytes)
        default: return self
        }
    }
}
