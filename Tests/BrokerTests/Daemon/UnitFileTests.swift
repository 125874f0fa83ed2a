import DaemonKit
import Foundation
import Testing

@Suite("Unit files")
struct UnitFileTests {
    private func uncommented(_ path: String) throws -> ConfigurationFile {
        let lines = try Repository.text(path).split(separator: "\n", omittingEmptySubsequences: false)
        let text = lines.map { line in line.hasPrefix("#") && !line.hasPrefix("# ") ? line.dropFirst() : line }
        return try ConfigurationFile(parsing: text.joined(separator: "\n"), file: path)
    }

    @Test("The shipped configuration changes nothing: every key is commented", arguments: ["brokerd", "workerd"])
    func commented(name: String) throws {
        let path = "units/\(name).conf"
        #expect(try ConfigurationFile(parsing: Repository.text(path), file: path).entries.isEmpty)
        #expect(try !uncommented(path).entries.isEmpty)
    }

    @Test(
        "Every key and default of the shipped configuration stands in the man page", arguments: ["brokerd", "workerd"])
    func documented(name: String) throws {
        let page = try Repository.text("man/\(name).conf.5").replacing("\\-", with: "-")
        for entry in try uncommented("units/\(name).conf").entries where !entry.section.contains(" ") {
            let line = entry.value.isEmpty ? ".B \(entry.key)" : ".BR \(entry.key) \" = \(entry.value)\""
            #expect(page.contains(line), "\(entry.key) is missing in \(name).conf(5)")
        }
    }

    @Test("Both services have the same sandbox, and no line ends in a comment")
    func sandbox() throws {
        func lines(_ path: String) throws -> [Substring] { try Repository.text(path).split(separator: "\n") }
        let broker = try lines("units/brokerd.service")
        let worker = try lines("units/workerd@.service")
        func sandbox(_ lines: [Substring]) -> ArraySlice<Substring> {
            lines.drop { $0 != "UMask=0077" }.prefix { !$0.hasPrefix("SystemCallErrorNumber=") }
        }
        #expect(sandbox(broker).count > 25)
        #expect(Array(sandbox(broker)) == Array(sandbox(worker)))
        for line in broker + worker where !line.hasPrefix("#") { #expect(!line.contains(" #"), "\(line)") }
        // It would show every client as nobody.
        #expect(!broker.contains("PrivateUsers=yes"))
    }
}
