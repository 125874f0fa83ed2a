import BrokerProtocol

/// The log as the state sees it: payloads in, positions out. Nothing here waits for a disk.
protocol Journal: AnyObject {
    /// Adds one record behind all others; it is durable when the log says so.
    /// - Throws: `DISK_FULL` or `RECORD_TOO_LARGE`; nothing was added then.
    func append(_ payload: [UInt8]) throws(BrokerError) -> UInt64
    /// The same for a payload that is written in its place.
    /// - Returns: Nil when the record would begin a segment; nothing was added then.
    func append(writing write: (inout ByteWriter) -> Void) throws(BrokerError) -> UInt64?
    /// Position after the last record.
    var end: UInt64 { get }
    /// Whether the next record of this size begins a new segment.
    func startsSegment(payloadBytes: Int) -> Bool
    /// Bytes that publishes may use; settles may use more.
    var publishBytesFree: Int { get }
    /// Bytes that there are at all.
    var bytesFree: Int { get }
    var segmentBytes: UInt64 { get }
    var firstSegment: UInt64 { get }
}

/// SplitMix64 (Steele, Lea, Flood 2014): small, seeded, the same on every machine.
struct SeededRandom: RandomNumberGenerator, Sendable {
    private var state: UInt64
    init(seed: UInt64) { state = seed }
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var word = state
        word = (word ^ (word >> 30)) &* 0xBF58_476D_1CE4_E5B9
        word = (word ^ (word >> 27)) &* 0x94D0_49BB_1331_11EB
        return word ^ (word >> 31)
    }
}
