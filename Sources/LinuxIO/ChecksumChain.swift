private import CLinux

extension Checksum {
    /// The CRC-32C of all bytes that `earlier` covers followed by these.
    package static func crc32c(
        _ bytes: [UInt8], from start: Int, to end: Int, after earlier: UInt32
    ) -> UInt32 {
        precondition(start >= 0 && start <= end && end <= bytes.count)
        return unsafe bytes.withUnsafeBytes { buffer in
            guard let base = buffer.baseAddress else { return earlier }
            return unsafe clinux_crc32c(earlier, base + start, end - start)
        }
    }
}
