/// One command of a client: its name and what follows it, always at least one argument.
package struct RESPCommand: Hashable, Sendable {
    package var arguments: [[UInt8]]
    /// On the wire, all lengths and line ends included.
    package var byteCount: Int

    package init(arguments: [[UInt8]], byteCount: Int) {
        self.arguments = arguments
        self.byteCount = byteCount
    }
}

/// Cuts a client's stream of bytes into commands: `*2␍␊$4␍␊LLEN␍␊$1␍␊q␍␊`, or inline, `LLEN q␍␊`.
///
/// Total: every input gives commands or Redis's own protocol error, whatever pieces it arrives in. Memory follows what
/// has arrived, never what a length claims: at most about four times `commandBytesMax` for half a command, of very many
/// very short arguments. As Redis does, it takes any two bytes for the line end behind a bulk, and any byte for the one
/// after the `␍` of a length.
package struct RESPCommandDecoder: Sendable {
    /// What a client must not pass.
    package struct Limits: Hashable, Sendable {
        package static let argumentCountMax = 1_048_576
        /// Of an inline command, and of the line of a length.
        package static let lineBytesMax = 65_536
        /// What a client may send before it has said who it is, when it must.
        package static let argumentCountBeforeLogin = 10
        package static let bulkBytesBeforeLogin = 16_384

        /// Of one argument.
        package var bulkBytesMax: Int
        /// Of a command with all its lengths and line ends.
        package var commandBytesMax: Int

        package init(bulkBytesMax: Int, commandBytesMax: Int) {
            self.bulkBytesMax = bulkBytesMax
            self.commandBytesMax = commandBytesMax
        }
    }

    package let limits: Limits
    /// While false, only short commands are read, such as `AUTH` and `HELLO`.
    package var isLoggedIn = true

    /// Where an argument lies, from the command's start: eight bytes, however short it is.
    private struct Span {
        let offset: UInt32
        let count: UInt32
    }

    private var buffer: [UInt8] = []
    /// The first byte of a command that is not given out.
    private var start = 0
    /// The first byte of it that is not understood yet.
    private var at = 0
    /// Where the search for a line's end goes on.
    private var scanned = 0
    private var spans: [Span] = []
    /// Arguments of the command that have not arrived.
    private var missingCount = 0
    /// The length of the argument whose bytes come now.
    private var bulkBytes: Int?
    private var failure: RESPError?

    /// The fewest bytes of an argument: `$0␍␊␍␊`.
    private static let argumentBytesMin = 6
    private static let bufferBytesKept = 1 << 17
    private static let spansKept = 4096

    package init(limits: Limits) { self.limits = limits }

    /// Bytes of commands that are not given out yet.
    package var bufferedBytes: Int { buffer.count - start }

    /// Takes bytes from the client through `read`, which appends to the array that it is given.
    package mutating func fill<Result, Failure: Error>(
        _ read: (inout [UInt8]) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        let count = start
        if count == buffer.count {
            buffer.removeAll(keepingCapacity: buffer.capacity <= Self.bufferBytesKept)
        } else if count > buffer.count / 2 {
            // The rest is shorter than what goes: on the average no byte is moved twice.
            buffer.removeFirst(count)
        } else {
            return try read(&buffer)
        }
        start = 0
        at -= count
        scanned -= count
        return try read(&buffer)
    }

    package mutating func append(_ bytes: some Sequence<UInt8>) { fill { $0.append(contentsOf: bytes) } }

    /// - Returns: The next whole command, never an empty one; nil when more bytes are needed.
    /// - Throws: What to answer before the connection is closed; from then on nothing else.
    package mutating func next() throws(RESPError) -> RESPCommand? {
        if let failure { throw failure }
        do throws(RESPError) {
            return try read()
        } catch {
            failure = error
            (buffer, spans) = ([], [])
            (start, at, scanned) = (0, 0, 0)
            throw error
        }
    }

    private mutating func read() throws(RESPError) -> RESPCommand? {
        while true {
            if missingCount == 0 {
                start = at
                guard at < buffer.count else { return nil }
                if buffer[at] != UInt8(ascii: "*") {
                    guard let line = try takeInlineLine() else { return nil }
                    guard let words = RESPInline.words(buffer[line]) else {
                        throw "ERR Protocol error: unbalanced quotes in request"
                    }
                    if words.isEmpty { continue }
                    return RESPCommand(arguments: words, byteCount: takeCommand())
                }
                guard let line = try takeLengthLine("mbulk count") else { return nil }
                try begin(line)
                if missingCount == 0 { continue }
            }
            while missingCount > 0 {
                guard let span = try takeArgument() else { return nil }
                spans.append(span)
                missingCount -= 1
            }
            var arguments: [[UInt8]] = []
            arguments.reserveCapacity(spans.count)
            for span in spans {
                let first = start + Int(span.offset)
                arguments.append(Array(buffer[first..<first + Int(span.count)]))
            }
            spans.removeAll(keepingCapacity: spans.count <= Self.spansKept)
            return RESPCommand(arguments: arguments, byteCount: takeCommand())
        }
    }

    /// The command is given out.
    /// - Returns: How long it was.
    private mutating func takeCommand() -> Int {
        defer { start = at }
        return at - start
    }

    /// Reads `*N`. Zero and less is no command, and is passed over.
    private mutating func begin(_ line: Range<Int>) throws(RESPError) {
        guard let count = RESPWords.integer(buffer[line].dropFirst()), count <= Limits.argumentCountMax,
            count <= limits.commandBytesMax / Self.argumentBytesMin
        else { throw "ERR Protocol error: invalid multibulk length" }
        guard isLoggedIn || count <= Limits.argumentCountBeforeLogin else {
            throw "ERR Protocol error: unauthenticated multibulk length"
        }
        missingCount = max(0, Int(count))
    }

    private mutating func takeArgument() throws(RESPError) -> Span? {
        if bulkBytes == nil {
            guard let line = try takeLengthLine("bulk count") else { return nil }
            guard buffer[line.lowerBound] == UInt8(ascii: "$") else { throw notABulk(buffer[line.lowerBound]) }
            // Its own line end, and the shortest form of the arguments behind it, must fit as well.
            let room = limits.commandBytesMax - (at - start) - 2 - (missingCount - 1) * Self.argumentBytesMin
            guard let length = RESPWords.integer(buffer[line].dropFirst()), length >= 0,
                length <= min(limits.bulkBytesMax, room)
            else { throw "ERR Protocol error: invalid bulk length" }
            guard isLoggedIn || length <= Limits.bulkBytesBeforeLogin else {
                throw "ERR Protocol error: unauthenticated bulk length"
            }
            bulkBytes = Int(length)
        }
        guard let length = bulkBytes, buffer.count - at >= length + 2 else { return nil }
        defer {
            at += length + 2
            scanned = at
            bulkBytes = nil
        }
        return Span(offset: UInt32(at - start), count: UInt32(length))
    }

    private func notABulk(_ byte: UInt8) -> RESPError {
        RESPError(bytes: Array("ERR Protocol error: expected '$', got '".utf8) + [byte, UInt8(ascii: "'")])
    }

    /// The line up to `␍`, which must not be empty to be one of a length; what comes after the `␍` is passed over.
    private mutating func takeLengthLine(_ what: StaticString) throws(RESPError) -> Range<Int>? {
        guard let end = try findEnd(UInt8(ascii: "\r"), "ERR Protocol error: too big \(what) string"),
            end + 1 < buffer.count
        else { return nil }
        defer {
            at = end + 2
            scanned = at
        }
        return at..<end
    }

    /// The line up to `␊`; a `␍` before it is space to the words.
    private mutating func takeInlineLine() throws(RESPError) -> Range<Int>? {
        guard let end = try findEnd(UInt8(ascii: "\n"), "ERR Protocol error: too big inline request") else {
            return nil
        }
        defer {
            at = end + 1
            scanned = at
        }
        return at..<end
    }

    private mutating func findEnd(
        _ mark: UInt8, _ tooLong: @autoclosure () -> RESPError
    ) throws(RESPError) -> Int? {
        let limit = min(Limits.lineBytesMax, limits.commandBytesMax)
        let stop = min(buffer.count, at + limit + 1)
        if let end = buffer[scanned..<stop].firstIndex(of: mark) {
            scanned = end
            return end
        }
        scanned = stop
        guard buffer.count - at <= limit else { throw tooLong() }
        return nil
    }
}
