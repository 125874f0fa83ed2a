import Foundation

/// The files of this repository, for tests that compare code and documents.
enum Repository {
    static let root: URL = {
        // Tests/BrokerTests/Daemon/Repository.swift
        var root = URL(fileURLWithPath: #filePath)
        for _ in 0..<4 { root.deleteLastPathComponent() }
        return root
    }()

    static func text(_ path: String) throws -> String {
        try String(contentsOf: root.appendingPathComponent(path), encoding: .utf8)
    }
}
