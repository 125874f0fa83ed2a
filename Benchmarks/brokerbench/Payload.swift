/// Bodies that cannot be compressed and that tell who made them: producer, number, due time, then bytes of a fixed
/// random pool. Another process with the same size makes the same ones.
struct Payload {
    /// What a body says about itself.
    struct Label {
        let producer: Int
        let number: Int
        /// When it was to be sent, in microseconds of the monotonic clock.
        let due: Int64
    }

    static let labelBytes = 24
    private static let mark: UInt32 = 0xB0D1_E5ED
    private static let offsets = 1 << 16
    let bytes: Int
    private let pool: [UInt8]

    init(bytes: Int) {
        precondition(bytes >= Self.labelBytes)
        self.bytes = bytes
        // xorshift64*, Vigna 2016.
        var state: UInt64 = 0x9E37_79B9_7F4A_7C15
        var pool: [UInt8] = []
        pool.reserveCapacity(Self.offsets + bytes + 8)
        while pool.count < Self.offsets + bytes {
            state ^= state >> 12
            state ^= state << 25
            state ^= state >> 27
            let word = state &* 0x2545_F491_4F6C_DD1D
            for shift in 0..<8 { pool.append(UInt8(truncatingIfNeeded: word >> UInt64(8 * shift))) }
        }
        self.pool = pool
    }

    private func start(of number: Int) -> Int {
        Int(truncatingIfNeeded: (UInt64(truncatingIfNeeded: number) &* 0x9E37_79B9_7F4A_7C15) >> 48)
    }

    func append(_ label: Label, to output: inout [UInt8]) {
        output.append(big: Self.mark)
        output.append(big: UInt32(truncatingIfNeeded: label.producer))
        output.append(big: UInt64(label.number))
        output.append(big: UInt64(bitPattern: label.due))
        let start = start(of: label.number)
        output.append(contentsOf: pool[start..<start + bytes - Self.labelBytes])
    }

    /// - Returns: Nil when a byte is not what was published.
    func label(in input: [UInt8], _ range: Range<Int>) -> Label? {
        let at = range.lowerBound
        guard range.count == bytes, input.big32(at) == Self.mark else { return nil }
        let number = Int(truncatingIfNeeded: input.big64(at + 8))
        let start = start(of: number)
        var difference: UInt8 = 0
        for index in 0..<bytes - Self.labelBytes {
            difference |= input[at + Self.labelBytes + index] ^ pool[start + index]
        }
        guard difference == 0 else { return nil }
        return Label(
            producer: Int(input.big32(at + 4)), number: number, due: Int64(bitPattern: input.big64(at + 16)))
    }
}

extension [UInt8] {
    mutating func append(big value: UInt32) {
        for shift in [24, 16, 8, 0] as [UInt32] { append(UInt8(truncatingIfNeeded: value >> shift)) }
    }

    mutating func append(big value: UInt64) {
        append(big: UInt32(truncatingIfNeeded: value >> 32))
        append(big: UInt32(truncatingIfNeeded: value))
    }

    mutating func append(big value: UInt16) {
        append(UInt8(truncatingIfNeeded: value >> 8))
        append(UInt8(truncatingIfNeeded: value))
    }

    func big16(_ at: Int) -> Int { Int(self[at]) << 8 | Int(self[at + 1]) }

    func big32(_ at: Int) -> UInt32 {
        UInt32(self[at]) << 24 | UInt32(self[at + 1]) << 16 | UInt32(self[at + 2]) << 8 | UInt32(self[at + 3])
    }

    func big64(_ at: Int) -> UInt64 { UInt64(big32(at)) << 32 | UInt64(big32(at + 4)) }

    /// Adds the number in decimal digits.
    mutating func append(decimal value: Int) {
        if value >= 10 { append(decimal: value / 10) }
        append(UInt8(ascii: "0") + UInt8(value % 10))
    }

    /// The number that the decimal digits from `at` on make; what follows them is not looked at.
    func decimal(_ at: Int) -> Int {
        var (value, at) = (0, at)
        while at < count, (48...57).contains(self[at]), value < 1 << 58 {
            value = value * 10 + Int(self[at] - 48)
            at += 1
        }
        return value
    }

    /// Where the line that begins at `start` ends: the place of its CR LF. Nil when it is not there yet.
    func lineEnd(from start: Int) -> Int? {
        var at = start
        while at + 1 < count {
            if self[at] == 13 && self[at + 1] == 10 { return at }
            at += 1
        }
        return nil
    }
}
