package import LinuxIO

/// The file system as the log uses it. All calls block; all are safe from any thread.
package protocol LogStorage: Sendable {
    /// Makes the directory and the missing ones above it.
    func makeDirectory(_ path: String) throws(SystemError)
    /// The names in the directory, sorted.
    func names(in directory: String) throws(SystemError) -> [String]
    func open(_ path: String, _ access: File.Access) throws(SystemError) -> any LogFile
    /// Replaces `new` if it exists. It survives a power cut only after ``syncDirectory(_:)``.
    func rename(_ old: String, to new: String) throws(SystemError)
    func remove(_ path: String) throws(SystemError)
    func syncDirectory(_ path: String) throws(SystemError)
    /// Free bytes on the file system of the directory.
    func freeBytes(_ directory: String) throws(SystemError) -> Int
}

/// One open file, closed with its last reference.
package protocol LogFile: AnyObject, Sendable {
    func size() throws(SystemError) -> Int
    /// Fewer than `count` only at the end of the file.
    func read(at offset: Int, count: Int) throws(SystemError) -> [UInt8]
    /// On an error any part of the bytes may be in the file.
    func write(_ bytes: [UInt8], at offset: Int) throws(SystemError)
    /// Reserves room for the first `count` bytes; throws, with the file as it was, when the disk is full.
    func allocate(count: Int) throws(SystemError)
    /// Makes bytes and size safe from a power cut. After an error nothing written since the last call can be trusted.
    func syncData() throws(SystemError)
    /// - Returns: False when another open file has the lock.
    func lockExclusively() throws(SystemError) -> Bool
}
