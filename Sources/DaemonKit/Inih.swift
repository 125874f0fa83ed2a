private import CInih

/// The one door to inih, which splits the lines of a configuration.
enum Inih {
    /// What the library's stack buffer holds, without the line end.
    static let lineBytesMax = 197

    /// Feeds the lines to the library and gathers what it finds.
    private final class Reader {
        let file: String
        let lines: [Substring.UTF8View]
        var lineCount = 0
        /// inih cuts a section name at 49 bytes; topics may be longer, so the name is taken from the line itself.
        var section = ""
        var entries: [ConfigurationEntry] = []

        init(file: String, lines: [Substring.UTF8View]) {
            self.file = file
            self.lines = lines
        }

        /// The next line without leading space: to inih an indented line would go on with the value above it.
        func next() -> [UInt8]? {
            guard lineCount < lines.count else { return nil }
            let line = lines[lineCount].drop { $0 == 0x20 || $0 == 0x09 }
            lineCount += 1
            if line.first == UInt8(ascii: "["), let end = line.firstIndex(of: UInt8(ascii: "]")) {
                section = String(Substring(line[line.index(after: line.startIndex)..<end]))
            }
            return Array(line)
        }
    }

    static func parse(_ text: String, file: String) throws(ConfigurationError) -> [ConfigurationEntry] {
        let text = text.hasPrefix("\u{FEFF}") ? text.dropFirst() : text[...]
        let lines = text.utf8.split(separator: 0x0A, omittingEmptySubsequences: false)
        for (index, line) in lines.enumerated() {
            if line.count > lineBytesMax {
                throw ConfigurationError(
                    file: file, line: index + 1, text: "\(line.count) bytes long; a line has at most \(lineBytesMax)")
            }
            if line.contains(0) { throw ConfigurationError(file: file, line: index + 1, text: "contains a NUL byte") }
        }
        let reader = Reader(file: file, lines: lines)
        let badLine = withExtendedLifetime(reader) {
            let stream = unsafe Unmanaged.passUnretained(reader).toOpaque()
            return unsafe ini_parse_stream(giveLine, stream, takeEntry, stream)
        }
        if badLine != 0 {
            throw ConfigurationError(
                file: file, line: Int(badLine), text: "neither a [section], a key = value, nor a # comment")
        }
        return reader.entries
    }

    /// The library's `fgets`: copies one line with its end into the buffer.
    private static let giveLine: ini_reader = { buffer, capacity, stream in
        guard let buffer = unsafe buffer, let stream = unsafe stream else { return nil }
        let reader = unsafe Unmanaged<Reader>.fromOpaque(stream).takeUnretainedValue()
        guard let line = reader.next(), line.count + 2 <= capacity else { return nil }
        for (offset, byte) in line.enumerated() { unsafe buffer[offset] = CChar(bitPattern: byte) }
        unsafe buffer[line.count] = 0x0A
        unsafe buffer[line.count + 1] = 0
        return unsafe buffer
    }

    private static let takeEntry: ini_handler = { stream, _, key, value in
        guard let stream = unsafe stream, let key = unsafe key, let value = unsafe value else { return 0 }
        let reader = unsafe Unmanaged<Reader>.fromOpaque(stream).takeUnretainedValue()
        let entry = unsafe ConfigurationEntry(
            section: reader.section, key: String(cString: key), value: String(cString: value), file: reader.file,
            line: reader.lineCount)
        reader.entries.append(entry)
        return 1
    }
}
