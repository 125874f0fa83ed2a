import Glibc
import LinuxIO
import TestSupport
import Testing

/// A file system of a few megabytes, mounted as long as a test has it. Needs root.
final class SmallDisk {
    static let isPossible: Bool = {
        guard getuid() == 0, let directory = try? TemporaryDirectory() else { return false }
        return (try? SmallDisk(at: directory.path, mebibytes: 1)) != nil
    }()

    static let reason: Comment = "needs root and the right to mount a tmpfs"

    let path: String

    init(at path: String, mebibytes: Int) throws {
        self.path = path
        try Self.run(["mount", "-t", "tmpfs", "-o", "size=\(mebibytes)m", "tmpfs", path])
    }

    func grow(toMebibytes mebibytes: Int) throws {
        try Self.run(["mount", "-o", "remount,size=\(mebibytes)m", path])
    }

    private static func run(_ command: [String]) throws {
        let child = try ChildProcess(command)
        guard try child.waitUntilEnded() == .exited(0) else { throw Late("\(command): \(child.text)") }
    }

    deinit { try? Self.run(["umount", "-l", path]) }
}
