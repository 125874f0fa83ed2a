package import BrokerProtocol
package import LinuxIO

/// Delivers into a Maildir, by its rules (Daniel J. Bernstein, "Using maildir format"): the file is written and synced
/// in `tmp`, then linked into `new`. Lines end in LF there, as the mail servers that made the format write them.
package struct MaildirTransport: MailTransport {
    /// The rules let a file in `tmp` that is older be removed: its delivery is dead.
    private static let staleMilliseconds: Int64 = 36 * 3_600_000

    private let path: String
    private let host: String
    private let process: Int32
    private let random: @Sendable () -> UInt64

    /// Makes the three directories when they are missing, and removes what dead deliveries left in `tmp`.
    /// - Parameters:
    ///   - host: Part of every name; the machine's.
    ///   - random: Keeps names apart when containers share host name and process numbers.
    package init(
        path: String, host: String, process: Int32, now: WallTime, random: @escaping @Sendable () -> UInt64
    ) throws(SystemError) {
        self.path = path
        self.host = String(
            host.flatMap { character -> String in
                switch character {
                case "/": "\\057"
                case ":": "\\072"
                default: String(character)
                }
            })
        self.process = process
        self.random = random
        for part in ["tmp", "new", "cur"] { try Directory.create("\(path)/\(part)") }
        try Directory.sync(path)
        try removeStale(now: now)
    }

    private func removeStale(now: WallTime) throws(SystemError) {
        for name in try Directory.names(in: "\(path)/tmp") {
            guard let seconds = Int64(name.prefix { $0 != "." }),
                now.milliseconds / 1000 - seconds > Self.staleMilliseconds / 1000
            else { continue }
            do throws(SystemError) {
                try Directory.remove("\(path)/tmp/\(name)")
            } catch {
                // Another process that starts now was faster.
                if !error.isNotFound { throw error }
            }
        }
    }

    /// `seconds.M<microseconds>P<process>R<random>.<host>`
    package func newName(at now: WallTime) -> String {
        let microseconds = now.milliseconds % 1000 * 1000
        return "\(now.milliseconds / 1000).M\(microseconds)P\(process)R\(String(random(), radix: 16)).\(host)"
    }

    package func deliver(_ message: [UInt8], as name: String, now: WallTime, isFirstTry: Bool) throws {
        if try isFirstTry || !isDelivered(name) {
            let staged = "\(path)/tmp/\(newName(at: now))"
            let file = try File(path: staged, .create)
            do {
                try file.write(Self.withUnixLineEnds(message), at: 0)
                try file.sync()
                // A name that is taken is an earlier try's: the mail is there.
                _ = try Directory.link(staged, to: "\(path)/new/\(name)")
            } catch {
                try? Directory.remove(staged)
                throw error
            }
            try Directory.remove(staged)
        }
        try Directory.sync("\(path)/new")
    }

    /// A reader moves the file from `new` to `cur` and adds `:2,` and flags to its name.
    private func isDelivered(_ name: String) throws(SystemError) -> Bool {
        if Directory.exists("\(path)/new/\(name)") { return true }
        return try Directory.names(in: "\(path)/cur").contains { $0 == name || $0.hasPrefix(name + ":") }
    }

    private static func withUnixLineEnds(_ message: [UInt8]) -> [UInt8] {
        var output: [UInt8] = []
        output.reserveCapacity(message.count)
        for byte in message {
            if byte == 0x0A && output.last == 0x0D { output.removeLast() }
            output.append(byte)
        }
        return output
    }
}
