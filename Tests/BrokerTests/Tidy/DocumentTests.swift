import Foundation
import Testing

/// The documents say what the code says, and nothing about the machine that they were written on.
@Suite("Documents") struct DocumentTests {
    @Test("Every directory of Sources stands on the map") func map() throws {
        let map = try Repository.text("ARCHITECTURE.md")
        let directories = Set(
            try SourceFile.all(["Sources"], endings: [".swift", ".c", ".modulemap"]).map { file in
                file.path.split(separator: "/").dropFirst().dropLast().joined(separator: "/")
            })
        #expect(directories.count > 15)
        for directory in directories.sorted() {
            let parts = directory.split(separator: "/")
            #expect(map.contains(try Regex("\\b\(parts[0])\\b")), "\(directory) is missing in ARCHITECTURE.md")
            if parts.count > 1 {
                let isThere = map.contains("`\(directory)`") || map.contains(" \(parts[1])/")
                #expect(isThere, "\(directory) is missing in ARCHITECTURE.md")
            }
        }
    }

    @Test("Every file that the map names exists") func namedFiles() throws {
        let map = try Repository.text("ARCHITECTURE.md")
        let paths = try SourceFile.sources.get().map(\.path)
        let names = map.matches(of: #/`([\w\/+]+\.swift)`/#).map { String($0.1) }
        #expect(names.count > 10)
        for name in names where name != "Package.swift" {
            #expect(paths.contains { $0.hasSuffix("/" + name) }, "\(name) stands in ARCHITECTURE.md")
        }
        // A row of the table names a room and where to start in it.
        for row in map.matches(of: #/(?m)^\| `([\w\/]+)` \|.*\| (.*) \|$/#) {
            let names = row.2.matches(of: #/`([\w+]+\.swift)`/#).map { String($0.1) }
            #expect(!names.isEmpty, "\(row.1)")
            for name in names { #expect(paths.contains("Sources/\(row.1)/\(name)"), "\(row.1): \(name)") }
        }
    }

    @Test("Every target of the package stands on the map") func targets() throws {
        let map = try Repository.text("ARCHITECTURE.md")
        let package = try Repository.text("Package.swift")
        let pattern = #/(?m)^ +(?:room|executable|\.target|\.systemLibrary)\((?:name: )?"(\w+)"/#
        let names = package.matches(of: pattern).map { String($0.1) }
        #expect(names.count > 12)
        for name in names where !["TestSupport", "brokerbench"].contains(name) {
            #expect(map.contains(try Regex("\\b\(name)\\b")), "\(name)")
        }
    }

    /// Where the settings are read, and where each key must stand.
    struct Reader: CustomTestStringConvertible {
        let source: String
        let page: String
        let manual: String
        let sample: String
        var testDescription: String { source }

        static let all = [
            Reader(
                source: "Sources/workerd/WorkerConfiguration.swift", page: "docs/WORKERS.md",
                manual: "man/workerd.conf.5", sample: "units/workerd.conf"),
            Reader(
                source: "Sources/Broker/Server/ConfigurationReader.swift", page: "docs/OPERATIONS.md",
                manual: "man/brokerd.conf.5", sample: "units/brokerd.conf"),
            Reader(
                source: "Sources/BrokerProtocol/SettingText.swift", page: "docs/OPERATIONS.md",
                manual: "man/brokerd.conf.5", sample: "units/brokerd.conf"),
        ]
    }

    @Test("Every setting stands in the documents, the manual and the sample", arguments: Reader.all)
    func settings(reader: Reader) throws {
        let code = try SourceFile(reader.source).code.map(\.text).joined(separator: "\n")
        let keys = Set(code.matches(of: #/case "([a-z_]+)":/#).map { String($0.1) })
        #expect(keys.count >= 8)
        let page = try Repository.text(reader.page)
        let manual = try Repository.text(reader.manual)
        let sample = try Repository.text(reader.sample)
        for key in keys.sorted() {
            #expect(page.contains("`\(key)`") || page.contains("`[\(key)]`"), "\(key) is missing in \(reader.page)")
            let isInManual = manual.contains(try Regex("(?m)^\\.BR? \(key)( |$)")) || manual.contains("[\(key)]")
            #expect(isInManual, "\(key) is missing in \(reader.manual)")
            let isInSample = sample.contains(try Regex("(?m)^#?\(key) =")) || sample.contains("[\(key)]")
            #expect(isInSample, "\(key) is missing in \(reader.sample)")
        }
    }

    @Test("Every option of the programs stands in their manuals", arguments: ["brokerd", "workerd"])
    func options(program: String) throws {
        let manual = try Repository.text("man/\(program).8").replacing("\\-", with: "-")
        let code = try Repository.text("Sources/\(program)/main.swift")
        let options = code.matches(of: #/\.init\(\s*"([a-z-]+)"/#).map { String($0.1) }
        #expect(options.count >= 5)
        for option in options { #expect(manual.contains("--\(option)"), "--\(option)") }
    }

    @Test(
        "Every exit code stands in the manual and in the documents",
        arguments: [("brokerd", "docs/OPERATIONS.md"), ("workerd", "docs/WORKERS.md")])
    func exitCodes(program: String, page: String) throws {
        let code = try SourceFile.all(["Sources/\(program)"], endings: [".swift"]).map(\.text).joined()
        let table = try Repository.text("Sources/DaemonKit/ExitCode.swift")
        let manual = try Repository.text("man/\(program).8")
        let text = try Repository.text(page)
        var count = 0
        for match in table.matches(of: #/case (\w+) = (\d+)/#) where code.contains(try Regex("\\.\(match.1)\\b")) {
            count += 1
            #expect(manual.contains(try Regex("\\b\(match.2) \\w")), "\(match.1) is missing in \(program)(8)")
            #expect(text.contains(try Regex("[·|:] \(match.2) ")), "\(match.1) is missing in \(page)")
        }
        #expect(count > 5)
    }

    @Test("Every relative link leads to a file, and every anchor to a heading") func links() throws {
        var count = 0
        for file in try SourceFile.documents.get() where file.path.hasSuffix(".md") {
            let directory = file.path.split(separator: "/").dropLast().joined(separator: "/")
            for match in file.text.matches(of: #/\]\(([^)#\s]*)(?:#([^)\s]+))?\)/#) {
                let target = String(match.1)
                if target.contains("://") || target.hasPrefix("mailto:") { continue }
                count += 1
                let base = Repository.root.appendingPathComponent(directory)
                let url =
                    target.isEmpty
                    ? Repository.root.appendingPathComponent(file.path) : base.appendingPathComponent(target)
                #expect(FileManager.default.fileExists(atPath: url.path), "\(file): \(target)")
                if let anchor = match.2, let text = try? String(contentsOf: url, encoding: .utf8) {
                    #expect(Self.anchors(in: text).contains(String(anchor)), "\(file): \(target)#\(anchor)")
                }
            }
        }
        #expect(count > 10)
    }

    private static func anchors(in text: String) -> [String] {
        text.split(separator: "\n").filter { $0.hasPrefix("#") }.map { heading in
            let words = heading.drop { $0 == "#" || $0 == " " }.lowercased()
            return String(words.filter { $0.isLetter || $0.isNumber || $0 == " " || $0 == "-" || $0 == "_" })
                .replacing(" ", with: "-")
        }
    }

    @Test("No document and no source names a directory of the machine that it was written on") func machinePaths()
        throws
    {
        let files =
            try SourceFile.documents.get() + SourceFile.swift.get()
            + SourceFile.all(
                ["demo", "units", "scripts", "Sources"], endings: [".py", ".service", ".conf", ".c", ".h"])
            + [SourceFile("Makefile"), SourceFile("Package.swift")]
        let places = ["/work/", "/home/", "/root/", "/Users/", "/mnt/"]
        for file in files where !file.isIn(["Tests/BrokerTests/Tidy"]) && places.contains(where: file.text.contains) {
            for line in file.lines where places.contains(where: line.text.contains) { Issue.record("\(line)") }
        }
    }
}
