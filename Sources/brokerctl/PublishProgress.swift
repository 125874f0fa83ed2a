import LinuxIO

/// How far a publish is, on one line of a terminal's standard error; silent elsewhere.
struct PublishProgress {
    private static let intervalMicroseconds: Int64 = 100_000

    let bytesTotal: Int?
    private let isShown = Process.isTerminal(2)
    private var shownAt: Int64?

    init(bytesTotal: Int?) { self.bytesTotal = bytesTotal }

    /// - Parameter now: Microseconds since the start.
    mutating func show(_ report: PublishReport, bytesRead: Int, now: Int64) {
        guard isShown, now - (shownAt ?? -Self.intervalMicroseconds) >= Self.intervalMicroseconds else { return }
        shownAt = now
        let fraction = bytesTotal.map { Double(bytesRead) / Double(max($0, 1)) }
        let line = Self.line(
            published: report.published, fraction: fraction, microseconds: now, columns: Process.terminalColumns)
        Process.writeError("\r\(line)\u{1B}[K")
    }

    /// Takes the line away.
    func end() { if shownAt != nil { Process.writeError("\r\u{1B}[K") } }

    static func line(published: Int, fraction: Double?, microseconds: Int64, columns: Int) -> String {
        let rate = Int64(published) * 1_000_000 / max(microseconds, 1)
        let text = "published \(published) (\(rate)/s)"
        let room = min(columns - text.count - 9, 40)
        guard let fraction, room >= 10 else { return text }
        let share = min(max(fraction, 0), 1)
        let filled = Int(share * Double(room))
        let bar = String(repeating: "#", count: filled) + String(repeating: ".", count: room - filled)
        let percent = "\(Int(share * 100))"
        return "[\(bar)] " + String(repeating: " ", count: 3 - percent.count) + "\(percent)% " + text
    }
}
