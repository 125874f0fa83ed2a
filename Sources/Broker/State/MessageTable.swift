import BrokerProtocol

/// A live message as RAM knows it, in 32 bytes. The body stays on disk.
struct MessageEntry {
    /// Log position of the record.
    var position: UInt64
    let publishedAt: WallTime
    /// Of the fact in the record's payload.
    var offset: UInt32
    /// Bytes of its record, roughly; for the accounting of segments.
    let bytes: UInt32
    let topic: TopicID
    /// Subscriptions that still owe a verdict, dead letters included.
    var owed: UInt16
    let priority: UInt8
    /// Whether its topic's lane holds it; delayed ones, and those found again behind younger ones, are not there.
    let isInLane: Bool

    /// What a record is taken to have besides the body and the headers.
    static let overheadBytes = 128

    /// Of the body and of the headers' keys and values.
    /// Of body and headers; a header has four bytes more, as on the wire.
    var contentBytes: UInt32 { bytes - UInt32(Self.overheadBytes) }

    var address: RecordAddress {
        get { RecordAddress(position: position, offset: Int(offset)) }
        set {
            position = newValue.position
            offset = UInt32(newValue.offset)
        }
    }
}

/// Live messages by id. Ids grow by one, so young messages stand in dense chunks; what is left of an old chunk moves
/// to a dictionary. Lookup, insertion and removal touch one entry.
struct MessageTable {
    private static let chunkBits: UInt64 = 6
    private static let sparseBelow = 8
    private static let chunksKept = 4096
    /// A longer run of chunks without a message is not kept.
    private static let gapMax: UInt64 = 1 << 14

    private struct Chunk {
        var entries = [MessageEntry?](repeating: nil, count: 1 << Int(chunkBits))
        var liveCount = 0
    }

    private var chunks = SlidingArray<Chunk?>()
    private var sparse: [MessageID: MessageEntry] = [:]
    private(set) var count = 0

    private func place(_ id: MessageID) -> (chunk: UInt64, index: Int) {
        Touches.note()
        return (id.rawValue >> Self.chunkBits, Int(id.rawValue & (1 << Self.chunkBits - 1)))
    }

    subscript(id: MessageID) -> MessageEntry? {
        let (chunk, index) = place(id)
        if chunk >= chunks.start && chunk < chunks.end, let found = chunks[chunk] { return found.entries[index] }
        return sparse.isEmpty ? nil : sparse[id]
    }

    mutating func insert(_ entry: MessageEntry, as id: MessageID) {
        let (chunk, index) = place(id)
        count += 1
        if chunks.isEmpty { chunks = SlidingArray(start: chunk) }
        if chunk < chunks.start {
            sparse[id] = entry
            return
        }
        if chunk >= chunks.end + Self.gapMax {
            while !chunks.isEmpty { moveFirstChunkAside() }
            chunks = SlidingArray(start: chunk)
        }
        while chunks.end <= chunk { chunks.append(nil) }
        if chunks[chunk] == nil { chunks[chunk] = Chunk() }
        chunks[chunk]!.entries[index] = entry
        chunks[chunk]!.liveCount += 1
    }

    /// Changes an entry in place; nothing happens when there is none.
    mutating func amend(_ id: MessageID, _ change: (inout MessageEntry) -> Void) {
        let (chunk, index) = place(id)
        if chunk >= chunks.start && chunk < chunks.end, chunks[chunk] != nil {
            if chunks[chunk]!.entries[index] != nil { change(&chunks[chunk]!.entries[index]!) }
        } else if sparse[id] != nil {
            change(&sparse[id]!)
        }
    }

    @discardableResult
    mutating func remove(_ id: MessageID) -> MessageEntry? {
        let (chunk, index) = place(id)
        guard chunk >= chunks.start && chunk < chunks.end, chunks[chunk] != nil else {
            let entry = sparse.removeValue(forKey: id)
            if entry != nil { count -= 1 }
            return entry
        }
        guard let entry = chunks[chunk]!.entries[index] else { return nil }
        chunks[chunk]!.entries[index] = nil
        chunks[chunk]!.liveCount -= 1
        count -= 1
        if chunks[chunk]!.liveCount == 0 { chunks[chunk] = nil }
        trim()
        return entry
    }

    private mutating func trim() {
        while !chunks.isEmpty {
            guard let first = chunks[chunks.start] else {
                chunks.drop(before: chunks.start + 1)
                continue
            }
            guard chunks.count > Self.chunksKept && first.liveCount < Self.sparseBelow else { return }
            moveFirstChunkAside()
        }
    }

    private mutating func moveFirstChunkAside() {
        let number = chunks.start
        for (index, entry) in (chunks[number]?.entries ?? []).enumerated() {
            if let entry { sparse[MessageID(rawValue: number << Self.chunkBits | UInt64(index))] = entry }
        }
        chunks[number] = nil
        chunks.drop(before: number + 1)
    }
}
