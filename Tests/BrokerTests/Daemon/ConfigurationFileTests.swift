import DaemonKit
import LinuxIO
import Testing

@Suite("Configuration files")
struct ConfigurationFileTests {
    private func entries(_ text: String) throws -> [ConfigurationEntry] {
        try ConfigurationFile(parsing: text, file: "x.conf").entries
    }

    private func failure(_ text: String) -> ConfigurationError? {
        do throws(ConfigurationError) {
            _ = try ConfigurationFile(parsing: text, file: "x.conf")
            return nil
        } catch {
            return error
        }
    }

    @Test("Sections, keys, values and lines are read; space and comments are not")
    func good() throws {
        let text = """
            # a comment
            early = 1

            [broker]
            listen = tcp://127.0.0.1:7470
              listen=unix:///run/brokerd.sock  \r
            empty =
            ; another comment
            [topic order.created]
            \tlease = 30s ; half a minute
            """
        func entry(_ section: String, _ key: String, _ value: String, _ line: Int) -> ConfigurationEntry {
            ConfigurationEntry(section: section, key: key, value: value, file: "x.conf", line: line)
        }
        #expect(
            try entries(text) == [
                entry("", "early", "1", 2), entry("broker", "listen", "tcp://127.0.0.1:7470", 5),
                entry("broker", "listen", "unix:///run/brokerd.sock", 6), entry("broker", "empty", "", 7),
                entry("topic order.created", "lease", "30s", 10),
            ])
    }

    @Test("An indented line is a line of its own, not more of the value above")
    func indented() throws {
        #expect(try entries("[a]\nx = 1\n  y = 2\n").map(\.key) == ["x", "y"])
    }

    @Test("A section for the longest topic keeps its whole name")
    func longSection() throws {
        let name = "topic " + String(repeating: "ö", count: 90)
        #expect(try entries("[\(name)]\nlease = 1s").first?.section == name)
    }

    @Test("A byte order mark is no part of the first section")
    func byteOrderMark() throws { #expect(try entries("\u{FEFF}[a]\nx = 1").first?.section == "a") }

    @Test(
        "A line that is nothing is refused with its number",
        arguments: [
            ("[broker]\nlisten\n", 2), ("[broker\nx = 1\n", 1), ("\n\njust words\n[a]\n", 3),
            ("a = 1\nb\u{0} = 2\n", 2),
            ("a = 1\n\n" + String(repeating: "x", count: 198), 3),
        ])
    func badLines(text: String, line: Int) {
        let error = failure(text)
        #expect(error?.file == "x.conf")
        #expect(error?.line == line)
    }

    @Test("The longest line is read whole, one byte more is refused")
    func longestLine() throws {
        let value = String(repeating: "v", count: 197 - 4)
        #expect(try entries("k = \(value)").first?.value == value)
        #expect(try entries("k = \(value)\nl = 1").map(\.line) == [1, 2])
        #expect(failure("k = \(value)v")?.line == 1)
    }

    @Test("Errors say where, what and what would be right")
    func errors() throws {
        let entry = try #require(try entries("[broker]\n\nlsten = 10\n").first)
        #expect(
            entry.unknownKey(known: ["listen", "body_max"]).description
                == "x.conf:3: unknown key lsten in [broker]; known keys: body_max, listen")
        #expect(
            entry.unknownSection(known: ["broker", "topic NAME"]).description
                == "x.conf:3: unknown section [broker]; known sections: [broker], [topic NAME]")
        #expect(try entry.number(in: 1...10) == 10)
        #expect(
            throws: ConfigurationError(
                file: "x.conf", line: 3, text: "lsten = 10: expected a whole number from 1 to 9")
        ) { try entry.number(in: 1...9) }
        #expect(throws: ConfigurationError.self) { try entry.number(in: UInt8(0)...9) }
        #expect(try entry.read("anything", { $0 + "!" }) == "10!")
    }

    @Test("Drop-ins follow the file in the order of their names; other files are not read")
    func dropIns() throws {
        let directory = try TemporaryDirectory()
        let path = directory.path + "/brokerd.conf"
        try directory.write("brokerd.conf", "[broker]\nlisten = a\n")
        try directory.write("brokerd.conf.d/20-b.conf", "[broker]\nlisten = c\n")
        try directory.write("brokerd.conf.d/10-a.conf", "[broker]\nlisten = b\n")
        try directory.write("brokerd.conf.d/30-c.conf.off", "not read\n")
        try directory.write("brokerd.conf.d/.hidden.conf", "not read\n")
        let entries = try ConfigurationFile(path: path, isRequired: true).entries
        #expect(entries.map(\.value) == ["a", "b", "c"])
        #expect(entries.last?.file == path + ".d/20-b.conf")
    }

    @Test("A default file may be missing, a named one may not; drop-ins count in both cases")
    func missing() throws {
        let directory = try TemporaryDirectory()
        let path = directory.path + "/brokerd.conf"
        #expect(try ConfigurationFile(path: path, isRequired: false).entries.isEmpty)
        try directory.write("brokerd.conf.d/a.conf", "x = 1\n")
        #expect(try ConfigurationFile(path: path, isRequired: false).entries.count == 1)
        #expect(throws: ConfigurationError.self) { try ConfigurationFile(path: path, isRequired: true) }
    }

    @Test("A file that is no text, too large or a directory is refused by name")
    func unreadable() throws {
        let directory = try TemporaryDirectory()
        try directory.write("binary.conf", bytes: [0x78, 0xFF, 0xFE])
        try directory.write("large.conf", bytes: Array(repeating: 0x0A, count: ConfigurationFile.bytesMax + 1))
        for name in ["binary.conf", "large.conf", ""] {
            let path = directory.path + "/" + name
            do throws(ConfigurationError) {
                _ = try ConfigurationFile(path: path, isRequired: true)
                Issue.record("\(name) was read")
            } catch {
                #expect(error.file == path)
                #expect(error.line == nil)
            }
        }
    }
}
