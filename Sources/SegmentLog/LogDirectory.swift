import LinuxIO

/// Runs file operations for callers that speak ``LogError``.
func system<Result>(_ body: () throws(SystemError) -> Result) throws(LogError) -> Result {
    do throws(SystemError) { return try body() } catch { throw .system(error) }
}

/// The files of one log: their names, and the steps that make and rename them.
struct LogDirectory: Sendable {
    /// What is there by name; files of other names are nobody's business here.
    struct Listing: Equatable {
        var segments: [UInt64] = []
        var spares: [UInt64] = []
        /// Files that a crash left half made.
        var leftovers: [String] = []
    }

    static let lockName = "lock"
    static let superblockNames = ["superblock-a", "superblock-b"]
    private static let segmentPrefix = "segment-"
    private static let sparePrefix = "spare-"
    private static let leftoverSuffix = ".new"
    private static let fillBytes = 1 << 20
    /// Filling a spare syncs this often, so that the log's own syncs never wait for a whole segment of zeros.
    private static let fillSyncBytes = 4 << 20

    let path: String
    let storage: any LogStorage

    init(_ path: String, storage: any LogStorage) {
        self.path = path.count > 1 && path.hasSuffix("/") ? String(path.dropLast()) : path
        self.storage = storage
    }

    var parent: String {
        guard let slash = path.lastIndex(of: "/") else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }

    func file(_ name: String) -> String { "\(path)/\(name)" }

    func segmentFile(_ segment: UInt64) -> String { file(Self.name(Self.segmentPrefix, segment)) }

    func spareFile(_ spare: UInt64) -> String { file(Self.name(Self.sparePrefix, spare)) }

    private static func name(_ prefix: String, _ number: UInt64) -> String {
        let digits = String(number)
        return prefix + String(repeating: "0", count: max(0, 12 - digits.count)) + digits
    }

    func listing() throws(LogError) -> Listing {
        var listing = Listing()
        for name in try system({ () throws(SystemError) in try storage.names(in: path) }) {
            if Self.isLeftover(name) {
                listing.leftovers.append(name)
            } else if let number = Self.number(name, Self.segmentPrefix) {
                listing.segments.append(number)
            } else if let number = Self.number(name, Self.sparePrefix) {
                listing.spares.append(number)
            }
        }
        listing.segments.sort()
        listing.spares.sort()
        return listing
    }

    private static func isLeftover(_ name: String) -> Bool {
        guard name.hasSuffix(leftoverSuffix) else { return false }
        let base = String(name.dropLast(leftoverSuffix.count))
        return superblockNames.contains(base) || number(base, sparePrefix) != nil
    }

    private static func number(_ name: String, _ prefix: String) -> UInt64? {
        guard name.hasPrefix(prefix), let number = UInt64(name.dropFirst(prefix.count)),
            Self.name(prefix, number) == name, number < 1 << 56
        else { return nil }
        return number
    }

    /// Makes a file with this content under a name, durably; a file that had the name is replaced.
    func replace(_ name: String, with bytes: [UInt8]) throws(SystemError) -> any LogFile {
        let temporary = file(name + Self.leftoverSuffix)
        if try storage.names(in: path).contains(name + Self.leftoverSuffix) { try storage.remove(temporary) }
        let opened = try storage.open(temporary, .create)
        try opened.write(bytes, at: 0)
        try opened.syncData()
        try storage.rename(temporary, to: file(name))
        try storage.syncDirectory(path)
        return opened
    }

    /// Makes an empty segment of really written zeros under a spare's name. On an error nothing of it stays.
    /// - Parameter isCancelled: Asked between steps.
    /// - Returns: False when it was cancelled.
    func makeSpare(_ spare: UInt64, bytes: Int, isCancelled: () -> Bool) throws(SystemError) -> Bool {
        let temporary = spareFile(spare) + Self.leftoverSuffix
        do throws(SystemError) {
            let opened = try storage.open(temporary, .create)
            try opened.allocate(count: bytes)
            let zeros = [UInt8](repeating: 0, count: min(bytes, Self.fillBytes))
            var done = 0
            while done < bytes {
                if isCancelled() {
                    try storage.remove(temporary)
                    return false
                }
                let count = min(zeros.count, bytes - done)
                try opened.write(count == zeros.count ? zeros : Array(zeros[..<count]), at: done)
                done += count
                if done % Self.fillSyncBytes == 0 || done == bytes { try opened.syncData() }
            }
            try storage.rename(temporary, to: spareFile(spare))
            return true
        } catch {
            try? storage.remove(temporary)
            throw error
        }
    }

    /// Turns a spare into a segment, durably.
    func install(
        spare: UInt64, as header: SegmentHeader
    ) throws(SystemError) -> any LogFile {
        let opened = try storage.open(spareFile(spare), .readWrite)
        try opened.write(header.encoded(), at: 0)
        try opened.syncData()
        try storage.rename(spareFile(spare), to: segmentFile(header.segment))
        try storage.syncDirectory(path)
        return opened
    }

    /// Turns a segment that no superblock counts any more into a spare. What it held stays in it, harmless: each record
    /// names its position.
    func retire(segment: UInt64, as spare: UInt64) throws(SystemError) {
        try storage.rename(segmentFile(segment), to: spareFile(spare))
    }
}
