import SegmentLog
import TestSupport
import Testing

@Suite("The log tells a torn tail from damage")
struct LogRecoveryTests {
    static let superblocks = ["data/superblock-a", "data/superblock-b"]

    /// A log of small records, each in its own batch, that was not closed: the last batch lies above the watermark.
    private func unclosed(records: Int = 6) throws -> (storage: MemoryStorage, positions: [UInt64], end: Int) {
        let storage = MemoryStorage()
        let harness = try LogHarness(storage)
        harness.log.waitForSpares()
        let positions = try (0..<records).map { try harness.publish(payload($0, bytes: 5 + $0)) }
        return (storage.copy(), positions, Int(harness.log.end))
    }

    private func closed(records: Int = 6) throws -> MemoryStorage {
        let storage = MemoryStorage()
        let harness = try LogHarness(storage)
        harness.log.waitForSpares()
        for number in 0..<records { try harness.publish(payload(number, bytes: 5 + number)) }
        try harness.log.close()
        return storage.copy()
    }

    private let written = (0..<6).map { payload($0, bytes: 5 + $0) }

    @Test("Cut short at any length, an unclosed log loses only what was cut, and says where")
    func everyLength() throws {
        let (image, positions, end) = try unclosed()
        let bytes = image.bytes(of: segmentFile(0))
        for length in 4096..<end {
            let storage = image.copy()
            storage.overwrite(segmentFile(0), at: length, [UInt8](repeating: 0, count: end - length))
            // Padding that is lost is no loss.
            let firstLost = bytes[length..<end].firstIndex { $0 != 0 } ?? end
            let kept = positions.lastIndex { Int($0) <= firstLost } ?? 0
            let harness = try LogHarness(storage)
            #expect(harness.payloads == Array(written[..<(firstLost == end ? 6 : kept)]), "cut at \(length)")
            #expect(harness.log.durableEnd == harness.log.end)
            // The fields that tell where a record belongs end 24 bytes behind its start.
            if firstLost < end && length >= Int(positions[kept]) + 24 {
                #expect(harness.report.tornTail?.offset == Int(positions[kept]))
                #expect(harness.report.tornTail?.file == segmentFile(0))
                #expect(harness.report.warnings.count == 1)
            }
        }
    }

    @Test("Cut short at any length, a log whose superblock knows the end is refused")
    func everyLengthOfClosed() throws {
        let image = try closed()
        let end = try #require(try LogInspector.verify(directory: "data", storage: image).segments.last?.end)
        let bytes = image.bytes(of: segmentFile(0))
        for length in 4096..<end where bytes[length..<end].contains(where: { $0 != 0 }) {
            let storage = image.copy()
            storage.overwrite(segmentFile(0), at: length, [UInt8](repeating: 0, count: end - length))
            guard case .damaged(segmentFile(0), _, _)? = refusal(storage) else {
                Issue.record("cut at \(length) was accepted")
                continue
            }
        }
    }

    @Test("A cut is physical: nothing of it is there after the start")
    func cutIsPhysical() throws {
        let (image, positions, end) = try unclosed()
        image.flipBit(segmentFile(0), (end - 4) * 8)
        do {
            let harness = try LogHarness(image)
            #expect(harness.report.tornTail?.bytes == end - Int(positions[5]))
        }
        let tail = image.crash(seed: 1).bytes(of: segmentFile(0))[Int(positions[5])...]
        #expect(tail.allSatisfy { $0 == 0 })
    }

    @Test("No flipped bit of a record gives a wrong payload; below the watermark each is refused")
    func everyBitOfRecords() throws {
        let (image, positions, end) = try unclosed()
        for bit in 4096 * 8..<(end + 16) * 8 {
            let storage = image.copy()
            storage.flipBit(segmentFile(0), bit)
            let isBelowWatermark = bit / 8 < Int(positions[5])
            switch opened(storage) {
            case .success(let payloads):
                #expect(!isBelowWatermark, "bit \(bit) passed")
                #expect(payloads == written || payloads == Array(written[..<5]), "bit \(bit)")
                if bit / 8 >= end { #expect(payloads == written) }
            case .failure(.damaged(segmentFile(0), let offset, _)):
                #expect(isBelowWatermark, "bit \(bit) was refused")
                #expect(positions.contains(UInt64(offset)), "bit \(bit)")
            case .failure(let error): Issue.record("bit \(bit): \(error)")
            }
        }
    }

    @Test("Every flipped bit of a closed log's records is refused")
    func everyBitOfClosedRecords() throws {
        let image = try closed()
        let end = try #require(
            try LogInspector.verify(directory: "data", storage: image).segments.last?.end)
        for bit in 4096 * 8..<end * 8 {
            let storage = image.copy()
            storage.flipBit(segmentFile(0), bit)
            guard case .damaged(segmentFile(0), _, _)? = refusal(storage) else {
                Issue.record("bit \(bit) passed")
                continue
            }
        }
    }

    @Test("Every flipped bit of a segment header is refused")
    func everyBitOfHeaders() throws {
        let image = try closed()
        for bit in 0..<4096 * 8 {
            let storage = image.copy()
            storage.flipBit(segmentFile(0), bit)
            guard case .damaged(segmentFile(0), 0, _)? = refusal(storage) else {
                Issue.record("bit \(bit) passed")
                continue
            }
        }
    }

    @Test("No flipped bit of one superblock loses anything")
    func everyBitOfSuperblocks() throws {
        let image = try closed()
        for file in Self.superblocks {
            for bit in 0..<512 * 8 {
                let storage = image.copy()
                storage.flipBit(file, bit)
                let harness = try LogHarness(storage)
                #expect(harness.payloads == written)
                #expect(harness.log.epoch == 2)
                #expect(harness.report.warnings.count == 1)
            }
        }
    }

    @Test("Either superblock alone knows the epoch of the last start")
    func epochInBoth() throws {
        let storage = MemoryStorage()
        for _ in 0..<2 { _ = try LogHarness(storage) }
        for file in Self.superblocks {
            let copy = storage.copy()
            copy.flipBit(file, 300)
            #expect(try LogHarness(copy).log.epoch == 3)
        }
    }

    @Test("With one superblock gone the log starts, and makes it again; with both it is refused")
    func superblocksGone() throws {
        for file in Self.superblocks {
            let storage = try closed()
            storage.lose(file)
            let harness = try LogHarness(storage)
            #expect(harness.payloads == written)
            #expect(storage.bytes(of: file).count == 512)
        }
        let storage = try closed()
        for file in Self.superblocks { storage.lose(file) }
        guard case .damaged(Self.superblocks[0], 0, _)? = refusal(storage) else {
            Issue.record("a log without superblocks was accepted")
            return
        }
        let invalid = try closed()
        for file in Self.superblocks { invalid.flipBit(file, 100) }
        #expect(refusal(invalid) != nil)
    }

    @Test("A record of an older run never comes back, even where a new record ends at its start")
    func staleRecord() throws {
        let storage = MemoryStorage()
        let first = try LogHarness(storage)
        for number in 0..<4 { try first.publish(payload(number, bytes: 5 + number)) }
        let image = storage.copy()
        try first.publish(payload(4, bytes: 9))
        let position = Int(try first.publish(payload(5, bytes: 10)))
        let stale = Array(storage.bytes(of: segmentFile(0))[position..<position + 48])
        do {
            let second = try LogHarness(image)
            try second.publish(payload(4, bytes: 9))
            #expect(Int(second.log.end) == position)
        }
        // As if a cut had not reached the disk: right identity, checksum and position, but the run before.
        image.overwrite(segmentFile(0), at: position, stale)
        let third = try LogHarness(image)
        #expect(third.payloads == Array(written[..<5]))
        #expect(third.report.tornTail?.offset == position)
        // The same bytes with the run's own epoch would be a record: the test can fail.
        first.sync()
        #expect(try LogHarness(storage.copy()).payloads == written)
    }

    @Test("A lost segment is refused: in the middle, the last one, the first one, all of them")
    func missingSegments() throws {
        let storage = MemoryStorage()
        do {
            let harness = try LogHarness(storage)
            var number = 0
            while harness.log.lastSegment < 3 {
                try harness.publish(payload(number))
                number += 1
            }
        }
        #expect(refusal(storage.copy()) == nil)
        for (lost, first, last) in [([1], 1, 1), ([1, 2], 1, 2), ([0], 0, 0), ([3], 3, 3), ([0, 1, 2, 3], 0, 3)] {
            let copy = storage.copy()
            for segment in lost { copy.lose(segmentFile(segment)) }
            #expect(
                refusal(copy) == .missingSegments(directory: "data", first: UInt64(first), last: UInt64(last)))
        }
    }

    @Test("A segment of another log, and a segment under another's name, are refused")
    func strangers() throws {
        let (mine, other) = (try closed(), try closed())
        let foreign = mine.copy()
        foreign.overwrite(segmentFile(0), at: 0, other.bytes(of: segmentFile(0)))
        #expect(refusal(foreign) == .foreign(file: segmentFile(0)))
        let mixed = mine.copy()
        mixed.overwrite(Self.superblocks[0], at: 0, other.bytes(of: Self.superblocks[0]))
        guard case .foreign? = refusal(mixed) else {
            Issue.record("superblocks of two logs were accepted")
            return
        }
        let misplaced = mine.copy()
        misplaced.overwrite(segmentFile(1), at: 0, mine.bytes(of: segmentFile(0)))
        guard case .damaged(segmentFile(0), _, _)? = refusal(misplaced) else {
            Issue.record("a misplaced segment was accepted")
            return
        }
    }

    @Test("A setting of another segment size is refused, and says which one is right")
    func otherSize() throws {
        let options = LogHarness.options(segmentBytes: 32 << 10)
        #expect(refusal(try closed(), options) == .segmentBytesDiffer(made: 16384, wanted: 32768))
    }

    @Test("A refused start changes nothing")
    func refusalChangesNothing() throws {
        let (storage, positions, _) = try unclosed()
        storage.flipBit(segmentFile(0), (Int(positions[2]) + 20) * 8)
        let before = Self.superblocks.map(storage.bytes) + [storage.bytes(of: segmentFile(0))]
        #expect(refusal(storage) != nil)
        #expect(Self.superblocks.map(storage.bytes) + [storage.bytes(of: segmentFile(0))] == before)
        storage.flipBit(segmentFile(0), (Int(positions[2]) + 20) * 8)
        #expect(try LogHarness(storage).payloads == written)
    }

    @Test("An older copy of the superblocks does not cut newer records")
    func restoredSuperblocks() throws {
        let storage = try closed()
        let old = Self.superblocks.map(storage.bytes)
        do {
            let harness = try LogHarness(storage)
            try harness.publish(payload(6))
            try harness.log.close()
        }
        for (file, bytes) in zip(Self.superblocks, old) { storage.overwrite(file, at: 0, bytes) }
        guard case .damaged? = refusal(storage) else {
            Issue.record("records of an unknown run were cut or accepted")
            return
        }
    }

    @Test("The errors name the file, the place and the command that helps")
    func texts() throws {
        let (storage, positions, _) = try unclosed()
        storage.flipBit(segmentFile(0), (Int(positions[2]) + 20) * 8)
        let text = try #require(refusal(storage)?.description)
        #expect(text.contains(segmentFile(0)))
        #expect(text.contains("offset \(positions[2])"))
        #expect(text.contains("`brokerctl log verify data`"))
    }

    private func opened(_ storage: MemoryStorage) -> Result<[[UInt8]], LogError> {
        do {
            return .success(try LogHarness(storage).payloads)
        } catch let error as LogError {
            return .failure(error)
        } catch {
            preconditionFailure("opening threw \(error)")
        }
    }
}
