import SegmentLog
import TestSupport
import Testing

/// A run that appends, rolls, recycles, closes and starts again, until something stops it.
private struct Workload {
    private(set) var appended: [[UInt8]] = []
    /// Where each record was, in the order of ``appended``.
    private(set) var positions: [UInt64] = []
    /// How many of them were durable.
    private(set) var confirmed = 0
    private(set) var firstSegment: UInt64 = 0
    private(set) var error: LogError?
    private(set) var operationsAfterFailure = 0

    init(on storage: MemoryStorage) {
        do {
            try run(storage, records: 12, closes: true)
            try run(storage, records: 14, closes: false)
        } catch {
            self.error = error as? LogError
        }
    }

    private mutating func run(_ storage: MemoryStorage, records: Int, closes: Bool) throws {
        let harness = try LogHarness(storage)
        harness.log.waitForSpares()
        for _ in 0..<records {
            let record = payload(appended.count, bytes: 1600 + appended.count * 97 % 1600)
            positions.append(try harness.log.append(record))
            appended.append(record)
            if appended.count % 3 == 0 { continue }
            let isWell = harness.sync()
            let durableEnd = harness.log.durableEnd
            confirmed = max(confirmed, positions.count { $0 < durableEnd })
            if !isWell {
                // Spares are made on a thread of their own; what counts here is the writer.
                harness.log.waitForSpares()
                let before = storage.operations
                harness.sync()
                operationsAfterFailure = storage.operations - before
                if let failure = harness.log.failure { throw failure }
            }
            if harness.log.lastSegment >= harness.log.firstSegment + 2 {
                firstSegment = harness.log.lastSegment - 1
                harness.log.recycle(before: firstSegment)
                // The next sync comes after it.
            }
            harness.log.waitForSpares()
        }
        guard closes else { return }
        try harness.log.close()
        confirmed = appended.count
    }

    /// What every later start must give back: all that was confirmed, nothing that was not appended, in order; the
    /// recycled part wholly or not at all.
    func check(_ payloads: [[UInt8]], _ note: String) {
        let recycled = positions.count { $0 / (16 << 10) < firstSegment }
        guard let first = payloads.first else {
            #expect(confirmed - recycled <= 0, "\(note): everything is gone")
            return
        }
        guard let start = appended.firstIndex(of: first) else {
            Issue.record("\(note): a record that nobody appended")
            return
        }
        #expect(start <= recycled, "\(note): the beginning is gone")
        #expect(start + payloads.count >= confirmed, "\(note): a confirmed record is gone")
        #expect(payloads == Array(appended[start...].prefix(payloads.count)), "\(note)")
    }
}

@Suite("The log survives a crash at every operation")
struct LogCrashTests {
    private static func storage(failingAt number: Int, _ fault: MemoryStorage.Fault) -> MemoryStorage {
        let storage = MemoryStorage()
        storage.setPlan { $0.number == number ? fault : nil }
        return storage
    }

    private static let operations: Int = {
        let storage = MemoryStorage()
        _ = Workload(on: storage)
        return storage.operations
    }()

    @Test("The reference workload rolls, recycles, and ends well")
    func reference() throws {
        let storage = MemoryStorage()
        let workload = Workload(on: storage)
        #expect(workload.error == nil)
        #expect(workload.firstSegment >= 3)
        #expect(storage.operations > 100, "\(storage.operations)")
        workload.check(try LogHarness(storage.crash(seed: 1)).payloads, "no crash")
    }

    @Test("Power lost before and after each operation: nothing confirmed is lost, nothing else appears")
    func everyOperation() throws {
        for number in 1...Self.operations {
            for (fault, seed) in [(MemoryStorage.Fault.crashBefore, 1), (.crashAfter, 2), (.crashAfter, 3)] {
                let storage = Self.storage(failingAt: number, fault)
                let workload = Workload(on: storage)
                let image = storage.crash(seed: UInt64(number * 10 + seed))
                let harness = try LogHarness(image)
                workload.check(harness.payloads, "operation \(number), seed \(seed)")
                // It works again, and a second start agrees.
                try harness.publish([1, 2, 3])
                let again = try LogHarness(image.crash(seed: UInt64(number)))
                #expect(again.payloads == harness.payloads + [[1, 2, 3]], "operation \(number), seed \(seed)")
            }
        }
    }

    @Test("Power lost during recovery: the next one finds the same")
    func crashInRecovery() throws {
        for number in stride(from: 1, through: Self.operations, by: 3) {
            let storage = Self.storage(failingAt: number, .crashAfter)
            _ = Workload(on: storage)
            let image = storage.crash(seed: UInt64(number))
            let expected = try LogHarness(image.copy()).payloads
            for second in 1...14 {
                let again = image.copy()
                let fault: MemoryStorage.Fault = second % 2 == 0 ? .crashBefore : .crashAfter
                again.setPlan { $0.number == second ? fault : nil }
                _ = try? LogHarness(again)
                let last = try LogHarness(again.crash(seed: UInt64(number * 100 + second)))
                #expect(last.payloads == expected, "operation \(number), then \(second)")
            }
        }
    }

    @Test("An error of each operation, whole or torn: no sync after it, and nothing confirmed is lost")
    func everyError() throws {
        for number in 1...Self.operations {
            for fault in [MemoryStorage.Fault.error(5), .torn(5), .error(28)] {
                let storage = Self.storage(failingAt: number, fault)
                let workload = Workload(on: storage)
                #expect(workload.operationsAfterFailure == 0, "operation \(number)")
                storage.setPlan(nil)
                // The process ends and starts again, over the same page cache, and then the power goes.
                let expected: [[UInt8]]
                do {
                    let harness = try LogHarness(storage)
                    workload.check(harness.payloads, "error at \(number)")
                    expected = harness.payloads
                }
                let image = storage.crash(seed: UInt64(number) | 1 << 40)
                #expect(try LogHarness(image).payloads == expected, "error at \(number)")
            }
        }
    }
}
