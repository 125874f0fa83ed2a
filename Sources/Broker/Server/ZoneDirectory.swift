import LinuxIO

/// The system's zone database.
enum ZoneDirectory {
    private static let path = "/usr/share/zoneinfo"

    /// The TZif file of a zone; nil when there is none, or when it cannot be read.
    /// - Parameter name: Leads nowhere out of the directory.
    static func read(_ name: String) -> [UInt8]? {
        guard let file = try? File(path: "\(path)/\(name)", .read), let size = try? file.size(),
            (1...ZoneRules.bytesMax).contains(size)
        else { return nil }
        return try? file.read(at: 0, count: size)
    }
}
