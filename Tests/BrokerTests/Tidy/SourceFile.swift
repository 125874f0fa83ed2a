import Foundation

/// A file of this repository as text, for the tests that hold the house's rules.
struct SourceFile: CustomStringConvertible {
    /// From the root of the repository, such as `Sources/LinuxIO/File.swift`.
    let path: String
    let text: String

    var description: String { path }

    init(_ path: String) throws {
        self.path = path
        text = try Repository.text(path)
    }

    /// One line and where it stands.
    struct Line: CustomStringConvertible {
        let path: String
        /// Counted from 1.
        let number: Int
        let text: String
        var description: String { "\(path):\(number): \(text.trimmingCharacters(in: .whitespaces))" }
    }

    var lines: [Line] {
        let parts = text.split(separator: "\n", omittingEmptySubsequences: false)
        return zip(1..., parts).map { Line(path: path, number: $0, text: String($1)) }
    }

    /// The lines without what stands behind `//`.
    var code: [Line] {
        lines.map { line in
            var text = line.text
            // A URL has a colon before.
            if let start = text.firstRange(of: "//")?.lowerBound, !text[..<start].hasSuffix(":") {
                text.removeSubrange(start...)
            }
            return Line(path: path, number: line.number, text: text)
        }
    }

    /// True when the path lies in one of the directories, or is one of the files.
    func isIn(_ places: some Sequence<String>) -> Bool { places.contains { path == $0 || path.hasPrefix($0 + "/") } }

    /// All files below some directories with one of the endings, by path.
    static func all(_ directories: [String], endings: [String]) throws -> [SourceFile] {
        try directories.flatMap { directory in
            let root = Repository.root.appendingPathComponent(directory).path
            let names = FileManager.default.enumerator(atPath: root)?.compactMap { $0 as? String } ?? []
            return names.filter { name in endings.contains { name.hasSuffix($0) } }.map { "\(directory)/\($0)" }
        }.sorted().map { try SourceFile($0) }
    }

    /// The Swift of the programs and libraries.
    static let sources = Result { try all(["Sources"], endings: [".swift"]) }
    /// All Swift.
    static let swift = Result { try all(["Sources", "Benchmarks", "Tests"], endings: [".swift"]) }
    /// What people read.
    static let documents = Result {
        try all(["docs"], endings: [".md"]) + all(["man"], endings: [".1", ".5", ".8"])
            + ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"].map { try SourceFile($0) }
    }
}
