package import LinuxIO

/// Why the log cannot do what was asked. The text says what happened, where, and what to do.
package enum LogError: Error, Equatable, CustomStringConvertible {
    /// Bytes that were durable are not what was written. Nothing was changed.
    case damaged(file: String, offset: Int, reason: String)
    /// The file belongs to another log.
    case foreign(file: String)
    /// Segment files between the first and the last one, or at an end, are not there.
    case missingSegments(directory: String, first: UInt64, last: UInt64)
    /// Written by a version of this program that this one does not know.
    case versionUnknown(file: String, version: UInt32)
    /// The log has another segment size than the setting.
    case segmentBytesDiffer(made: Int, wanted: Int)
    /// Another process has the log open.
    case locked(directory: String)
    /// No room for the record; nothing of it was taken.
    case full(freeBytes: Int)
    case recordTooLarge(bytes: Int, limit: Int)
    /// The position names no record of this log: never given out, or its segment was recycled.
    case noRecord(position: UInt64)
    /// The directory for a new log has one already.
    case notEmpty(directory: String)
    /// The log was closed.
    case closed
    case system(SystemError)

    package var description: String {
        switch self {
        case .damaged(let file, let offset, let reason):
            """
            the log is damaged in \(file) at offset \(offset): \(reason); nothing was changed. \
            Run `brokerctl log verify \(Self.directory(of: file))` to see what is lost, \
            and `brokerctl log salvage` to copy what is good
            """
        case .foreign(let file):
            "\(file) belongs to another log; move it away, or restore the whole directory from one backup"
        case .missingSegments(let directory, let first, let last):
            """
            the log in \(directory) has lost the segments \(first) to \(last); nothing was changed. \
            Restore the files, or run `brokerctl log verify \(directory)` and `brokerctl log salvage`
            """
        case .versionUnknown(let file, let version):
            "\(file) has the log format \(version), which this version does not know; start the version that wrote it"
        case .segmentBytesDiffer(let made, let wanted):
            "the log was made with segments of \(made) bytes, the setting says \(wanted); set it to \(made)"
        case .locked(let directory):
            "the log in \(directory) is in use by another process; stop that one, or choose another directory"
        case .full(let freeBytes):
            "no room for another log segment, \(freeBytes) bytes are free; make space on the file system"
        case .recordTooLarge(let bytes, let limit):
            "the record has \(bytes) bytes, the limit is \(limit); make it smaller"
        case .noRecord(let position):
            "the log has no record at position \(position)"
        case .notEmpty(let directory):
            "the directory \(directory) holds a log already; choose an empty one"
        case .closed: "the log is closed"
        case .system(let error): "the log failed: \(error)"
        }
    }

    private static func directory(of file: String) -> Substring {
        file.lastIndex(of: "/").map { file[..<$0] } ?? "."
    }
}
