import Foundation
import LinuxIO
import SegmentLog
import Testing

@Suite("The log's lock")
struct LogLockTests {
    @Test("A log that is closed is free at once, whoever inherited its descriptors for a moment")
    func inheritedLock() throws {
        let directory = try TemporaryDirectory()
        let options = LogHarness.options()
        var harness: LogHarness? = try LogHarness(FileStorage(), options, directory: directory.path)
        // As in the child of a fork before its exec.
        let copy = try Self.copyOfDescriptor(of: directory.path + "/lock")
        try harness?.log.close()
        harness = nil
        _ = try LogHarness(FileStorage(), options, directory: directory.path)
        withExtendedLifetime(copy) {}
    }

    private static func copyOfDescriptor(of path: String) throws -> Descriptor.Box {
        for name in try Directory.names(in: "/proc/self/fd") {
            guard let number = Int32(name),
                (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/fd/\(name)")) == path
            else { continue }
            let borrowed = Descriptor(owning: number)
            let copy = try borrowed.duplicate()
            _ = borrowed.release()
            return Descriptor.Box(copy.release())
        }
        throw LogError.noRecord(position: 0)
    }
}
