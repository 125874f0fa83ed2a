import BrokerProtocol
import LinuxIO
import TestSupport
import Testing

extension ProcessTests {
    /// What no client should send: an error frame that says what and where, then the end of that connection alone.
    @Suite("Bad input on the wire", .serialized)
    struct BadInputTests {
        struct Input: Sendable, CustomTestStringConvertible {
            let testDescription: String
            var greets = true
            let bytes: [UInt8]
            /// Nil: closed without a word, because the client itself has ended its side.
            let code: BrokerError.Code?
            var correlation: UInt32 = 0
            var text = ""
        }

        private static func frame(kind: UInt8, correlation: UInt8 = 9, version: UInt8 = 1, _ fields: [UInt8]) -> [UInt8]
        {
            [0, 0, 0, UInt8(8 + fields.count), version, kind, 0, 0, 0, 0, 0, correlation] + fields
        }

        static let inputs = [
            Input(
                testDescription: "a web browser", greets: false,
                bytes: Array("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".utf8), code: .versionUnsupported,
                text: "byte 4 of a frame is the protocol version, 1 here, not 47"),
            Input(
                testDescription: "another version", greets: false, bytes: frame(kind: 1, version: 2, []),
                code: .versionUnsupported),
            Input(
                testDescription: "a HELLO without our version", greets: false,
                bytes: frame(kind: 1, [1, 9, 0, 0, 0, 0, 0, 0, 0, 0]), code: .versionUnsupported, correlation: 9,
                text: "this broker speaks version 1, the client [9]"),
            Input(
                testDescription: "a length of 4 GiB before HELLO", greets: false, bytes: [255, 255, 255, 255, 1, 1],
                code: .frameTooLarge, text: "a frame has at most 4096 bytes"),
            Input(
                testDescription: "a length of 4097 before HELLO", greets: false, bytes: [0, 0, 16, 1, 1, 1],
                code: .frameTooLarge),
            Input(
                testDescription: "a length of 4 GiB after HELLO", bytes: [255, 255, 255, 255, 1, 1],
                code: .frameTooLarge, text: "a frame has at most 524288 bytes"),
            Input(
                testDescription: "a length of zero", bytes: [0, 0, 0, 0, 1, 2, 3, 4], code: .malformedFrame,
                text: "a frame's length is at least 8, not 0"),
            Input(
                testDescription: "a length of zero and nothing else, before HELLO", greets: false, bytes: [0, 0, 0, 0],
                code: .malformedFrame),
            Input(
                testDescription: "a request before HELLO", greets: false, bytes: frame(kind: 2, []),
                code: .helloExpected, correlation: 9),
            Input(
                testDescription: "a second HELLO", bytes: Frame.request(9, Wire.hello()).bytes, code: .malformedFrame,
                correlation: 9),
            Input(
                testDescription: "noise after HELLO", bytes: (0..<255).map { UInt8(truncatingIfNeeded: $0 * 151 + 3) },
                code: .versionUnsupported),
            Input(
                testDescription: "a kind that nobody knows", bytes: frame(kind: 0x5F, []), code: .malformedFrame,
                correlation: 9, text: "kind 95"),
            Input(
                testDescription: "a frame that only a broker sends", bytes: frame(kind: 0x82, []),
                code: .malformedFrame, correlation: 9),
            Input(
                testDescription: "a field that ends behind its frame", bytes: frame(kind: 0x10, [255, 255, 255, 255]),
                code: .malformedFrame, correlation: 9),
            Input(
                testDescription: "a byte too many", bytes: frame(kind: 2, [0]), code: .malformedFrame, correlation: 9),
            Input(
                testDescription: "bytes 6 and 7 not zero", bytes: [0, 0, 0, 8, 1, 2, 0, 1, 0, 0, 0, 9],
                code: .malformedFrame, correlation: 9),
            Input(testDescription: "half a frame, then the end", bytes: Array(frame(kind: 2, []).prefix(7)), code: nil),
            Input(testDescription: "half a HELLO, then the end", greets: false, bytes: [0, 0, 0], code: nil),
            Input(testDescription: "nothing, then the end", greets: false, bytes: [], code: nil),
        ]

        /// Sends the input and returns what the broker said before it closed the connection.
        private static func send(_ input: Input, to url: String) throws -> [Frame] {
            let wire = input.greets ? try Wire.open(url) : try Wire(to: url)
            try wire.send(bytes: input.bytes)
            if input.code == nil { wire.endOutput() }
            return try wire.rest()
        }

        @Test("Each is answered with its code, and the connection ends; the broker lives", arguments: [true, false])
        func answers(isTCP: Bool) async throws {
            let house = try ServiceHouse()
            let service = try await house.start(listen: [isTCP ? "tcp://127.0.0.1:0" : "unix://\(house.socket)"])
            let url = isTCP ? try await service.tcpURL() : service.url
            let client = try await service.connect(url: url)
            for input in Self.inputs {
                let frames = try await blocking { try Self.send(input, to: url) }
                guard let code = input.code else {
                    #expect(frames.isEmpty, "\(input.testDescription): \(frames)")
                    continue
                }
                guard frames.count == 1, case .response(let correlation, .refused(let error)) = frames[0] else {
                    Issue.record("\(input.testDescription): \(frames)")
                    continue
                }
                #expect(error.code == code, "\(input.testDescription): \(error)")
                #expect(correlation == input.correlation, "\(input.testDescription)")
                #expect(input.text.isEmpty || error.message.contains(input.text), "\(input.testDescription): \(error)")
            }
            try await client.publish(OutgoingMessage(topic: TopicName("a")!, body: [1]))
            #expect(try await client.status().connections == 1)
            #expect(try await service.stop() == .exited(0))
        }

        @Test("2000 bad connections cost no memory")
        func memory() async throws {
            let house = try ServiceHouse()
            let service = try await house.start()
            let url = service.url
            @Sendable func storm(_ count: Int) throws {
                for number in 0..<count { _ = try Self.send(Self.inputs[number % Self.inputs.count], to: url) }
            }
            try await blocking { try storm(200) }
            let before = try service.child.residentKilobytes()
            try await blocking { try storm(2_000) }
            let growth = try service.child.residentKilobytes() - before
            #expect(growth < 4_096, "\(growth) KiB more")
            #expect(try await service.connect().status().connections == 1)
            #expect(try await service.stop() == .exited(0))
        }

        @Test("A frame that never ends is given up when its heartbeats are missing, HELLO after five seconds")
        func silence() async throws {
            let house = try ServiceHouse("heartbeat = 100ms")
            let service = try await house.start()
            let url = service.url
            let half = Array(Frame.request(1, .publish([])).bytes.dropLast())
            async let strangers = blocking {
                let silent = try Wire(to: url)
                let before = Clocks.monotonicMilliseconds()
                try silent.send(bytes: [0, 0])
                return (try silent.rest(), Clocks.monotonicMilliseconds() - before)
            }
            let frames = try await blocking {
                let wire = try Wire.open(url)
                try wire.send(bytes: half)
                return try wire.rest()
            }
            guard case .response(0, .refused(let missed))? = frames.last else {
                Issue.record("\(frames)")
                return
            }
            #expect(missed.code == .heartbeatMissed)
            try await service.child.line(with: "a connection was given up: HEARTBEAT_MISSED")
            // A client that keeps its heartbeats stays.
            let client = try await service.connect()
            let (words, milliseconds) = try await strangers
            guard case .response(0, .refused(let unknown))? = words.last else {
                Issue.record("\(words)")
                return
            }
            #expect(unknown.code == .helloExpected && milliseconds >= 4_900)
            #expect(try await client.status().connections == 1)
            #expect(try await service.stop() == .exited(0))
        }
    }
}
