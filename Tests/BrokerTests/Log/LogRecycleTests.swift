import SegmentLog
import TestSupport
import Testing

@Suite("Segments are used again")
struct LogRecycleTests {
    private func fill(_ harness: LogHarness, segments: UInt64, from number: Int = 0) throws -> [[UInt8]] {
        var payloads: [[UInt8]] = []
        let target = harness.log.lastSegment + segments
        while harness.log.lastSegment < target {
            payloads.append(payload(number + payloads.count))
            try harness.publish(payloads[payloads.count - 1])
            harness.log.waitForSpares()
        }
        return payloads
    }

    private func files(_ storage: MemoryStorage, _ prefix: String) throws -> [String] {
        try storage.names(in: "data").filter { $0.hasPrefix(prefix) }
    }

    @Test("What a recycled segment held never comes back")
    func staleContent() throws {
        let storage = MemoryStorage()
        var last: [UInt8] = []
        do {
            let harness = try LogHarness(storage)
            harness.log.waitForSpares()
            for round in 0..<5 {
                last = try #require(try fill(harness, segments: 3, from: round * 1000).last)
                harness.log.recycle(before: harness.log.lastSegment)
                try harness.publish(last)
                harness.log.waitForSpares()
            }
            #expect(harness.log.firstSegment == harness.log.lastSegment)
        }
        let stale = try files(storage, "segment-").contains { name in
            storage.bytes(of: "data/" + name)[12_000...].contains { $0 != 0 }
        }
        #expect(stale, "the test means nothing when no used segment was used again")
        let again = try LogHarness(storage)
        #expect(again.payloads == [last, last])
        #expect(again.report.tornTail == nil)
        #expect(again.report.warnings.isEmpty)
        _ = try fill(again, segments: 2)
        #expect(try LogInspector.verify(directory: "data", storage: storage).isSound)
    }

    @Test("Empty segments that nobody needs are deleted")
    func surplus() throws {
        let storage = MemoryStorage()
        let harness = try LogHarness(storage)
        _ = try fill(harness, segments: 12)
        harness.log.recycle(before: harness.log.lastSegment)
        try harness.publish([1])
        try harness.publish([2])
        harness.log.waitForSpares()
        #expect(try files(storage, "segment-").count == 1)
        #expect(try (2...4).contains(files(storage, "spare-").count))
        #expect(harness.log.totalBytes <= 5 * (16 << 10))
    }

    @Test("Nothing is given back before what was appended until then is durable")
    func recyclesAfterSync() throws {
        let storage = MemoryStorage()
        let before: [[UInt8]]
        do {
            let harness = try LogHarness(storage)
            before = try fill(harness, segments: 3)
            storage.setPlan { $0.kind == .sync && $0.path == segmentFile(3) ? .error(5) : nil }
            _ = try harness.log.append([9, 9, 9])
            harness.log.recycle(before: harness.log.lastSegment)
            #expect(!harness.sync())
        }
        #expect(try LogHarness(storage.crash(seed: 4)).payloads.prefix(before.count) == before[...])
    }

    @Test("After recycling either superblock alone is enough")
    func superblocksAgree() throws {
        let storage = MemoryStorage()
        do {
            let harness = try LogHarness(storage)
            _ = try fill(harness, segments: 3)
            harness.log.recycle(before: harness.log.lastSegment)
            try harness.publish([9])
            try harness.publish([9])
            harness.log.waitForSpares()
        }
        for file in ["data/superblock-a", "data/superblock-b"] {
            let copy = storage.copy()
            copy.flipBit(file, 300)
            #expect(try LogHarness(copy).payloads.suffix(2) == [[9], [9]])
        }
    }

    @Test("Reading below the first segment is refused")
    func readRecycled() throws {
        let harness = try LogHarness(MemoryStorage())
        let position = try harness.publish([1])
        _ = try fill(harness, segments: 2)
        harness.log.recycle(before: harness.log.lastSegment)
        #expect(throws: LogError.noRecord(position: position)) { _ = try harness.log.read(position) }
        #expect(harness.log.firstSegment == harness.log.lastSegment)
    }

    @Test("Half-made and wrong-sized files of a crash are cleared away")
    func leftovers() throws {
        let storage = MemoryStorage()
        do { try LogHarness(storage).log.close() }
        storage.overwrite("data/spare-000000000077", at: 0, [1, 2, 3])
        storage.overwrite("data/spare-000000000078.new", at: 0, [1, 2, 3])
        storage.overwrite("data/superblock-a.new", at: 0, [1])
        storage.overwrite("data/notes.new", at: 0, [1])
        let harness = try LogHarness(storage)
        harness.log.waitForSpares()
        let names = try storage.names(in: "data")
        #expect(names.filter { $0.hasSuffix(".new") } == ["notes.new"])
        #expect(storage.bytes(of: "data/spare-000000000077").isEmpty)
    }
}
