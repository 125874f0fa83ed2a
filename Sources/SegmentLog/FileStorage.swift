package import LinuxIO
import Synchronization

/// The real file system.
package struct FileStorage: LogStorage {
    package init() {}

    package func makeDirectory(_ path: String) throws(SystemError) { try Directory.create(path) }

    package func names(in directory: String) throws(SystemError) -> [String] { try Directory.names(in: directory) }

    package func open(_ path: String, _ access: File.Access) throws(SystemError) -> any LogFile {
        OpenFile(try File(path: path, access))
    }

    package func rename(_ old: String, to new: String) throws(SystemError) { try Directory.rename(old, to: new) }

    package func remove(_ path: String) throws(SystemError) { try Directory.remove(path) }

    package func syncDirectory(_ path: String) throws(SystemError) { try Directory.sync(path) }

    package func freeBytes(_ directory: String) throws(SystemError) -> Int { try Directory.freeBytes(directory) }
}

private final class OpenFile: LogFile {
    private let file: File
    private let isLocked = Atomic(false)

    init(_ file: consuming File) { self.file = file }

    /// The close alone would leave the lock with a child process that some thread starts at this moment.
    deinit { if isLocked.load(ordering: .relaxed) { file.unlock() } }

    func size() throws(SystemError) -> Int { try file.size() }
    func read(at offset: Int, count: Int) throws(SystemError) -> [UInt8] { try file.read(at: offset, count: count) }
    func write(_ bytes: [UInt8], at offset: Int) throws(SystemError) { try file.write(bytes, at: offset) }
    func allocate(count: Int) throws(SystemError) { try file.allocate(count: count) }
    func syncData() throws(SystemError) { try file.syncData() }

    func lockExclusively() throws(SystemError) -> Bool {
        let isTaken = try file.lockExclusively()
        if isTaken { isLocked.store(true, ordering: .relaxed) }
        return isTaken
    }
}
