private import LinuxIO

/// One `key = value` line and where it stands.
package struct ConfigurationEntry: Equatable, Sendable {
    /// The text between the brackets above the line; empty before the first section.
    package let section: String
    package let key: String
    /// Without surrounding space; may be empty.
    package let value: String
    package let file: String
    package let line: Int

    package init(section: String, key: String, value: String, file: String, line: Int) {
        self.section = section
        self.key = key
        self.value = value
        self.file = file
        self.line = line
    }

    /// An error that points at this line.
    package func error(_ text: String) -> ConfigurationError {
        ConfigurationError(file: file, line: line, text: text)
    }

    package func unknownKey(known: some Sequence<String>) -> ConfigurationError {
        error("unknown key \(key) in \(place); known keys: \(known.sorted().joined(separator: ", "))")
    }

    package func unknownSection(known: some Sequence<String>) -> ConfigurationError {
        let names = known.map { "[\($0)]" }.joined(separator: ", ")
        return error("unknown section \(place); known sections: \(names)")
    }

    /// Reads the value, for instance `try entry.read("a time span such as 30s", SettingText.milliseconds)`.
    /// - Parameter expected: Completes the sentence "expected …".
    package func read<Value>(
        _ expected: String, _ parse: (String) -> Value?
    ) throws(ConfigurationError) -> Value {
        guard let value = parse(value) else { throw error("\(key) = \(self.value): expected \(expected)") }
        return value
    }

    /// Reads a whole number inside the range.
    package func number<Number: FixedWidthInteger & Sendable>(
        in range: ClosedRange<Number>
    ) throws(ConfigurationError) -> Number {
        try read("a whole number from \(range.lowerBound) to \(range.upperBound)") { text in
            Number(text).flatMap { range.contains($0) ? $0 : nil }
        }
    }

    private var place: String { section.isEmpty ? "the part before the first section" : "[\(section)]" }
}

/// A configuration the systemd way: a file, then the drop-ins `FILE.d/*.conf` in the order of their names.
/// Readers take the entries in order, so that a later line wins and a repeatable key repeats.
package struct ConfigurationFile: Equatable, Sendable {
    package let entries: [ConfigurationEntry]

    /// The largest file that is read; more is surely not a configuration.
    package static let bytesMax = 1 << 20

    /// - Parameter isRequired: True for a path that the user named: it must exist. A default path may be missing; its
    ///   drop-ins count all the same.
    package init(path: String, isRequired: Bool) throws(ConfigurationError) {
        var entries = try Self.read(path, isRequired: isRequired)
        let directory = path + ".d"
        if Directory.exists(directory) {
            for name in try Self.names(in: directory) where name.hasSuffix(".conf") && !name.hasPrefix(".") {
                entries += try Self.read("\(directory)/\(name)", isRequired: true)
            }
        }
        self.entries = entries
    }

    /// Reads one text as if it stood in `file`.
    package init(parsing text: String, file: String) throws(ConfigurationError) {
        entries = try Inih.parse(text, file: file)
    }

    private static func names(in directory: String) throws(ConfigurationError) -> [String] {
        do throws(SystemError) {
            return try Directory.names(in: directory)
        } catch {
            throw ConfigurationError(file: directory, line: nil, text: error.description)
        }
    }

    private static func read(_ path: String, isRequired: Bool) throws(ConfigurationError) -> [ConfigurationEntry] {
        let bytes: [UInt8]
        do throws(SystemError) {
            let file = try File(path: path, .read)
            bytes = try file.read(at: 0, count: bytesMax + 1)
        } catch {
            if error.isNotFound && !isRequired { return [] }
            throw ConfigurationError(file: path, line: nil, text: "cannot be read: \(error)")
        }
        guard bytes.count <= bytesMax else {
            throw ConfigurationError(file: path, line: nil, text: "larger than \(bytesMax) bytes")
        }
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw ConfigurationError(file: path, line: nil, text: "not UTF-8 text")
        }
        return try Inih.parse(text, file: path)
    }
}
