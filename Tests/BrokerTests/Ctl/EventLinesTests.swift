import BrokerProtocol
import Testing

@testable import brokerctl

@Suite("Lines of events") struct EventLinesTests {
    private func cut(_ text: String, chunk: Int, lineBytesMax: Int = 100) throws -> [EventLines.Line] {
        var lines = EventLines(lineBytesMax: lineBytesMax)
        var found: [EventLines.Line] = []
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            lines.append(Array(rest.prefix(chunk)))
            rest = rest.dropFirst(chunk)
            while let line = try lines.next() { found.append(line) }
        }
        if let line = try lines.last() { found.append(line) }
        return found
    }

    @Test("They are cut alike however the bytes come", arguments: [1, 2, 3, 7, 100]) func chunks(chunk: Int) throws {
        let lines = try cut("{}\n\n[1]\r\n \t\n3", chunk: chunk)
        #expect(lines.map(\.number) == [1, 3, 5])
        #expect(lines.map { String(decoding: $0.bytes, as: UTF8.self) } == ["{}", "[1]\r", "3"])
    }

    @Test("One that is too long is refused", arguments: [1, 100]) func tooLong(chunk: Int) {
        #expect(throws: EventLines.TooLong(number: 2)) {
            try cut("{}\n12345678901", chunk: chunk, lineBytesMax: 10)
        }
        #expect(throws: Never.self) { try cut("{}\n1234567890\n", chunk: chunk, lineBytesMax: 10) }
    }

    @Test("An endless line is not gathered") func endless() throws {
        var lines = EventLines(lineBytesMax: 10)
        lines.append([UInt8](repeating: 0x31, count: 10))
        #expect(try lines.next() == nil)
        lines.append([0x31])
        #expect(throws: EventLines.TooLong(number: 1)) { try lines.next() }
    }

    @Test("The body of the message is the line as it stands") func body() throws {
        let form = EventForm(topic: .orders, headers: [Header("a", "b")])
        let line = Array(#"{"amount": 1.10, "big": 12345678901234567890}"#.utf8)
        let message = try form.message(line)
        #expect(message.body == line)
        #expect(message.headers == [Header("a", "b")])
        #expect(message.dedupID == nil)
    }

    @Test("What is not JSON is refused with the reason", arguments: ["oops", "{", "{\"a\":}", "{} {}", "nan"])
    func notJSON(line: String) {
        let form = EventForm(topic: .orders)
        #expect {
            try form.message(Array(line.utf8))
        } throws: {
            ($0 as? EventForm.Refusal)?.reason.hasPrefix("not JSON: ") == true
        }
    }

    @Test("What is not UTF-8 is refused") func notText() {
        #expect(throws: EventForm.Refusal(reason: "not UTF-8")) {
            try EventForm(topic: .orders).message([0x22, 0xFF, 0x22])
        }
    }

    @Test("The dedup id is a text or a number", arguments: [(#"{"id":"x1"}"#, "x1"), (#"{"id":17}"#, "17")])
    func dedup(line: String, id: String) throws {
        #expect(try EventForm(topic: .orders, dedupField: "id").message(Array(line.utf8)).dedupID == id)
    }

    @Test("An event without its dedup id is refused", arguments: [#"{"a":1}"#, #"{"id":""}"#, "[1]", #"{"id":{}}"#])
    func noDedup(line: String) {
        #expect(throws: EventForm.Refusal(reason: "there is no text or number in the field `id`")) {
            try EventForm(topic: .orders, dedupField: "id").message(Array(line.utf8))
        }
    }

    @Test("What stands before a bad line goes out, nothing behind it") func badLine() {
        var reader = EventReader(form: EventForm(topic: .orders), name: "f", lineBytesMax: 100)
        let batches = reader.take(Array("1\n2\noops\n3\n".utf8), isPatient: true)
        #expect(batches.map(\.lines) == [[1, 2]])
        #expect(reader.problem?.code == .data)
        #expect(reader.problem?.message.hasPrefix("f:3: not JSON: ") == true)
        #expect(reader.take(Array("4\n".utf8), isPatient: false) == [])
    }

    @Test("A slow source waits for nobody; a fast one fills its batches") func patience() {
        var reader = EventReader(form: EventForm(topic: .orders), name: "f", lineBytesMax: 100)
        #expect(reader.take(Array("1\n".utf8), isPatient: true) == [])
        #expect(reader.take(Array("2\n".utf8), isPatient: false).map(\.lines) == [[1, 2]])
        let many = (0..<1200).map { "\($0)\n" }.joined()
        let batches = reader.take(Array(many.utf8), isPatient: true)
        #expect(batches.map(\.lines.count) == [500, 500])
        #expect(reader.take([], isPatient: true).map(\.lines.count) == [200])
    }
}
