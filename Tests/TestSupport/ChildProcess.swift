import Glibc
import LinuxIO

/// A program that a test started, with what it writes on standard error. It is killed when the test forgets it.
package final class ChildProcess: Sendable {
    package enum Ending: Hashable, Sendable {
        case exited(Int32)
        case killed(by: Int32)
    }

    private struct State {
        var ending: Ending?
        var lines: [String] = []
        var isSilent = false
    }

    package let identifier: Int32
    private let state = Monitor(State())

    /// - Parameters:
    ///   - command: The program, found on PATH, and its arguments.
    ///   - environment: All of it, but for PATH.
    ///   - inherited: Become the descriptors 3, 4, … of the child.
    ///   - whenEnded: Called once, on another thread.
    package init(
        _ command: [String], environment: [String: String] = [:], inherited: [Int32] = [],
        whenEnded: @escaping @Sendable () -> Void = {}
    ) throws {
        let (ours, its) = try Socket.pair()
        let reading = Descriptor(owning: ours)
        let writing = Descriptor(owning: its)
        identifier = try Self.spawn(command, environment, inherited, standardError: writing.number, group: Self.group)
        watch(reading, whenEnded)
    }

    /// The process group of all children. Its leader kills it when this process has ended, however that came.
    private static let group: Int32 = {
        // What this process inherited itself, such as the lock of a build, must not live on in a child.
        let numbers = (try? Directory.names(in: "/proc/self/fd")) ?? []
        for number in numbers.compactMap({ Int32($0) }) where number > 2 { _ = fcntl(number, F_SETFD, FD_CLOEXEC) }
        guard let (_, its) = try? Socket.pair() else { return 0 }
        let leader = try? spawn(
            ["sh", "-c", "read line; kill -9 0"], [:], [], standardInput: its, standardError: 2, group: 0)
        close(its)
        return leader ?? 0  // Our end stays open.
    }()

    private static func spawn(
        _ command: [String], _ environment: [String: String], _ inherited: [Int32], standardInput: Int32? = nil,
        standardError: Int32, group: Int32
    ) throws -> Int32 {
        var actions = unsafe posix_spawn_file_actions_t()
        unsafe posix_spawn_file_actions_init(&actions)
        defer { unsafe posix_spawn_file_actions_destroy(&actions) }
        if let standardInput {
            unsafe posix_spawn_file_actions_adddup2(&actions, standardInput, 0)
        } else {
            unsafe posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        }
        unsafe posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0)
        unsafe posix_spawn_file_actions_adddup2(&actions, standardError, 2)
        // First out of the way of the numbers that they are to have.
        let high = inherited.map { fcntl($0, F_DUPFD_CLOEXEC, 100) }
        for (index, number) in high.enumerated() {
            unsafe posix_spawn_file_actions_adddup2(&actions, number, 3 + Int32(index))
        }
        defer { for number in high { close(number) } }
        var variables = environment
        variables["PATH"] = Process.environment("PATH") ?? "/usr/bin:/bin"
        // A crash report of a trap would hold the pipe open for long.
        variables["SWIFT_BACKTRACE"] = "enable=no"
        let arguments = unsafe command.map { unsafe strdup($0) } + [nil]
        let settings = unsafe variables.map { unsafe strdup("\($0)=\($1)") } + [nil]
        defer { unsafe (arguments + settings).forEach { unsafe free($0) } }
        var attributes = posix_spawnattr_t()
        unsafe posix_spawnattr_init(&attributes)
        defer { unsafe posix_spawnattr_destroy(&attributes) }
        // Threads of the pool block signals; a child would inherit that.
        var mask = sigset_t()
        unsafe sigemptyset(&mask)
        unsafe posix_spawnattr_setsigmask(&attributes, &mask)
        unsafe posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK))
        unsafe posix_spawnattr_setpgroup(&attributes, group)
        var identifier: pid_t = 0
        let code = unsafe posix_spawnp(&identifier, command[0], &actions, &attributes, arguments, settings)
        guard code == 0 else { throw SystemError(call: "spawn", subject: command[0], code: code) }
        return identifier
    }

    private func watch(_ output: consuming Descriptor, _ whenEnded: @escaping @Sendable () -> Void) {
        let state = state
        let identifier = identifier
        let number = output.release()
        _ = SystemThread(name: "child-output") {
            SystemThread.detachCurrent()
            let output = Descriptor(owning: number)
            var bytes: [UInt8] = []
            while let count = try? output.read(into: &bytes, capacity: 4096), count > 0 {
                while let end = bytes.firstIndex(of: 10) {
                    let line = String(decoding: bytes[..<end], as: UTF8.self)
                    bytes.removeSubrange(...end)
                    state.update { $0.lines.append(line) }
                }
            }
            state.update { state in
                if !bytes.isEmpty { state.lines.append(String(decoding: bytes, as: UTF8.self)) }
                state.isSilent = true
            }
        }
        _ = SystemThread(name: "child-end") {
            SystemThread.detachCurrent()
            var information = unsafe siginfo_t()
            while unsafe waitid(P_PID, id_t(identifier), &information, WEXITED | WNOWAIT) != 0 && errno == EINTR {}
            // Reaped only under the lock, so that ``send(_:)`` never hits another process of the same number.
            state.update { state in
                var status: Int32 = 0
                unsafe waitpid(identifier, &status, 0)
                let signal = status & 0x7F
                state.ending = signal == 0 ? .exited(status >> 8 & 0xFF) : .killed(by: signal)
            }
            whenEnded()
        }
    }

    deinit { send(SIGKILL) }

    package func send(_ signal: Int32) {
        state.with { state in
            if state.ending == nil { kill(identifier, signal) }
        }
    }

    /// Nil while it runs.
    package var ending: Ending? { state.with { $0.ending } }

    /// What it wrote until now.
    package var lines: [String] { state.with { $0.lines } }

    /// Blocks until it has ended, and all that it wrote was read.
    package func waitUntilEnded() throws -> Ending {
        let ending = state.wait(milliseconds: Late.milliseconds) { $0.isSilent ? $0.ending : nil }
        guard let ending else { throw Late("the end of process \(identifier); it wrote:\n\(text)") }
        return ending
    }

    /// Blocks until it has ended, or the time is over.
    package func waitUntilEnded(milliseconds: Int64) -> Ending? {
        state.wait(milliseconds: milliseconds) { $0.ending }
    }

    package func end() async throws -> Ending { try await blocking { try self.waitUntilEnded() } }

    /// Waits for a line that holds the text.
    @discardableResult
    package func line(with part: String) async throws -> String {
        try await blocking { [state] in
            let line = state.wait(milliseconds: Late.milliseconds) { state -> String?? in
                if let line = state.lines.first(where: { $0.contains(part) }) { return .some(line) }
                return state.isSilent ? .some(nil) : nil
            }
            guard let line, let line else { throw Late("a line with \(part); it wrote:\n\(self.text)") }
            return line
        }
    }

    /// Waits until lines to this number satisfy the condition; each line is asked once.
    package func lines(_ count: Int, _ what: String, where isWanted: @escaping @Sendable (String) -> Bool) async throws
    {
        try await blocking { [state] in
            var (seen, found) = (0, 0)
            let isThere = state.wait(milliseconds: Late.milliseconds) { state -> Bool? in
                found += state.lines[seen...].count(where: isWanted)
                seen = state.lines.count
                return found >= count ? true : state.isSilent ? false : nil
            }
            guard isThere == true else { throw Late("\(count) lines: \(what); it wrote \(found), and:\n\(self.text)") }
        }
    }

    package var text: String { lines.joined(separator: "\n") }

    /// Memory of the process that is not swapped out, in KiB.
    package func residentKilobytes() throws -> Int {
        let text = try Self.readAll("/proc/\(identifier)/status")
        let line = text.split(separator: "\n").first { $0.hasPrefix("VmRSS:") }
        return line?.split(separator: " ").compactMap { Int($0) }.first ?? 0
    }

    private static func readAll(_ path: String) throws -> String {
        let file = try File(path: path, .read)
        return String(decoding: try file.read(at: 0, count: 64 << 10), as: UTF8.self)
    }
}
