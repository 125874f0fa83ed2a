import LinuxIO

/// What a segment header and a superblock have in common, in this and all later format versions:
/// CRC-32C of the rest of the block, magic, format version.
enum LogBlock {
    static let version: UInt32 = 1

    enum Fault: Error, Equatable {
        case invalid(reason: String)
        case versionUnknown(UInt32)
    }

    /// Fills in the common fields; the others are there already.
    static func seal(_ bytes: inout [UInt8], magic: UInt32) {
        bytes.store(littleEndian: magic, at: 4)
        bytes.store(littleEndian: version, at: 8)
        bytes.store(littleEndian: Checksum.crc32c(bytes, from: 4), at: 0)
    }

    static func check(_ bytes: [UInt8], count: Int, magic: UInt32) throws(Fault) {
        guard bytes.count == count else { throw .invalid(reason: "it has \(bytes.count) bytes instead of \(count)") }
        guard bytes.littleEndian(UInt32.self, at: 4) == magic else { throw .invalid(reason: "it has not the magic") }
        guard Checksum.crc32c(bytes, from: 4) == bytes.littleEndian(UInt32.self, at: 0) else {
            throw .invalid(reason: "its checksum is wrong")
        }
        let version = bytes.littleEndian(UInt32.self, at: 8)
        guard version == Self.version else { throw .versionUnknown(version) }
    }
}

/// The first block of a segment file. Written and synced before the file gets its name; never changed after.
struct SegmentHeader: Equatable, Sendable {
    private static let magic: UInt32 = 0x4745_5342  // "BSEG"

    var epoch: UInt32
    var identity: LogIdentity
    var segment: UInt64
    var segmentBytes: Int

    func encoded() -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: LogGeometry.headerBytes)
        bytes.store(littleEndian: epoch, at: 12)
        identity.store(in: &bytes, at: 16)
        bytes.store(littleEndian: segment, at: 32)
        bytes.store(littleEndian: UInt64(segmentBytes), at: 40)
        LogBlock.seal(&bytes, magic: Self.magic)
        return bytes
    }

    init(epoch: UInt32, identity: LogIdentity, segment: UInt64, segmentBytes: Int) {
        self.epoch = epoch
        self.identity = identity
        self.segment = segment
        self.segmentBytes = segmentBytes
    }

    init(_ bytes: [UInt8]) throws(LogBlock.Fault) {
        try LogBlock.check(bytes, count: LogGeometry.headerBytes, magic: Self.magic)
        epoch = bytes.littleEndian(UInt32.self, at: 12)
        identity = LogIdentity(in: bytes, at: 16)
        segment = bytes.littleEndian(UInt64.self, at: 32)
        guard let segmentBytes = Int(exactly: bytes.littleEndian(UInt64.self, at: 40)) else {
            throw .invalid(reason: "it names an impossible segment size")
        }
        self.segmentBytes = segmentBytes
    }
}
