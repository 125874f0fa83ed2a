import BrokerProtocol

/// What a decoder makes of a stream: its commands, and the error that ended it.
struct RESPStream: Equatable {
    var commands: [RESPCommand] = []
    var error: String?
    /// The most bytes that the decoder's buffer had room for.
    var capacityMax = 0

    static let limits = RESPCommandDecoder.Limits(bulkBytesMax: 1 << 16, commandBytesMax: 1 << 17)

    init(_ pieces: [ArraySlice<UInt8>], limits: RESPCommandDecoder.Limits = limits, isLoggedIn: Bool = true) {
        var decoder = RESPCommandDecoder(limits: limits)
        decoder.isLoggedIn = isLoggedIn
        for piece in pieces where error == nil {
            capacityMax = max(
                capacityMax,
                decoder.fill { buffer in
                    buffer.append(contentsOf: piece)
                    return buffer.capacity
                })
            do throws(RESPError) {
                while let command = try decoder.next() { commands.append(command) }
            } catch {
                self.error = error.description
            }
        }
    }

    init(_ bytes: some Collection<UInt8>, limits: RESPCommandDecoder.Limits = limits) {
        self.init([Array(bytes)[...]], limits: limits)
    }

    init(_ text: String, limits: RESPCommandDecoder.Limits = limits, isLoggedIn: Bool = true) {
        self.init([Array(text.utf8)[...]], limits: limits, isLoggedIn: isLoggedIn)
    }

    /// The commands as texts.
    var words: [[String]] {
        commands.map { command in command.arguments.map { String(decoding: $0, as: UTF8.self) } }
    }

    /// As a client's library writes a command.
    static func bytes(_ arguments: [[UInt8]]) -> [UInt8] {
        RESPValue.array(arguments.map { .bulk($0) }).bytes(as: .two)
    }
}
