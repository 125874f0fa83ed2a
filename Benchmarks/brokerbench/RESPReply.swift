/// Cuts one reply of RESP2 out of a buffer.
struct RESPReply {
    enum Kind { case text, number, bulk, array, null }

    let kind: Kind
    /// The value of a number; the count of an array.
    let number: Int
    /// The strings in the reply, in order, whatever their depth.
    private(set) var strings: [Range<Int>] = []
    let end: Int

    /// - Returns: Nil when the reply is not whole.
    /// - Throws: ``BenchError`` for an error reply.
    init?(_ input: [UInt8], _ start: Int) throws {
        guard start < input.count, let line = input.lineEnd(from: start) else { return nil }
        let isNegative = input[start + 1] == UInt8(ascii: "-")
        var number = input.decimal(start + 1)
        var end = line + 2
        switch input[start] {
        case UInt8(ascii: "+"):
            kind = .text
            strings = [start + 1..<line]
        case UInt8(ascii: ":"): kind = .number
        case UInt8(ascii: "$"):
            kind = isNegative ? .null : .bulk
            if !isNegative {
                guard input.count >= end + number + 2 else { return nil }
                strings = [end..<end + number]
                end += number + 2
            }
        case UInt8(ascii: "*"):
            kind = isNegative ? .null : .array
            // An array of arrays is read as one long row of its strings.
            var left = isNegative ? 0 : number
            while left > 0 {
                left -= 1
                guard end < input.count, let line = input.lineEnd(from: end) else { return nil }
                let count = input[end + 1] == UInt8(ascii: "-") ? -1 : input.decimal(end + 1)
                switch input[end] {
                case UInt8(ascii: "*"):
                    left += max(count, 0)
                    end = line + 2
                case UInt8(ascii: "$") where count >= 0:
                    end = line + 2
                    guard input.count >= end + count + 2 else { return nil }
                    strings.append(end..<end + count)
                    end += count + 2
                default: end = line + 2
                }
            }
        case UInt8(ascii: "-"):
            throw BenchError("refused: \(String(decoding: input[start + 1..<line], as: UTF8.self))")
        default: throw BenchError("not a reply: \(String(decoding: input[start..<line], as: UTF8.self))")
        }
        if isNegative { number = -1 }
        self.number = number
        self.end = end
    }
}

extension [UInt8] {
    /// Adds one command of RESP.
    mutating func append(command words: [String]) {
        self += "*\(words.count)\r\n".utf8
        for word in words { self += "$\(word.utf8.count)\r\n\(word)\r\n".utf8 }
    }
}
