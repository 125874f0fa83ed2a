/// The settings of a log. Sizes are bytes, times are milliseconds.
package struct LogOptions: Equatable, Sendable {
    /// The size of each segment file: a multiple of 4096, at least 16 KiB. It is fixed for the life of a log, because
    /// positions are made of it: opening a log with another value throws ``LogError/segmentBytesDiffer(made:wanted:)``.
    package var segmentBytes: Int
    /// The largest payload of a record; never more than fits into one segment.
    package var recordBytesMax: Int
    /// How many empty segments, really written and synced, are kept ready; more when ``reserveBytes`` needs more.
    package var sparesMin: Int
    /// Space that ``SegmentLog/publishBytesFree`` does not count, so that settles still find room on a full disk.
    package var reserveBytes: Int
    /// ``SegmentLog/publishBytesFree`` is 0 while the file system has less than this, until it has a quarter more.
    package var freeBytesMin: Int
    /// How much of the newest records is kept in memory for ``SegmentLog/read(_:)``.
    package var tailCacheBytes: Int
    /// An idle log writes its watermark to a superblock this long after its last sync.
    package var idleMilliseconds: Int64
    /// A busy log writes it at least this often. It limits what a disk that lies about syncs can lose unnoticed.
    package var watermarkMilliseconds: Int64
    /// How often the free space is looked at, and a spare that found no room is tried again.
    package var spaceMilliseconds: Int64

    package init(
        segmentBytes: Int = 64 << 20, recordBytesMax: Int = 16 << 20, sparesMin: Int = 2, reserveBytes: Int? = nil,
        freeBytesMin: Int = 256 << 20, tailCacheBytes: Int = 16 << 20, idleMilliseconds: Int64 = 100,
        watermarkMilliseconds: Int64 = 1000, spaceMilliseconds: Int64 = 1000
    ) {
        precondition(segmentBytes % 4096 == 0 && segmentBytes >= 16 << 10, "segmentBytes is \(segmentBytes)")
        precondition(recordBytesMax > 0 && sparesMin >= 0 && freeBytesMin >= 0 && tailCacheBytes >= 0)
        self.segmentBytes = segmentBytes
        self.recordBytesMax = recordBytesMax
        self.sparesMin = sparesMin
        self.reserveBytes = reserveBytes ?? segmentBytes
        self.freeBytesMin = freeBytesMin
        self.tailCacheBytes = tailCacheBytes
        self.idleMilliseconds = idleMilliseconds
        self.watermarkMilliseconds = watermarkMilliseconds
        self.spaceMilliseconds = spaceMilliseconds
    }
}
