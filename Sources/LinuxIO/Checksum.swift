private import CLinux

/// CRC-32C (Castagnoli), by the CPU's instruction where it has one. Test values: RFC 3720 appendix B.4.
package enum Checksum {
    package static func crc32c(_ bytes: [UInt8], from start: Int = 0, to end: Int? = nil) -> UInt32 {
        let end = end ?? bytes.count
        precondition(start >= 0 && start <= end && end <= bytes.count)
        return unsafe bytes.withUnsafeBytes { buffer in
            guard let base = buffer.baseAddress else { return 0 }
            return unsafe clinux_crc32c(0, base + start, end - start)
        }
    }
}
