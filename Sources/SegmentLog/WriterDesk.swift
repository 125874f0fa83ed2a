import LinuxIO

/// What the writer thread works with; nobody else touches it.
struct WriterDesk: Sendable {
    let directory: LogDirectory
    let geometry: LogGeometry
    private let identity: LogIdentity
    private let epoch: UInt32
    private let idleLimit: Int64
    private let watermarkLimit: Int64
    private var file: any LogFile
    private var superblocks: SuperblockPair
    private var lastSync = Clocks.monotonicMilliseconds()
    private var lastSuperblock = Clocks.monotonicMilliseconds()

    init(_ directory: LogDirectory, options: LogOptions, recovered: RecoveredLog) {
        self.directory = directory
        geometry = LogGeometry(segmentBytes: options.segmentBytes)
        identity = recovered.identity
        epoch = recovered.epoch
        idleLimit = options.idleMilliseconds
        watermarkLimit = options.watermarkMilliseconds
        file = recovered.file
        superblocks = recovered.superblocks
    }

    var firstSegment: UInt64 { superblocks.current.firstSegment }

    /// How long to wait for work before the watermark is written down; nil when it stands there already.
    func idleMilliseconds(_ durableEnd: UInt64) -> Int64? {
        if superblocks.current.watermark == durableEnd { return nil }
        return max(0, lastSync + idleLimit - Clocks.monotonicMilliseconds())
    }

    /// Whether the superblocks must hear of the watermark although there is other work.
    func isWatermarkOld(_ durableEnd: UInt64) -> Bool {
        superblocks.current.watermark != durableEnd && lastSync - lastSuperblock > watermarkLimit
    }

    /// Writes buffers of one segment and syncs it.
    /// - Returns: How long the sync took, in microseconds.
    mutating func write(_ buffers: [LogBuffer]) throws(SystemError) -> Int64 {
        for buffer in buffers {
            if let spare = buffer.spare { try roll(spare, start: buffer.start) }
            try file.write(buffer.bytes, at: geometry.offset(of: buffer.start))
        }
        let before = Clocks.monotonicMicroseconds()
        try file.syncData()
        lastSync = Clocks.monotonicMilliseconds()
        return Clocks.monotonicMicroseconds() - before
    }

    /// Everything before `start` is synced, the seal too; only so the new file's name proves that nothing is missing.
    private mutating func roll(_ spare: UInt64, start: UInt64) throws(SystemError) {
        let header = SegmentHeader(
            epoch: epoch, identity: identity, segment: geometry.segment(of: start), segmentBytes: geometry.segmentBytes)
        file = try directory.install(spare: spare, as: header)
        try superblocks.write { $0.watermark = start }
    }

    mutating func writeWatermark(_ durableEnd: UInt64) throws(SystemError) {
        try superblocks.write { $0.watermark = durableEnd }
        lastSuperblock = Clocks.monotonicMilliseconds()
    }

    /// After this no file before the segment belongs to the log.
    mutating func moveFirst(to segment: UInt64, watermark: UInt64) throws(SystemError) {
        guard segment > firstSegment else { return }
        try superblocks.writeBoth { block in
            block.firstSegment = segment
            block.watermark = watermark
        }
    }

    mutating func close(_ durableEnd: UInt64) throws(SystemError) {
        try superblocks.write { block in
            block.watermark = durableEnd
            block.isClosed = true
        }
    }
}
