private import CSystemd
private import Glibc

/// The one door to libsystemd.
enum Systemd {
    /// Sends a state to the manager; does nothing without `NOTIFY_SOCKET`.
    static func notify(_ state: String) { _ = unsafe sd_notify(0, state) }

    /// How often the manager wants `WATCHDOG=1`, in microseconds; nil when it does not watch this process.
    static func watchdogMicroseconds() -> UInt64? {
        var microseconds: UInt64 = 0
        return unsafe sd_watchdog_enabled(0, &microseconds) > 0 ? microseconds : nil
    }

    /// Writes one entry to the journal; an entry that the journal cannot take is lost, as with any logger.
    /// - Parameter fields: `NAME=value` each; values may hold any bytes.
    static func sendToJournal(_ fields: [String]) {
        var bytes: [UInt8] = []
        var ranges: [Range<Int>] = []
        for field in fields {
            let start = bytes.count
            bytes += field.utf8
            ranges.append(start..<bytes.count)
        }
        unsafe bytes.withUnsafeMutableBytes { buffer in
            guard let base = buffer.baseAddress else { return }
            let vectors = unsafe ranges.map { range in
                unsafe iovec(iov_base: base + range.lowerBound, iov_len: range.count)
            }
            _ = unsafe sd_journal_sendv(vectors, Int32(vectors.count))
        }
    }

    /// The sockets that the manager opened for this process, close-on-exec, and forgets the variables that told so.
    static func inheritedDescriptors() throws(InheritedSockets.Failure) -> [(name: String, number: Int32)] {
        var names: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?
        let count = unsafe sd_listen_fds_with_names(1, &names)
        guard count >= 0 else { throw .unreadable(code: -count) }
        defer {
            if let list = unsafe names {
                for index in 0..<Int(count) { unsafe free(list[index]) }
                unsafe free(list)
            }
        }
        var result: [(String, Int32)] = []
        for index in 0..<count {
            let name = unsafe names?[Int(index)].map { unsafe String(cString: $0) }
            result.append((name ?? "unknown", SD_LISTEN_FDS_START + index))
        }
        return result
    }

    static func isStreamListener(_ number: Int32) -> Bool {
        sd_is_socket(number, AF_UNSPEC, Int32(SOCK_STREAM.rawValue), 1) > 0
    }
}
