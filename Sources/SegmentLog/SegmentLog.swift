import LinuxIO

/// An append-only log of opaque payloads with group commit: what gathers while one batch is synced becomes the next.
///
/// Confined to one thread, the broker's loop. Writing and syncing happen on a thread of its own (`log-writer`), making
/// empty segments on another one (`log-prepare`). An error of a write or a sync is fatal and never tried again: see
/// ``failure``. Positions grow; a record never spans two segments; `position / segmentBytes` is its segment.
package final class SegmentLog {
    /// Grows with each start, and is in each record that this run writes.
    package let epoch: UInt32
    /// Tells this log from every other one, over all starts.
    package let identity: UInt64
    package let segmentBytes: UInt64
    /// After the last appended record.
    package private(set) var end: UInt64
    package private(set) var firstSegment: UInt64

    /// Where the records of the present segment must end.
    private var recordsEnd: UInt64
    private let geometry: LogGeometry
    private let payloadBytesMax: Int
    private let salt: UInt32
    private let pool: SparePool
    private let writer: LogWriter
    private var lock: (any LogFile)?
    private var threads: [SystemThread]
    private var reader: RecordReader
    private var cache: TailCache
    /// The records since the last closed buffer.
    private var gathering: LogBuffer
    /// Closed and not handed over yet.
    private var closed: [LogBuffer] = []
    /// What is written from now on is written after everything below was synced.
    private var watermark: UInt64
    private var isOpen = true

    /// Locks the directory, makes a log when it holds none, reads the log, and makes it ready for appending.
    ///
    /// What `replay` was given counts only once this returned: the part that may have been in the page cache only is
    /// written and synced again after it was read.
    /// - Parameters:
    ///   - onDurable: Called by the writer's thread after each sync, and after the failure that ends it.
    ///   - progress: Called about once per MiB.
    ///   - replay: Gets every record in order.
    /// - Throws: ``LogError``, with the directory as it was, or what `replay` threw.
    package static func open(
        directory: String, options: LogOptions = LogOptions(), storage: any LogStorage = FileStorage(),
        onDurable: @escaping @Sendable () -> Void,
        progress: (RecoveryProgress) -> Void = { _ in },
        replay: (_ position: UInt64, _ payload: [UInt8]) throws -> Void
    ) throws -> (log: SegmentLog, report: RecoveryReport) {
        let directory = LogDirectory(directory, storage: storage)
        var recovery = Recovery(directory, options: options)
        let recovered = try recovery.run(progress: progress, replay: replay)
        let log = SegmentLog(directory, options: options, recovered: recovered, onDurable: onDurable)
        return (log, recovered.report)
    }

    private init(
        _ directory: LogDirectory, options: LogOptions, recovered: RecoveredLog,
        onDurable: @escaping @Sendable () -> Void
    ) {
        epoch = recovered.epoch
        identity = recovered.identity.publicWord
        segmentBytes = UInt64(options.segmentBytes)
        end = recovered.end
        firstSegment = recovered.firstSegment
        geometry = LogGeometry(segmentBytes: options.segmentBytes)
        recordsEnd = geometry.recordsEnd(of: geometry.segment(of: recovered.end))
        payloadBytesMax = min(options.recordBytesMax, geometry.payloadBytesMax)
        salt = recovered.identity.checksum
        lock = recovered.lock
        reader = RecordReader(directory, geometry: geometry, identity: recovered.identity)
        cache = TailCache(limit: options.tailCacheBytes)
        gathering = LogBuffer(start: recovered.end, spare: nil)
        watermark = recovered.end
        pool = SparePool(directory, options: options, spares: recovered.spares)
        writer = LogWriter(
            WriterDesk(directory, options: options, recovered: recovered), durableEnd: recovered.end, pool: pool,
            onDurable: onDurable)
        threads = [pool.start(), writer.start()]
    }

    /// A small batch costs less than the way to the writer's thread and back; a longer one is worth the overlap with
    /// the next. docs/decisions/0006 has the figures.
    private static let inPlaceBytesMax = 4 << 10
    /// A disk that is slower than this must not hold up the caller.
    private static let inPlaceMicrosecondsMax: Int64 = 2_000

    /// A log that nobody closed looks, on disk, as after a crash.
    deinit { stop(.abandon) }

    package var lastSegment: UInt64 { geometry.segment(of: end) }

    /// Everything below is synced.
    package var durableEnd: UInt64 { writer.durableEnd }

    /// Why nothing more will ever be durable. The process must end; the next start finds out what the disk has.
    package var failure: LogError? { writer.failure }

    /// Adds a record to the gathering batch, without I/O.
    ///
    /// Only when the segment is full and no empty one is ready, it waits until one is made.
    /// - Returns: The record's position.
    /// - Throws: ``LogError/full(freeBytes:)`` or ``LogError/recordTooLarge(bytes:limit:)``, with nothing added; the
    ///   ``failure``; or ``LogError/closed``.
    package func append(_ payload: [UInt8]) throws(LogError) -> UInt64 {
        guard isOpen else { throw .closed }
        if let failure { throw failure }
        guard payload.count <= payloadBytesMax else {
            throw .recordTooLarge(bytes: payload.count, limit: payloadBytesMax)
        }
        if startsSegment(payloadBytes: payload.count) { try roll() }
        let bytes = RecordHeader.recordBytes(payloadBytes: payload.count)
        if !gathering.bytes.isEmpty && gathering.bytes.count + bytes > LogBuffer.byteCountMax { closeBuffer() }
        return add(.payload, payload)
    }

    /// The same for a payload that `write` adds to the batch itself, without a copy.
    /// - Returns: Nil when the record would be the first of a segment; nothing was added then.
    package func append(writing write: (inout [UInt8]) -> Void) throws(LogError) -> UInt64? {
        guard isOpen else { throw .closed }
        if let failure { throw failure }
        var bytes: [UInt8] = []
        swap(&bytes, &gathering.bytes)
        defer { swap(&bytes, &gathering.bytes) }
        let start = bytes.count
        RecordHeader.makeRoom(in: &bytes)
        write(&bytes)
        let payloadBytes = bytes.count - start - RecordHeader.byteCount
        guard payloadBytes <= payloadBytesMax, !startsSegment(payloadBytes: payloadBytes) else {
            bytes.removeLast(bytes.count - start)
            if payloadBytes <= payloadBytesMax { return nil }
            throw .recordTooLarge(bytes: payloadBytes, limit: payloadBytesMax)
        }
        let position = end
        watermark = max(watermark, writer.durableEnd)
        let header = RecordHeader(
            kind: .payload, payloadBytes: payloadBytes, epoch: epoch, position: position, watermark: watermark)
        header.seal(&bytes, at: start, salt: salt)
        end = position + UInt64(bytes.count - start)
        if start > 0 && bytes.count > LogBuffer.byteCountMax { split(&bytes, at: start, position: position) }
        return position
    }

    /// The batch has become long enough: its last record begins the next one.
    private func split(_ bytes: inout [UInt8], at start: Int, position: UInt64) {
        let record = Array(bytes[start...])
        bytes.removeLast(record.count)
        swap(&bytes, &gathering.bytes)
        closeBuffer(at: position)
        swap(&bytes, &gathering.bytes)
        bytes.append(contentsOf: record)
    }

    /// Whether the next append of a payload of this size opens a new segment.
    package func startsSegment(payloadBytes: Int) -> Bool {
        end + UInt64(RecordHeader.recordBytes(payloadBytes: payloadBytes)) > recordsEnd
    }

    /// Hands the gathered records to the writer. When it is busy, it takes them as soon as its present sync is done.
    /// - Parameter mayWait: A small batch may be written and synced right here, when nothing else is in work and the
    ///   last sync was short.
    package func flush(mayWait: Bool = false) {
        closeBuffer()
        guard let first = closed.first else { return }
        if mayWait, closed.count == 1, first.spare == nil, first.bytes.count <= Self.inPlaceBytesMax,
            writer.lastSyncMicroseconds <= Self.inPlaceMicrosecondsMax, writer.writeInPlace(first)
        {
            closed.removeAll(keepingCapacity: true)
            return
        }
        if let start = writer.add(closed) { watermark = max(watermark, start) }
        closed.removeAll(keepingCapacity: true)
    }

    /// The payload of a record: from memory when it is recent or not written yet, else from its file, where its
    /// checksum and its own position are verified. Reading a file blocks.
    /// - Throws: ``LogError/damaged(file:offset:reason:)``, ``LogError/noRecord(position:)`` or
    ///   ``LogError/system(_:)``.
    package func read(_ position: UInt64) throws(LogError) -> [UInt8] {
        guard position < end, geometry.segment(of: position) >= firstSegment,
            geometry.offset(of: position) >= LogGeometry.headerBytes
        else { throw .noRecord(position: position) }
        guard let buffer = tail(at: position) else { return try reader.read(position) }
        let payload = try payload(at: position, in: buffer)
        return Array(buffer.bytes[payload])
    }

    /// The same without a copy of what is in memory: the array that holds the payload, and where it stands there.
    package func locate(_ position: UInt64) throws(LogError) -> (bytes: [UInt8], payload: Range<Int>) {
        if position < end, let buffer = tail(at: position) {
            return (buffer.bytes, try payload(at: position, in: buffer))
        }
        let payload = try read(position)
        return (payload, 0..<payload.count)
    }

    private func tail(at position: UInt64) -> LogBuffer? {
        position >= gathering.start ? gathering : cache.buffer(at: position)
    }

    private func payload(at position: UInt64, in buffer: LogBuffer) throws(LogError) -> Range<Int> {
        let offset = Int(position - buffer.start)
        guard offset % 8 == 0,
            let header = RecordHeader(in: buffer.bytes, at: offset, position: position, geometry: geometry),
            header.kind == .payload, offset + header.recordBytes <= buffer.bytes.count
        else { throw .noRecord(position: position) }
        let start = offset + RecordHeader.byteCount
        return start..<start + header.payloadBytes
    }

    /// - Returns: A cursor at the start of a segment; nil while it is not full and durable.
    package func cursor(of segment: UInt64) throws(LogError) -> SegmentCursor? {
        guard (firstSegment..<lastSegment).contains(segment), geometry.start(of: segment + 1) <= durableEnd else {
            return nil
        }
        return SegmentCursor(try reader.scanner(of: segment, epochMax: epoch))
    }

    /// - Returns: A cursor over what is durable of a segment now; nil when that is nothing.
    package func durableCursor(of segment: UInt64) throws(LogError) -> SegmentCursor? {
        let durableEnd = durableEnd
        guard (firstSegment...lastSegment).contains(segment),
            geometry.start(of: segment) < durableEnd
        else { return nil }
        return SegmentCursor(try reader.scanner(of: segment, epochMax: epoch), end: durableEnd)
    }

    /// Gives the segments before this one back for reuse, as soon as everything appended up to now is durable: what
    /// stands in them counts no more, and nobody may read it.
    package func recycle(before segment: UInt64) {
        precondition(segment <= lastSegment, "recycling the segment that is being written")
        guard segment > firstSegment else { return }
        firstSegment = segment
        reader.forget(before: segment)
        writer.recycle(before: segment, after: end)
    }

    /// The largest record, its header of 32 bytes included, that a publish may add now so that the reserve stays whole.
    /// 0 while the file system is below its low-water mark. ``append(_:)`` itself goes on into the reserve, for
    /// settles.
    package var publishBytesFree: Int {
        pool.publishBytesFree(present: presentBytesFree)
    }

    /// How many bytes ``append(_:)`` still finds room for, the reserve and what lies below the low-water mark included.
    package var bytesFree: Int { pool.bytesFree(present: presentBytesFree) }

    private var presentBytesFree: Int { recordsEnd > end ? Int(recordsEnd - end) : 0 }

    /// The size of all segment files, the empty ones too.
    package var totalBytes: Int {
        (Int(lastSegment - firstSegment) + 1 + pool.readyCount) * geometry.segmentBytes
    }

    /// On the file system, when it was looked at last.
    package var freeBytes: Int { pool.freeBytes }

    package var statistics: LogStatistics {
        var statistics = writer.statistics
        statistics.sparesReady = pool.readyCount
        statistics.spareProblem = pool.problem
        return statistics
    }

    package var heartbeat: LogHeartbeat { writer.heartbeat }

    /// Waits until the wanted empty segments are ready, or there is no room for them.
    package func waitForSpares() { pool.waitUntilSettled() }

    /// Writes and syncs what was appended, marks the log as ended in order, ends the threads, and unlocks.
    /// - Throws: The ``failure`` that prevented it.
    package func close() throws(LogError) {
        guard isOpen else { return }
        flush()
        stop(.finish)
        if let failure { throw failure }
    }

    private func stop(_ ending: LogWriter.Ending) {
        guard isOpen else { return }
        isOpen = false
        writer.end(ending)
        pool.stop()
        for thread in threads { thread.join() }
        threads = []
        lock = nil
    }

    private func add(_ kind: RecordHeader.Kind, _ payload: [UInt8]) -> UInt64 {
        let position = end
        watermark = max(watermark, writer.durableEnd)
        let header = RecordHeader(
            kind: kind, payloadBytes: payload.count, epoch: epoch, position: position, watermark: watermark)
        header.encode(payload: payload, salt: salt, to: &gathering.bytes)
        end = gathering.end
        return position
    }

    /// Seals the present segment and begins the next one.
    private func roll() throws(LogError) {
        let spare = try pool.take()
        _ = add(.seal, [])
        closeBuffer()
        let segment = geometry.segment(endingAt: end) + 1
        end = geometry.start(of: segment)
        recordsEnd = geometry.recordsEnd(of: segment)
        gathering = LogBuffer(start: end, spare: spare)
    }

    private func closeBuffer() { closeBuffer(at: end) }

    private func closeBuffer(at end: UInt64) {
        guard !gathering.bytes.isEmpty else { return }
        let memory = cache.add(gathering, durableEnd: writer.durableEnd)
        closed.append(gathering)
        var next = LogBuffer(start: end, spare: nil)
        // Buffers of one load are alike; a good guess saves copying while the next one grows.
        let capacity = min(gathering.bytes.count, LogBuffer.byteCountMax)
        if var memory, (capacity...2 * capacity).contains(memory.capacity) {
            memory.removeAll(keepingCapacity: true)
            next.bytes = memory
        } else {
            next.bytes.reserveCapacity(capacity)
        }
        gathering = next
    }
}
