import Foundation

/// The files of this repository, for tests that compare code and documents.
enum Repository {
    static func text(_ path: String) throws -> String {
        // Tests/BrokerTests/Daemon/Repository.swift
        var root = URL(fileURLWithPath: #filePath)
        for _ in 0..<4 { root.deleteLastPathComponent() }
        return try String(contentsOf: root.appendingPathComponent(path), encoding: .utf8)
    }
}
