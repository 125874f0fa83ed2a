import Foundation
import LinuxIO
import SegmentLog
import Testing

@testable import brokerctl

@Suite("brokerctl log") struct LogCommandTests {
    private static let small = LogOptions(segmentBytes: 16 << 10, sparesMin: 0, reserveBytes: 0, freeBytesMin: 0)

    /// A closed log with records of the given sizes.
    private func makeLog(_ sizes: [Int]) throws -> String {
        let directory = FileManager.default.temporaryDirectory.path + "/ctl-log-\(UUID().uuidString.prefix(8))"
        let (log, _) = try SegmentLog.open(
            directory: directory, options: Self.small, onDurable: {}, replay: { _, _ in })
        for size in sizes { _ = try log.append([UInt8](repeating: 7, count: size)) }
        try log.close()
        return directory
    }

    @Test("A sound log is verified and dumped") func sound() async throws {
        let directory = try makeLog([10, 20, 30])
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let verified = try await Brokerctl.run(["log", "verify", directory])
        #expect(verified.code == 0, "\(verified.error)")
        #expect(verified.output.hasSuffix("\n3 records, sound\n"))
        let json = try await Brokerctl.run(["log", "verify", directory, "--json"])
        #expect(json.output.contains(#""losses":[],"records":3,"schema":1,"#))
        let dumped = try await Brokerctl.run(["log", "dump", directory, "--json", "--limit", "2"])
        let lines = dumped.output.split(separator: "\n")
        #expect(lines.count == 2)
        #expect(lines[1].contains(#""payload_bytes":20"#))
    }

    @Test("Damage is 65 and names the command that salvages; salvaging copies the rest") func damaged() async throws {
        let directory = try makeLog([1000, 1000, 1000])
        let target = directory + "-new"
        defer { for path in [directory, target] { try? FileManager.default.removeItem(atPath: path) } }
        let name = try #require(
            try FileManager.default.contentsOfDirectory(atPath: directory).filter { $0.hasPrefix("segment-") }
                .sorted().first)
        try damage("\(directory)/\(name)", at: 5500)
        let verified = try await Brokerctl.run(["log", "verify", directory])
        #expect(verified.code == 65)
        #expect(verified.error.contains("brokerctl log salvage \(directory) --to NEW"))
        #expect(verified.output.contains("damaged"))
        let salvaged = try await Brokerctl.run(["log", "salvage", directory, "--to", target])
        #expect(salvaged.code == 0, "\(salvaged.error)")
        #expect(salvaged.output.hasPrefix("copied 2 records, 2000 bytes, to \(target)"))
        #expect(salvaged.error.hasPrefix("lost: "))
        #expect(try await Brokerctl.run(["log", "verify", target]).code == 0)
    }

    private func damage(_ path: String, at offset: Int) throws {
        let file = try File(path: path, .readWrite)
        let byte = try file.read(at: offset, count: 1)[0]
        try file.write([byte ^ 1], at: offset)
    }

    @Test("A directory that is not there is 66") func missing() async throws {
        let result = try await Brokerctl.run(["log", "verify", "/nonexistent/data"])
        #expect(result.code == 66)
        #expect(result.error.contains("/nonexistent/data"))
    }
}
