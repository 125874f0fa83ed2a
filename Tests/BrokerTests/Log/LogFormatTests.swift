import LinuxIO
import SegmentLog
import TestSupport
import Testing

@Suite("The log's format is the one on its page")
struct LogFormatTests {
    /// The bytes of a `hex` block in docs/LOG-FORMAT.md.
    private func example(_ name: String) throws -> [UInt8] {
        let root = #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast(4).joined(separator: "/")
        let file = try File(path: root + "/docs/LOG-FORMAT.md", .read)
        let text = String(decoding: try file.read(at: 0, count: try file.size()), as: UTF8.self)
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        let start = try #require(lines.firstIndex(of: "```hex \(name)"))
        return lines[(start + 1)...].prefix { $0 != "```" }.flatMap { line in
            line.split(separator: " ").dropFirst().compactMap { UInt8($0, radix: 16) }
        }
    }

    private func padded(_ bytes: [UInt8], to count: Int) -> [UInt8] {
        bytes + [UInt8](repeating: 0, count: count - bytes.count)
    }

    private func make() throws -> MemoryStorage {
        let storage = MemoryStorage()
        storage.overwrite("data/superblock-a", at: 0, padded(try example("superblock"), to: 512))
        let segment = padded(try example("segment"), to: 4096) + (try example("record"))
        storage.overwrite(segmentFile(0), at: 0, padded(segment, to: 65536))
        return storage
    }

    @Test("A log made of the page's bytes opens and holds the page's record")
    func opens() throws {
        let storage = try make()
        let harness = try LogHarness(storage, LogHarness.options(segmentBytes: 65536))
        #expect(harness.replayed.map(\.position) == [4096])
        #expect(harness.payloads == [Array("hello, log".utf8)])
        #expect(harness.log.epoch == 2)
        let survey = try LogInspector.verify(directory: "data", storage: storage)
        #expect(survey.identity == "000102030405060708090a0b0c0d0e0f")
    }

    @Test("What the log writes next to it differs in the fields that must differ, and only there")
    func writes() throws {
        let storage = try make()
        let harness = try LogHarness(storage, LogHarness.options(segmentBytes: 65536))
        let position = Int(try harness.publish(Array("hello, log".utf8)))
        let page = try example("record")
        #expect(position == 4096 + page.count)
        let bytes = Array(storage.bytes(of: segmentFile(0))[position..<position + page.count])
        let differing = page.indices.filter { page[$0] != bytes[$0] }
        #expect(differing.filter { $0 >= 4 } == [12, 16, 24], "epoch, position and watermark")
    }

    @Test("A whole block of a later version is refused as unknown, not as damaged")
    func laterVersion() throws {
        let storage = try make()
        var block = padded(try example("superblock"), to: 512)
        block[8] = 2
        let checksum = Checksum.crc32c(block, from: 4)
        for index in 0..<4 { block[index] = UInt8(truncatingIfNeeded: checksum >> (8 * index)) }
        storage.overwrite("data/superblock-b", at: 0, block)
        let options = LogHarness.options(segmentBytes: 65536)
        #expect(refusal(storage, options) == .versionUnknown(file: "data/superblock-b", version: 2))
        storage.lose("data/superblock-b")
        var header = padded(try example("segment"), to: 4096)
        header[8] = 7
        let headerChecksum = Checksum.crc32c(header, from: 4)
        for index in 0..<4 { header[index] = UInt8(truncatingIfNeeded: headerChecksum >> (8 * index)) }
        storage.overwrite(segmentFile(0), at: 0, header)
        #expect(refusal(storage, options) == .versionUnknown(file: segmentFile(0), version: 7))
    }

    @Test("Records cannot be made up inside a payload: their checksum begins with the identity")
    func forgery() throws {
        let storage = MemoryStorage()
        do {
            let harness = try LogHarness(storage, LogHarness.options(segmentBytes: 65536))
            // The page's record stands where it says, but this log has another identity.
            storage.overwrite(segmentFile(0), at: 4096, try example("record"))
            #expect(harness.log.end == 4096)
        }
        let harness = try LogHarness(storage, LogHarness.options(segmentBytes: 65536))
        #expect(harness.payloads.isEmpty)
        #expect(harness.report.tornTail?.bytes == 48)
    }
}
