import SegmentLog
import TestSupport
import Testing

@Suite("Looking at a log, and saving what is good")
struct LogInspectorTests {
    /// Three segments, not closed.
    private func make() throws -> (storage: MemoryStorage, positions: [UInt64]) {
        let storage = MemoryStorage()
        let harness = try LogHarness(storage)
        var positions: [UInt64] = []
        while harness.log.lastSegment < 2 { positions.append(try harness.publish(payload(positions.count))) }
        positions.append(try harness.publish(payload(positions.count)))
        harness.log.waitForSpares()
        return (storage.copy(), positions)
    }

    private func offset(_ position: UInt64) -> Int { Int(position % (16 << 10)) }

    @Test("A sound log is described, and nothing is changed")
    func sound() throws {
        let (storage, positions) = try make()
        let before = storage.operations
        let survey = try LogInspector.verify(directory: "data", storage: storage)
        #expect(storage.operations == before)
        #expect(survey.isSound)
        #expect(survey.records == positions.count)
        #expect(survey.segments.map(\.verdict) == [.sealed, .sealed, .open])
        #expect(survey.segments.allSatisfy { $0.epochs == 1...1 })
        #expect(survey.superblocks.allSatisfy { $0.problem == nil && !$0.isClosed })
        #expect(survey.segmentBytes == 16 << 10)
        #expect(survey.identity.count == 32)
    }

    @Test("A torn tail is sound, and its bytes are counted")
    func torn() throws {
        let (storage, positions) = try make()
        let last = try #require(positions.last)
        storage.flipBit(segmentFile(2), (offset(last) + 33) * 8)
        let survey = try LogInspector.verify(directory: "data", storage: storage)
        #expect(survey.isSound)
        #expect(survey.segments[2].end == offset(last))
        guard case .torn = survey.segments[2].verdict else {
            Issue.record("\(survey.segments[2].verdict)")
            return
        }
        #expect(try LogHarness(storage).payloads.count == positions.count - 1)
    }

    @Test("The verdict agrees with what a start does, for damage anywhere")
    func agrees() throws {
        let (storage, _) = try make()
        for segment in 0..<3 {
            for byte in stride(from: 0, to: 16 << 10, by: 61) {
                let copy = storage.copy()
                copy.flipBit(segmentFile(segment), byte * 8 + byte % 8)
                let isSound = (try? LogInspector.verify(directory: "data", storage: copy).isSound) ?? false
                #expect(isSound == (refusal(copy) == nil), "segment \(segment), byte \(byte)")
            }
        }
    }

    @Test("Dumping begins at a position and ends when the reader has enough")
    func dump() throws {
        let (storage, positions) = try make()
        var seen: [UInt64] = []
        let problems = try LogInspector.dump(directory: "data", storage: storage, from: positions[40]) { entry in
            #expect(entry.payload == payload(40 + seen.count))
            seen.append(entry.position)
            return seen.count < 10
        }
        #expect(seen == Array(positions[40..<50]))
        #expect(problems.isEmpty)
    }

    @Test("Salvaging copies every good record, and says what was lost")
    func salvage() throws {
        let (storage, positions) = try make()
        storage.flipBit(segmentFile(0), (offset(positions[3]) + 40) * 8)
        storage.flipBit(segmentFile(1), 8 * 20)
        #expect(refusal(storage) != nil)
        let report = try LogInspector.salvage(directory: "data", to: "saved", storage: storage)
        #expect(report.records == positions.count - 1)
        #expect(report.losses.count == 2)
        #expect(report.losses[0].contains("\(segmentFile(0)), offset \(offset(positions[3]))"))
        let survey = try LogInspector.verify(directory: "data", storage: storage)
        #expect(survey.segments[0].recordsBehindDamage > 10)
        let saved = try LogHarness(storage, directory: "saved")
        #expect(saved.payloads == positions.indices.filter { $0 != 3 }.map { payload($0) })
        #expect(saved.report.wasClosed)
    }

    @Test("Salvaging works without superblocks, and without a segment in the middle")
    func salvageRuins() throws {
        let (storage, positions) = try make()
        storage.lose("data/superblock-a")
        storage.lose("data/superblock-b")
        storage.lose(segmentFile(1))
        let report = try LogInspector.salvage(directory: "data", to: "saved", storage: storage)
        #expect(report.records == positions.count { $0 / (16 << 10) != 1 })
        #expect(report.losses.count == 2)
    }

    @Test("Salvaging refuses a log in use, and a target that is not empty")
    func salvageRefusals() throws {
        let (storage, _) = try make()
        do {
            let harness = try LogHarness(storage)
            #expect(throws: LogError.locked(directory: "data")) {
                _ = try LogInspector.salvage(directory: "data", to: "saved", storage: storage)
            }
            try harness.log.close()
        }
        do { try LogHarness(storage, directory: "saved").log.close() }
        #expect(throws: LogError.notEmpty(directory: "saved")) {
            _ = try LogInspector.salvage(directory: "data", to: "saved", storage: storage)
        }
    }

    @Test("A directory that holds no log is said to hold none")
    func nothing() throws {
        #expect(throws: LogError.self) { _ = try LogInspector.verify(directory: "data", storage: MemoryStorage()) }
    }
}
