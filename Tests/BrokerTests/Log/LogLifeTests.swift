import LinuxIO
import SegmentLog
import TestSupport
import Testing

@Suite("The log's ordinary life")
struct LogLifeTests {
    @Test("An empty directory becomes a fresh log")
    func fresh() throws {
        let storage = MemoryStorage()
        let harness = try LogHarness(storage)
        #expect(harness.report.isFresh)
        #expect(harness.log.epoch == 1)
        #expect(harness.replayed.isEmpty)
        #expect(harness.log.end == 4096)
        #expect(harness.log.durableEnd == 4096)
        #expect(harness.log.lastSegment == 0)
    }

    @Test("Records come back in order, at their positions, after a close")
    func reopen() throws {
        let storage = MemoryStorage()
        var positions: [UInt64] = []
        do {
            let harness = try LogHarness(storage)
            for number in 0..<20 { positions.append(try harness.log.append(payload(number))) }
            try harness.log.close()
        }
        let again = try LogHarness(storage)
        #expect(again.report.wasClosed)
        #expect(again.report.rewrittenBytes == 0)
        #expect(again.report.tornTail == nil)
        #expect(again.payloads == (0..<20).map { payload($0) })
        #expect(again.replayed.map(\.position) == positions)
        #expect(again.log.epoch == 2)
    }

    @Test("A log that nobody closed comes back with all that was synced")
    func reopenWithoutClose() throws {
        let storage = MemoryStorage()
        do {
            let harness = try LogHarness(storage)
            for number in 0..<5 { try harness.publish(payload(number)) }
        }
        let again = try LogHarness(storage)
        #expect(!again.report.wasClosed)
        #expect(again.payloads == (0..<5).map { payload($0) })
        #expect(again.report.rewrittenBytes > 0, "the last batch lay above the watermark")
        #expect(again.report.tornTail == nil)
    }

    @Test("An empty payload and the largest one are records like others")
    func extremes() throws {
        let storage = MemoryStorage()
        let largest = (16 << 10) - 4096 - 64
        do {
            let harness = try LogHarness(storage)
            try harness.publish([])
            try harness.publish(payload(1, bytes: largest))
            try harness.publish([])
            #expect(throws: LogError.recordTooLarge(bytes: largest + 1, limit: largest)) {
                _ = try harness.log.append(payload(2, bytes: largest + 1))
            }
            #expect(harness.log.lastSegment == 2)
            try harness.log.close()
        }
        #expect(try LogHarness(storage).payloads == [[], payload(1, bytes: largest), []])
    }

    @Test("Reading works from the gathering batch, from memory and from the file")
    func read() throws {
        let harness = try LogHarness(MemoryStorage())
        var positions: [UInt64] = []
        for number in 0..<100 {
            positions.append(try harness.log.append(payload(number)))
            #expect(try harness.log.read(positions[number]) == payload(number), "not written yet")
            if number % 3 == 0 { harness.log.flush() }
            if number % 7 == 0 { harness.sync() }
        }
        #expect(harness.log.lastSegment > 0)
        for number in 0..<100 { #expect(try harness.log.read(positions[number]) == payload(number)) }
    }

    @Test("A position that names no record is refused")
    func readNowhere() throws {
        let harness = try LogHarness(MemoryStorage())
        let position = try harness.log.append(payload(1))
        for wrong in [0, 8, position - 8, position + 8, position + 1, harness.log.end, 1 << 60] {
            #expect(throws: LogError.noRecord(position: wrong)) { _ = try harness.log.read(wrong) }
        }
        harness.sync()
        for number in 0..<60 { try harness.publish(payload(number)) }
        #expect(throws: LogError.self) { _ = try harness.log.read(position + 8) }
    }

    @Test("A flipped bit in a file is found at delivery")
    func readDamage() throws {
        let storage = MemoryStorage()
        let harness = try LogHarness(storage)
        let position = try harness.publish(payload(1))
        for number in 0..<60 { try harness.publish(payload(number)) }
        storage.flipBit(segmentFile(0), (Int(position) + 40) * 8)
        let error = #expect(throws: LogError.self) { _ = try harness.log.read(position) }
        guard case .damaged(segmentFile(0), Int(position), _) = error else {
            Issue.record("\(String(describing: error))")
            return
        }
    }

    @Test("What gathers during a sync is written with one sync")
    func groupCommit() throws {
        let storage = MemoryStorage()
        let harness = try LogHarness(storage)
        harness.log.waitForSpares()
        let gate = Monitor((isReached: false, isOpen: false))
        storage.setPlan { operation in
            guard operation.kind == .sync, operation.path == segmentFile(0) else { return nil }
            gate.update { $0.isReached = true }
            gate.wait { $0.isOpen ? () : nil }
            return nil
        }
        _ = try harness.log.append(payload(0))
        harness.log.flush()
        gate.wait { $0.isReached ? () : nil }
        for number in 1..<30 {
            _ = try harness.log.append(payload(number))
            harness.log.flush()
        }
        #expect(harness.log.durableEnd == 4096)
        #expect(harness.log.heartbeat.busySince != nil)
        gate.update { $0.isOpen = true }
        harness.sync()
        #expect(harness.log.statistics.syncs == 2)
        #expect(harness.log.durableEnd == harness.log.end)
        #expect(harness.log.heartbeat.busySince == nil)
        #expect(harness.log.heartbeat.steps == 2)
    }

    @Test("The log rolls when, and only when, it says so")
    func roll() throws {
        let harness = try LogHarness(MemoryStorage())
        for number in 0..<200 {
            let before = harness.log.lastSegment
            let startsSegment = harness.log.startsSegment(payloadBytes: payload(number).count)
            let position = try harness.log.append(payload(number))
            #expect(harness.log.lastSegment == before + (startsSegment ? 1 : 0))
            #expect(position / harness.log.segmentBytes == harness.log.lastSegment)
            if number % 5 == 0 { harness.log.flush() }
        }
        harness.sync()
        #expect(harness.log.lastSegment > 2)
    }

    @Test("Each start has a higher epoch, closed or not")
    func epochs() throws {
        let storage = MemoryStorage()
        for epoch in 1...4 as ClosedRange<UInt32> {
            let harness = try LogHarness(storage)
            #expect(harness.log.epoch == epoch)
            try harness.publish(payload(Int(epoch)))
            if epoch == 2 { try harness.log.close() }
        }
        var epochs: [UInt32] = []
        #expect(
            try LogInspector.dump(directory: LogHarness.directory, storage: storage) {
                epochs.append($0.epoch)
                return true
            }.isEmpty)
        #expect(epochs == [1, 2, 3, 4])
    }

    @Test("A closed log takes nothing more")
    func closed() throws {
        let storage = MemoryStorage()
        let harness = try LogHarness(storage)
        try harness.log.close()
        try harness.log.close()
        #expect(throws: LogError.closed) { _ = try harness.log.append([1]) }
        #expect(try LogHarness(storage).report.wasClosed, "the lock is free")
    }

    @Test("An idle log writes its watermark down by itself")
    func idleWatermark() throws {
        let storage = MemoryStorage()
        var options = LogHarness.options()
        options.idleMilliseconds = 1
        let end: UInt64
        do {
            let harness = try LogHarness(storage, options)
            let written = Monitor(0)
            storage.setPlan { operation in
                if operation.kind == .sync && operation.path.contains("superblock") { written.update { $0 += 1 } }
                return nil
            }
            try harness.publish(payload(1))
            end = harness.log.end
            written.wait { $0 > 0 ? () : nil }
        }
        storage.setPlan(nil)
        #expect(try LogInspector.verify(directory: LogHarness.directory, storage: storage).watermark == end)
        storage.flipBit(segmentFile(0), 8 * 4100)
        guard case .damaged? = refusal(storage) else {
            Issue.record("the only record is lost, and the start did not notice")
            return
        }
    }

    @Test("A real directory works like memory, and a second opener is refused")
    func realFiles() throws {
        let directory = "/tmp/brokerd-log-\(Process.identifier)-\(Entropy.word())"
        let options = LogHarness.options()
        do {
            let harness = try LogHarness(FileStorage(), options, directory: directory)
            for number in 0..<100 { try harness.publish(payload(number)) }
            let error = #expect(throws: LogError.self) {
                _ = try LogHarness(FileStorage(), options, directory: directory)
            }
            #expect(error == .locked(directory: directory))
            try harness.log.close()
        }
        let again = try LogHarness(FileStorage(), options, directory: directory)
        #expect(again.payloads == (0..<100).map { payload($0) })
        #expect(again.report.wasClosed)
        for name in try Directory.names(in: directory) { try Directory.remove("\(directory)/\(name)") }
    }
}
