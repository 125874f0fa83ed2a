import Foundation

/// Programs in other languages that use brokerd as a Redis: those of `conformance/clients`, and Debian's tools.
package enum ClientProgram {
    package static let root: String = {
        // Tests/TestSupport/ClientProgram.swift
        var root = URL(fileURLWithPath: #filePath)
        for _ in 0..<3 { root.deleteLastPathComponent() }
        return root.path
    }()

    /// A program with the redis-py that `scripts/setup` has brought from PyPI.
    /// - Parameter script: Its name in `conformance/clients`.
    package static func redisPy(_ script: String, _ arguments: [String]) throws -> [String] {
        let python = root + "/.build/redis-py/bin/python"
        guard FileManager.default.isExecutableFile(atPath: python) else {
            throw Missing(description: "no redis-py in .build/redis-py; scripts/setup installs it")
        }
        return [python, "-B", "\(root)/conformance/clients/\(script).py"] + arguments
    }

    package struct Missing: Error, CustomStringConvertible {
        package let description: String
    }

    /// Starts a program; what it writes on standard output is among the child's lines.
    /// - Parameter input: The path of a file that it reads as standard input; none for an empty one.
    package static func start(_ command: [String], input: String = "/dev/null") throws -> ChildProcess {
        try ChildProcess(["sh", "-c", "exec \"$@\" 1>&2 < \"$0\"", input] + command)
    }

    /// Runs a program to its end.
    /// - Returns: What it wrote.
    /// - Throws: When its exit code is not 0.
    @discardableResult
    package static func run(_ command: [String], input: String = "/dev/null") async throws -> String {
        let child = try start(command, input: input)
        let ending = try await child.end()
        guard ending == .exited(0) else { throw Failed(command: command, ending: ending, text: child.text) }
        return child.text
    }

    package struct Failed: Error, CustomStringConvertible {
        let command: [String]
        let ending: ChildProcess.Ending
        let text: String
        package var description: String { "\(command.joined(separator: " ")) ended with \(ending):\n\(text)" }
    }
}
