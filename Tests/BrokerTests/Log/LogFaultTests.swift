import LinuxIO
import SegmentLog
import TestSupport
import Testing

@Suite("The log and a failing or full disk")
struct LogFaultTests {
    @Test("A failed sync is fatal: it is said, never tried again, and nothing more is durable")
    func failedSync() throws {
        let storage = MemoryStorage()
        let harness = try LogHarness(storage)
        harness.log.waitForSpares()
        try harness.publish(payload(0))
        let durableEnd = harness.log.durableEnd
        let syncs = Monitor(0)
        storage.setPlan { operation in
            guard operation.kind == .sync, operation.path == segmentFile(0) else { return nil }
            return syncs.update { count in
                count += 1
                return count == 1 ? .error(MemoryStorage.inputOutputError) : nil
            }
        }
        _ = try harness.log.append(payload(1))
        #expect(!harness.sync())
        guard case .system(let error)? = harness.log.failure else {
            Issue.record("no failure")
            return
        }
        #expect(error.code == MemoryStorage.inputOutputError)
        #expect(throws: LogError.system(error)) { _ = try harness.log.append(payload(2)) }
        harness.log.flush()
        #expect(harness.log.durableEnd == durableEnd)
        #expect(throws: LogError.system(error)) { try harness.log.close() }
        #expect(syncs.with { $0 } == 1)
        #expect(try !LogHarness(storage.copy()).report.wasClosed)
    }

    @Test("After a failed sync the next start puts on disk what the page cache shows, before it counts")
    func pageCacheLies() throws {
        let storage = MemoryStorage()
        do {
            let harness = try LogHarness(storage)
            try harness.publish(payload(0))
            storage.setPlan { $0.kind == .sync && $0.path == segmentFile(0) ? .error(5) : nil }
            _ = try harness.log.append(payload(1))
            #expect(!harness.sync())
        }
        storage.setPlan(nil)
        do {
            let harness = try LogHarness(storage)
            #expect(harness.payloads == [payload(0), payload(1)])
            #expect(harness.report.rewrittenBytes >= 32 + payload(1).count)
        }
        for seed in 0..<8 as Range<UInt64> {
            #expect(try LogHarness(storage.copy().crash(seed: seed)).payloads.count == 2)
        }
        #expect(try LogHarness(storage.crash(seed: 1)).payloads == [payload(0), payload(1)])
    }

    /// Room for four segments: the first one, two spares for the reserve, and one more.
    private func small() throws -> (MemoryStorage, LogHarness) {
        let storage = MemoryStorage()
        storage.setCapacity(4 * (16 << 10) + 2048)
        let harness = try LogHarness(storage)
        harness.log.waitForSpares()
        return (storage, harness)
    }

    private func fill(_ harness: LogHarness, while condition: () -> Bool) throws -> Int {
        var count = 0
        while condition() {
            _ = try harness.log.append(payload(count, bytes: 200))
            count += 1
            if count % 10 == 0 { harness.sync() }
        }
        harness.sync()
        return count
    }

    @Test("A full disk ends publishes first; the reserve is there for settles")
    func reserve() throws {
        let (_, harness) = try small()
        let published = try fill(harness) { harness.log.publishBytesFree >= 232 }
        #expect(published > 60)
        harness.log.waitForSpares()
        #expect(harness.log.failure == nil)
        var settled = 0
        let error = #expect(throws: LogError.self) {
            settled = try fill(harness) {
                settled += 1
                return true
            }
        }
        guard case .full? = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect((settled - 1) * 232 >= (16 << 10) - 232, "the reserve had \(settled - 1) records")
        #expect(harness.log.failure == nil, "a full disk is no failure")
        #expect(harness.sync())
    }

    @Test("Recycling gives the space back, and publishes go on by themselves")
    func spaceFromRecycling() throws {
        let (_, harness) = try small()
        _ = try fill(harness) { harness.log.publishBytesFree >= 232 }
        #expect(harness.log.publishBytesFree < 232)
        harness.log.recycle(before: harness.log.lastSegment)
        try harness.publish([])
        // The writer tells the thread that keeps the spares; that one tells by its second look at the space.
        harness.waitForSpares { harness.log.publishBytesFree >= 232 }
        #expect(try fill(harness) { harness.log.publishBytesFree >= 232 } > 0)
    }

    @Test("A disk that got room again is found by looking")
    func spaceFromOutside() throws {
        let storage = MemoryStorage()
        storage.setCapacity((16 << 10) + 2048)
        var options = LogHarness.options()
        options.spaceMilliseconds = 1
        let harness = try LogHarness(storage, options)
        harness.log.waitForSpares()
        #expect(harness.log.publishBytesFree == 0)
        #expect(harness.log.statistics.spareProblem?.isDiskFull == true)
        storage.setCapacity(20 * (16 << 10))
        harness.waitForSpares { harness.log.publishBytesFree > 0 && harness.log.statistics.sparesReady == 2 }
        #expect(harness.log.statistics.spareProblem == nil)
    }

    @Test("Below the low-water mark nothing is free for publishes, until there is a quarter more")
    func lowWater() throws {
        let storage = MemoryStorage()
        var options = LogHarness.options()
        options.freeBytesMin = 400_000
        options.spaceMilliseconds = 1
        let harness = try LogHarness(storage, options)
        harness.log.waitForSpares()
        let used = 3 * (16 << 10) + 1024
        for (free, isOpen) in [(450_000, true), (399_000, false), (450_000, false), (501_000, true), (450_000, true)] {
            storage.setCapacity(used + free)
            storage.waitForLooks(2)
            #expect((harness.log.publishBytesFree > 0) == isOpen, "\(free) free")
            #expect(harness.log.freeBytes == free)
        }
        storage.setCapacity(used)
        storage.waitForLooks(2)
        _ = try harness.publish(payload(1))
    }

    @Test("An error while an empty segment is made is no failure of the log")
    func spareError() throws {
        let storage = MemoryStorage()
        storage.setPlan { $0.kind == .allocate && $0.path.contains("spare-000000000001") ? .error(5) : nil }
        let harness = try LogHarness(storage)
        harness.log.waitForSpares()
        #expect(harness.log.failure == nil)
        #expect(harness.log.statistics.spareProblem?.code == 5)
        #expect(try storage.names(in: "data").allSatisfy { !$0.hasSuffix(".new") })
        #expect(harness.sync())
    }
}

extension LogHarness {
    /// Waits for the thread that keeps the empty segments, as often as the condition needs.
    func waitForSpares(_ condition: () -> Bool) {
        for _ in 0..<100_000 {
            log.waitForSpares()
            if condition() { return }
            Clocks.yield()
        }
        preconditionFailure("the empty segments never came")
    }
}
