import BrokerProtocol
import Testing

/// Valid streams, damaged in every way that a seed finds.
@Suite("Damaged RESP") struct RESPMutationTests {
    static let seeds: [UInt64] = [5, 77, 2_024, UInt64.random(in: .min ... .max)]
    static let limits = RESPCommandDecoder.Limits(bulkBytesMax: 1 << 12, commandBytesMax: 1 << 13)

    @Test(
        "15,000 damaged streams per seed are read or refused, alike in whatever pieces, and with bounded memory",
        arguments: seeds)
    func mutations(seed: UInt64) {
        var random = RandomFrames.Generator(seed: seed)
        var outcomes = (commands: 0, errors: 0, waits: 0)
        for round in 0..<15_000 {
            let bytes = damaged(&random)
            let whole = RESPStream([bytes[...]], limits: Self.limits)
            let pieces = RESPStream(chopped(bytes, &random), limits: Self.limits)
            #expect(whole.commands == pieces.commands, "seed \(seed), round \(round)")
            #expect(whole.error == pieces.error, "seed \(seed), round \(round)")
            #expect(pieces.capacityMax <= 2 * bytes.count + 64, "seed \(seed), round \(round)")
            let total = whole.commands.reduce(0) { $0 + $1.byteCount }
            #expect(total <= bytes.count, "seed \(seed), round \(round)")
            for command in whole.commands {
                #expect(!command.arguments.isEmpty, "seed \(seed), round \(round)")
                #expect(command.arguments.reduce(0) { $0 + $1.count } <= command.byteCount)
            }
            outcomes.commands += whole.commands.count
            if let error = whole.error {
                outcomes.errors += 1
                #expect(error.hasPrefix("ERR Protocol error: "))
            } else {
                outcomes.waits += 1
            }
        }
        #expect(outcomes.commands > 5_000 && outcomes.errors > 1_000 && outcomes.waits > 1_000, "\(outcomes)")
    }

    @Test("Commands of any bytes are read as they were written", arguments: seeds) func roundTrip(seed: UInt64) {
        var random = RandomFrames.Generator(seed: seed)
        let commands = (0..<500).map { _ in self.command(&random) }
        let bytes = commands.flatMap { RESPStream.bytes($0) }
        let stream = RESPStream(chopped(bytes, &random), limits: Self.limits)
        #expect(stream.commands.map(\.arguments) == commands, "seed \(seed)")
        #expect(stream.commands.reduce(0) { $0 + $1.byteCount } == bytes.count)
    }

    private func command(_ random: inout RandomFrames.Generator) -> [[UInt8]] {
        (0..<Int.random(in: 1...5, using: &random)).map { _ in
            let count = Int.random(in: 0...(Bool.random(using: &random) ? 4 : 60), using: &random)
            return (0..<count).map { _ in UInt8.random(in: .min ... .max, using: &random) }
        }
    }

    private func chopped(_ bytes: [UInt8], _ random: inout RandomFrames.Generator) -> [ArraySlice<UInt8>] {
        var pieces: [ArraySlice<UInt8>] = []
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = Int.random(in: 1...(Bool.random(using: &random) ? 3 : 40), using: &random)
            pieces.append(rest.prefix(count))
            rest = rest.dropFirst(count)
        }
        return pieces
    }

    private static let fragments = [
        "*", "$", "\r", "\n", "\r\n", "-1", "0", "\"", "'", "\\x", "*3\r\n", "$5\r\n", "*99999999\r\n", "$4096\r\n",
        "9223372036854775807", "PING\r\n", " ",
    ].map { Array($0.utf8) }

    private func damaged(_ random: inout RandomFrames.Generator) -> [UInt8] {
        var bytes: [UInt8] = []
        for _ in 0..<Int.random(in: 1...4, using: &random) {
            switch Int.random(in: 0...3, using: &random) {
            case 0: bytes += Array("LPUSH q \"a\\x00b\" 'c d'\r\n".utf8)
            default: bytes += RESPStream.bytes(command(&random))
            }
        }
        for _ in 0..<Int.random(in: 0...3, using: &random) {
            let at = Int.random(in: 0..<bytes.count, using: &random)
            switch Int.random(in: 0...4, using: &random) {
            case 0: bytes[at] ^= 1 << UInt8.random(in: 0...7, using: &random)
            case 1: bytes[at] = UInt8.random(in: .min ... .max, using: &random)
            case 2: bytes.removeLast(min(bytes.count - 1, Int.random(in: 1...9, using: &random)))
            case 3: bytes.remove(at: bytes.count > 1 ? at : 0)
            default: bytes.insert(contentsOf: Self.fragments.randomElement(using: &random) ?? [], at: at)
            }
            if bytes.isEmpty { bytes = [42] }
        }
        return bytes
    }
}
