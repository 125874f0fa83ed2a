import BrokerProtocol
import Testing

/// docs/PROTOCOL.md and the code say the same.
@Suite("The protocol page") struct VectorTests {
    let page: ProtocolPage
    let values: VectorValues

    init() throws {
        page = try ProtocolPage.shipped.get()
        values = try #require(VectorValues())
    }

    private func decoder(for direction: ProtocolPage.Direction) -> FrameDecoder {
        FrameDecoder(side: direction == .client ? .broker : .client, frameBytesMax: 8 << 20)
    }

    @Test("Each vector decodes to its value and is what the value encodes to") func vectors() throws {
        for vector in page.vectors {
            let value = try #require(values.value(of: vector.name), "no value for the vector \(vector.name)")
            var decoder = decoder(for: vector.direction)
            decoder.append(vector.bytes)
            #expect(try decoder.next() == value, "\(vector.name)")
            #expect(decoder.bufferedBytes == 0, "\(vector.name)")
            if vector.isDecodeOnly {
                #expect(value.bytes != vector.bytes, "\(vector.name) needs no mode=decode")
            } else {
                #expect(value.bytes == vector.bytes, "\(vector.name)")
            }
        }
    }

    @Test("No vector stands twice, none is forgotten") func names() {
        let names = page.vectors.map(\.name) + page.malformed.map(\.name)
        #expect(Set(names).count == names.count)
        #expect(page.vectors.count >= 45)
        #expect(page.malformed.count >= 30)
    }

    @Test("Every kind of request, response and push has a vector that is written as it is read") func everyKind() {
        var requests: Set<RequestKind> = []
        var responses: Set<ResponseKind> = []
        var pushes: Set<PushKind> = []
        var heartbeats: Set<ProtocolPage.Direction> = []
        for vector in page.vectors where !vector.isDecodeOnly {
            switch values.value(of: vector.name) {
            case .request(_, let request): requests.insert(RequestKind(request))
            case .response(_, let response): responses.insert(ResponseKind(response))
            case .push(let push): pushes.insert(PushKind(push))
            case .heartbeat: heartbeats.insert(vector.direction)
            case nil: Issue.record("no value for the vector \(vector.name)")
            }
        }
        #expect(RequestKind.allCases.filter { !requests.contains($0) } == [])
        #expect(ResponseKind.allCases.filter { !responses.contains($0) } == [])
        #expect(PushKind.allCases.filter { !pushes.contains($0) } == [])
        #expect(heartbeats == [.client, .broker])
    }

    @Test("Each malformed input is refused with the code, the correlation and the sentence of the page")
    func malformed() {
        for input in page.malformed {
            var decoder = decoder(for: input.direction)
            decoder.append(input.bytes)
            do throws(FrameDecoder.Failure) {
                let frame = try decoder.next()
                Issue.record("\(input.name) was read as \(String(describing: frame))")
            } catch {
                #expect(error.error.code.rawValue == input.code, "\(input.name)")
                #expect(error.correlation == input.correlation, "\(input.name)")
                #expect(error.error.message == input.sentence, "\(input.name)")
                #expect(error.error.code.endsConnection, "\(input.name)")
            }
        }
    }

    @Test("Each kind with its number stands in the tables") func kindsInTables() {
        let firstCells = Set(page.rows.compactMap { $0.first?.prefix(4) }.map(String.init))
        for vector in page.vectors {
            let kind = vector.bytes[5]
            if kind < 0x7F { #expect(firstCells.contains(hexName(kind)), "\(vector.name)") }
            if kind >= 0x80, kind != 0x80 {
                let answers = page.rows.compactMap(\.last).filter { $0.hasPrefix(hexName(kind)) }
                #expect(!answers.isEmpty, "\(vector.name)")
            }
        }
    }

    private func hexName(_ byte: UInt8) -> String {
        let digits = String(byte, radix: 16, uppercase: true)
        return "0x" + (digits.count == 1 ? "0" : "") + digits
    }

    @Test("The table of errors has every code with its name, and no other") func errors() {
        var written: [UInt16: String] = [:]
        for row in page.rows {
            if row.count == 4, let code = UInt16(row[0]) { written[code] = row[1] }
        }
        let real = Dictionary(uniqueKeysWithValues: BrokerError.Code.allCases.map { ($0.rawValue, $0.name) })
        #expect(written == real)
    }

    @Test("The usual limits are the ones of the code") func limits() {
        let limits = ProtocolLimits()
        let numbers = [
            limits.frameBytesMax, limits.bodyBytesMax, limits.headersBytesMax, limits.leasesPerConnectionMax,
        ]
        for number in numbers {
            let found = page.rows.contains { row in
                row.count == 3 && row[1].filter { $0 != "," } == String(number)
            }
            #expect(found, "\(number)")
        }
    }

    @Test("A page that cannot be read is an error, not an empty list") func pageErrors() {
        #expect(throws: ProtocolPage.Unreadable.self) { try ProtocolPage(text: "```vector direction=client\n00\n```") }
        #expect(throws: ProtocolPage.Unreadable.self) {
            try ProtocolPage(text: "```vector name=a direction=client\n0 0\n```")
        }
        #expect(throws: ProtocolPage.Unreadable.self) {
            try ProtocolPage(text: "```malformed name=a direction=client\n00\n```")
        }
    }
}
