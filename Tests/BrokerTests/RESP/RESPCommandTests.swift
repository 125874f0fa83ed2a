import BrokerProtocol
import Testing

@Suite("RESP commands") struct RESPCommandTests {
    static let session =
        "*2\r\n$4\r\nLLEN\r\n$1\r\nq\r\n" + "*0\r\n*-1\r\n\r\n\n" + "PING \"a b\"\r\n"
        + "*3\r\n$5\r\nLPUSH\r\n$1\r\nq\r\n$6\r\na\r\n$1*\r\n" + "  \t\r\nget x\n" + "*1\r\n$0\r\n\r\n"
    static let words = [["LLEN", "q"], ["PING", "a b"], ["LPUSH", "q", "a\r\n$1*"], ["get", "x"], [""]]

    @Test("Pipelined commands of both kinds come out in order, empty ones are passed over") func pipeline() {
        let stream = RESPStream(Self.session)
        #expect(stream.words == Self.words)
        #expect(stream.error == nil)
        #expect(stream.commands.map(\.byteCount) == [21, 12, 34, 6, 10])
    }

    @Test("The stream may be cut in two at every point, and into single bytes") func chopped() {
        let bytes = Array(Self.session.utf8)
        for at in 0...bytes.count {
            #expect(RESPStream([bytes[..<at], bytes[at...]]).words == Self.words, "cut at \(at)")
        }
        #expect(RESPStream(bytes.indices.map { bytes[$0...$0] }).words == Self.words)
    }

    @Test("A command comes with its last byte, and until then counts as buffered") func lastByte() throws {
        let bytes = RESPStream.bytes([Array("RPUSH".utf8), Array("q".utf8), [13, 10, 0, 255]])
        var decoder = RESPCommandDecoder(limits: RESPStream.limits)
        for (index, byte) in bytes.dropLast().enumerated() {
            decoder.append([byte])
            #expect(try decoder.next() == nil)
            #expect(decoder.bufferedBytes == index + 1)
        }
        decoder.append([10])
        let command = try decoder.next()
        #expect(command?.arguments.last == [13, 10, 0, 255])
        #expect(command?.byteCount == bytes.count)
        #expect(decoder.bufferedBytes == 0)
    }

    @Test(
        "What is malformed gets Redis's own words",
        arguments: [
            ("*\r\n", "invalid multibulk length"), ("*abc\r\n", "invalid multibulk length"),
            ("*01\r\n", "invalid multibulk length"), ("*+1\r\n", "invalid multibulk length"),
            ("*-0\r\n", "invalid multibulk length"), ("*1 \r\n", "invalid multibulk length"),
            ("*1048577\r\n", "invalid multibulk length"), ("*2147483648\r\n", "invalid multibulk length"),
            ("*9223372036854775808\r\n", "invalid multibulk length"),
            ("*1\r\nx\r\n", "expected '$', got 'x'"), ("*2\r\n*1\r\n$4\r\nPING\r\n", "expected '$', got '*'"),
            ("*1\r\n\r\n", "expected '$', got '\r'"), ("*1\r\n:4\r\n", "expected '$', got ':'"),
            ("*1\r\n$\r\n", "invalid bulk length"), ("*1\r\n$-1\r\n", "invalid bulk length"),
            ("*1\r\n$65537\r\n", "invalid bulk length"), ("*1\r\n$9223372036854775807\r\n", "invalid bulk length"),
            ("*1\r\n$04\r\nPING\r\n", "invalid bulk length"), ("*1\r\n$0x4\r\nPING\r\n", "invalid bulk length"),
            ("PING \"x\r\n", "unbalanced quotes in request"), ("PING 'x\r\n", "unbalanced quotes in request"),
            ("PING \"x\"y\r\n", "unbalanced quotes in request"), ("'\\'\r\n", "unbalanced quotes in request"),
        ])
    func malformed(text: String, words: String) {
        let bytes = Array(text.utf8)
        let pieces = [RESPStream(bytes), RESPStream(bytes.indices.map { bytes[$0...$0] })]
        for stream in pieces {
            #expect(stream.error == "ERR Protocol error: \(words)")
            #expect(stream.commands.isEmpty)
        }
    }

    @Test(
        "A line that does not end is refused, by what it began as",
        arguments: [
            ("", "too big inline request"), ("*", "too big mbulk count string"),
            ("*1\r\n$", "too big bulk count string"),
        ])
    func endless(start: String, words: String) {
        let line = Array((start + String(repeating: "1", count: 65_537)).utf8)
        #expect(RESPStream(line).error == "ERR Protocol error: \(words)")
        #expect(RESPStream(line.indices.map { line[$0...$0] }).error == "ERR Protocol error: \(words)")
        #expect(RESPStream(line.dropLast(start.hasSuffix("$") ? 3 : 2)).error == nil)
    }

    @Test("A byte that is no text is repeated as it is, a line end as a space") func strangeByte() throws {
        for (byte, written) in [(UInt8(255), UInt8(255)), (13, 32), (10, 32), (0, 0)] {
            var decoder = RESPCommandDecoder(limits: RESPStream.limits)
            decoder.append([42, 49, 13, 10, byte, 13, 10])
            let error = try #require(throws: RESPError.self) { try decoder.next() }
            let text = Array("-ERR Protocol error: expected '$', got '".utf8) + [written] + Array("'\r\n".utf8)
            #expect(RESPValue.error(error).bytes(as: .two) == text)
        }
    }

    @Test("Commands before a malformed one are read; after it nothing is, for good") func refusedForGood() throws {
        var decoder = RESPCommandDecoder(limits: RESPStream.limits)
        decoder.append(Array("PING\r\n*x\r\nPING\r\n".utf8))
        #expect(try decoder.next()?.arguments == [Array("PING".utf8)])
        #expect(throws: RESPError.self) { try decoder.next() }
        decoder.append(Array("PING\r\n".utf8))
        #expect(throws: RESPError("ERR Protocol error: invalid multibulk length")) { try decoder.next() }
    }

    @Test("As Redis does, two bytes of any kind end a bulk, and one after the carriage return ends a length")
    func lenientEnds() {
        #expect(RESPStream("*1\rx$4\ryPINGxx*1\r\n$4\r\nPING\r\n").words == [["PING"], ["PING"]])
    }

    @Test(
        "Inline words follow the quoting rules",
        arguments: [
            ("PING", ["PING"]), ("  PING \t hi ", ["PING", "hi"]), ("PING x\"y\"", ["PING", "xy"]),
            ("'a\\'b' 'c\\n'", ["a'b", "c\\n"]), ("\"\\x41\\n\\q\\xZZ\\\"\"", ["A\nqxZZ\""]),
            ("\"\" ''", ["", ""]), ("\"\\x4\"", ["x4"]), ("\"\\t\\r\\a\\b\\\\\"", ["\t\r\u{7}\u{8}\\"]),
            ("a\u{b}b", ["a\u{b}b"]), ("\u{b} a", ["a"]), ("a\\nb", ["a\\nb"]), ("$4 *1", ["$4", "*1"]),
        ])
    func inline(line: String, words: [String]) {
        #expect(RESPStream(line + "\r\n").words == [words])
        #expect(RESPStream(line + "\n").words == [words])
    }

    @Test("An inline line of exactly the limit passes") func inlineLimit() {
        let line = String(repeating: "a", count: 65_536)
        #expect(RESPStream(line + "\n").words == [[line]])
        #expect(RESPStream(line + "a\n").error == "ERR Protocol error: too big inline request")
    }

    @Test("A bulk and a command of exactly their limits pass, one byte more is refused before it has arrived")
    func limits() {
        let limits = RESPCommandDecoder.Limits(bulkBytesMax: 10, commandBytesMax: 36)
        let command = "*2\r\n$10\r\n0123456789\r\n$9\r\n012345678\r\n"
        let stream = RESPStream(command, limits: limits)
        #expect(stream.commands.map(\.byteCount) == [36])
        #expect(RESPStream("*1\r\n$11\r\n", limits: limits).error == "ERR Protocol error: invalid bulk length")
        let one = "*2\r\n$10\r\n0123456789\r\n"
        #expect(RESPStream(one + "$9\r\n", limits: limits).error == nil)
        #expect(RESPStream(one + "$10\r\n", limits: limits).error == "ERR Protocol error: invalid bulk length")
        // The arguments that are still to come need their room as well.
        #expect(RESPStream("*5\r\n$7\r\n", limits: limits).error == "ERR Protocol error: invalid bulk length")
        #expect(RESPStream("*5\r\n$2\r\n", limits: limits).error == nil)
        #expect(RESPStream("*6\r\n", limits: limits).error == nil)
        #expect(RESPStream("*7\r\n", limits: limits).error == "ERR Protocol error: invalid multibulk length")
    }

    @Test("Before the login only short commands are read") func beforeLogin() {
        #expect(RESPStream("*10\r\n", isLoggedIn: false).error == nil)
        #expect(
            RESPStream("*11\r\n", isLoggedIn: false).error == "ERR Protocol error: unauthenticated multibulk length")
        #expect(RESPStream("*1\r\n$16384\r\n", isLoggedIn: false).error == nil)
        #expect(
            RESPStream("*1\r\n$16385\r\n", isLoggedIn: false).error
                == "ERR Protocol error: unauthenticated bulk length")
    }

    @Test("A claim of a huge command costs no memory before its bytes are there") func claims() {
        let limits = RESPCommandDecoder.Limits(bulkBytesMax: 1 << 29, commandBytesMax: 1 << 30)
        let stream = RESPStream("*1048576\r\n$536870912\r\nx", limits: limits)
        #expect(stream.error == nil)
        #expect(stream.capacityMax < 1_000)
    }

    @Test("Megabytes byte by byte are read in one pass, and the bytes of read commands do not pile up")
    func onePass() throws {
        let limits = RESPCommandDecoder.Limits(bulkBytesMax: 1 << 21, commandBytesMax: 1 << 22)
        let bytes = RESPStream.bytes([Array("SET".utf8), [UInt8](repeating: 120, count: 1 << 20)])
        let stream = RESPStream(bytes.indices.map { bytes[$0...$0] }, limits: limits)
        #expect(stream.commands.first?.byteCount == bytes.count)
        var decoder = RESPCommandDecoder(limits: limits)
        let ping = Array("*1\r\n$4\r\nPING\r\n".utf8)
        decoder.append([42])
        for _ in 0..<50_000 {
            // Never a whole number of commands: the buffer is never empty when bytes come.
            decoder.append(ping.dropFirst() + ping.prefix(1))
            #expect(try decoder.next()?.byteCount == ping.count)
        }
        #expect(decoder.fill { $0.capacity } < 1_000)
    }
}
