/// Encoded records that follow each other in one segment.
struct LogBuffer: Sendable {
    /// A buffer that holds more is closed, and the next one begun; a single large record has one of its own.
    static let byteCountMax = 256 << 10

    /// Of the first record.
    let start: UInt64
    /// The spare that becomes the segment, when this is the first buffer in it.
    let spare: UInt64?
    var bytes: [UInt8] = []

    var end: UInt64 { start + UInt64(bytes.count) }
}

/// The newest buffers, in memory for reading: all that are not written yet, and behind them up to a limit.
struct TailCache {
    private var buffers: [LogBuffer] = []
    /// Of the oldest one that still counts; the places before it are empty.
    private var head = 0
    private var byteCount = 0
    private let limit: Int

    init(limit: Int) { self.limit = limit }

    /// - Returns: The memory of a buffer that had to go; nil when none had to.
    mutating func add(_ buffer: LogBuffer, durableEnd: UInt64) -> [UInt8]? {
        var memory: [UInt8]?
        buffers.append(buffer)
        byteCount += buffer.bytes.count
        while byteCount > limit, head < buffers.count, buffers[head].end <= durableEnd {
            byteCount -= buffers[head].bytes.count
            var bytes: [UInt8] = []
            swap(&bytes, &buffers[head].bytes)
            memory = bytes
            head += 1
        }
        if head > 64 && head > buffers.count / 2 {
            buffers.removeFirst(head)
            head = 0
        }
        return memory
    }

    /// The buffer in which the position lies.
    func buffer(at position: UInt64) -> LogBuffer? {
        var (low, high) = (head, buffers.count)
        while low < high {
            let middle = (low + high) / 2
            if buffers[middle].start <= position { low = middle + 1 } else { high = middle }
        }
        guard low > head, position < buffers[low - 1].end else { return nil }
        return buffers[low - 1]
    }
}
