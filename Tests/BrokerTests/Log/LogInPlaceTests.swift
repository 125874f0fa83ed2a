import LinuxIO
import SegmentLog
import TestSupport
import Testing

@Suite("The log writes a small batch in the caller's thread")
struct LogInPlaceTests {
    @Test("It is durable when the flush returns, and comes back")
    func durable() throws {
        let storage = MemoryStorage()
        do {
            let harness = try LogHarness(storage)
            harness.log.waitForSpares()
            for number in 0..<50 {
                _ = try harness.log.append(payload(number))
                harness.log.flush(mayWait: true)
                // The writer's thread may have work of its own, such as a roll.
                harness.waitUntil { harness.log.durableEnd == harness.log.end }
            }
            #expect(harness.log.statistics.syncs == 50)
        }
        #expect(try LogHarness(storage.crash(seed: 3)).payloads == (0..<50).map { payload($0) })
    }

    @Test("A large batch, and one behind another, are the writer's")
    func large() throws {
        let harness = try LogHarness(MemoryStorage())
        _ = try harness.log.append(payload(1, bytes: 5_000))
        harness.log.flush(mayWait: true)
        _ = try harness.log.append(payload(2))
        harness.log.flush(mayWait: true)
        harness.waitUntil { harness.log.durableEnd == harness.log.end }
        try harness.log.close()
    }

    @Test("A sync that fails there is fatal too: nothing more is durable, and the end is no orderly one")
    func failure() throws {
        let storage = MemoryStorage()
        let harness = try LogHarness(storage)
        harness.log.waitForSpares()
        _ = try harness.log.append(payload(0))
        harness.log.flush(mayWait: true)
        harness.waitUntil { harness.log.durableEnd == harness.log.end }
        let durableEnd = harness.log.durableEnd
        storage.setPlan { operation in
            operation.kind == .sync && operation.path == segmentFile(0) ? .error(MemoryStorage.inputOutputError) : nil
        }
        _ = try harness.log.append(payload(1))
        harness.log.flush(mayWait: true)
        // The thread may be at the desk for the watermark; then it is the one that meets the error.
        harness.waitUntil { harness.log.failure != nil }
        guard case .system(let error)? = harness.log.failure else {
            Issue.record("no failure")
            return
        }
        #expect(error.code == MemoryStorage.inputOutputError && harness.log.durableEnd == durableEnd)
        storage.setPlan(nil)
        #expect(throws: LogError.system(error)) { _ = try harness.log.append(payload(2)) }
        #expect(throws: LogError.system(error)) { try harness.log.close() }
        #expect(harness.log.durableEnd == durableEnd)
        #expect(try !LogHarness(storage.copy()).report.wasClosed)
    }

    @Test("An idle log writes the watermark of such batches down, also when its thread was at rest")
    func watermark() throws {
        let storage = MemoryStorage()
        var options = LogHarness.options()
        options.idleMilliseconds = 1
        let harness = try LogHarness(storage, options)
        for number in 0..<3 {
            let writes = Monitor(0)
            storage.setPlan { operation in
                if operation.kind == .sync, operation.path.contains("superblock") { writes.update { $0 += 1 } }
                return nil
            }
            _ = try harness.log.append(payload(number))
            harness.log.flush(mayWait: true)
            #expect(writes.wait(milliseconds: 20_000) { $0 > 0 ? true : nil } == true)
        }
        storage.setPlan(nil)
    }
}
