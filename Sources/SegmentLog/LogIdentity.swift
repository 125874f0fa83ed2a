import LinuxIO

/// Which log a file belongs to: 128 random bits, chosen when the log is made.
struct LogIdentity: Hashable, Sendable, CustomStringConvertible {
    static let byteCount = 16

    let low: UInt64
    let high: UInt64

    init(low: UInt64, high: UInt64) {
        self.low = low
        self.high = high
    }

    static func random() -> LogIdentity { LogIdentity(low: Entropy.word(), high: Entropy.word()) }

    init(in bytes: [UInt8], at offset: Int) {
        low = bytes.littleEndian(UInt64.self, at: offset)
        high = bytes.littleEndian(UInt64.self, at: offset + 8)
    }

    func store(in bytes: inout [UInt8], at offset: Int) {
        bytes.store(littleEndian: low, at: offset)
        bytes.store(littleEndian: high, at: offset + 8)
    }

    /// Every record's checksum starts from here. A record of another log does not pass, and neither does one that a
    /// client made up inside a message body, because the client does not know the identity.
    var checksum: UInt32 {
        var bytes = [UInt8](repeating: 0, count: Self.byteCount)
        store(in: &bytes, at: 0)
        return Checksum.crc32c(bytes)
    }

    /// A name of the log for everybody: it does not tell the identity.
    var publicWord: UInt64 {
        var word = (low ^ (high << 31 | high >> 33)) &* 0x9E37_79B9_7F4A_7C15
        word = (word ^ (word >> 30)) &* 0xBF58_476D_1CE4_E5B9
        return word ^ (word >> 31)
    }

    /// The bytes in their order on disk, as 32 hexadecimal digits.
    var description: String {
        var bytes = [UInt8](repeating: 0, count: Self.byteCount)
        store(in: &bytes, at: 0)
        return bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }
}
