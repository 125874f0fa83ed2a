import BrokerProtocol
import Foundation
import LinuxIO

/// Where brokerctl writes: results on standard output, everything else on standard error.
struct Console: Sendable {
    let style: Style

    static func standard() -> Console {
        let asks = { (name: String) in LinuxIO.Process.environment(name) ?? "" }
        let isColoured =
            LinuxIO.Process.isTerminal(1) && asks("NO_COLOR").isEmpty && asks("TERM") != "dumb"
        return Console(style: Style(isColoured: isColoured))
    }

    func print(_ text: String) { LinuxIO.Process.writeOutput(text.hasSuffix("\n") ? text : text + "\n") }

    func print(json value: some Encodable) throws { print(try JSON.text(value)) }

    func note(_ text: String) { LinuxIO.Process.writeError(text + "\n") }
}

/// Colours of a terminal; plain text elsewhere.
struct Style: Sendable {
    let isColoured: Bool
    static let plain = Style(isColoured: false)

    func bold(_ text: String) -> String { marked(text, 1) }
    func dim(_ text: String) -> String { marked(text, 2) }
    func red(_ text: String) -> String { marked(text, 31) }

    private func marked(_ text: String, _ code: Int) -> String {
        isColoured ? "\u{1B}[\(code)m\(text)\u{1B}[0m" : text
    }
}

/// The JSON of every answer: one line, keys sorted and in snake case.
enum JSON {
    static func text(_ value: some Encodable) throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        encoder.keyEncodingStrategy = .convertToSnakeCase
        return String(decoding: try encoder.encode(value), as: UTF8.self)
    }
}

extension WallTime {
    /// For instance `2026-03-01T12:00:00.250Z`.
    var text: String {
        Date(timeIntervalSince1970: Double(milliseconds) / 1000).formatted(
            Date.ISO8601FormatStyle(includingFractionalSeconds: true))
    }

    /// - Returns: Nil when the text is no time such as `2026-03-01T12:00:00Z`.
    init?(parsing text: String) {
        let styles = [true, false].map { Date.ISO8601FormatStyle(includingFractionalSeconds: $0) }
        guard let date = styles.lazy.compactMap({ try? Date(text, strategy: $0) }).first else { return nil }
        self.init(milliseconds: Int64((date.timeIntervalSince1970 * 1000).rounded()))
    }
}
