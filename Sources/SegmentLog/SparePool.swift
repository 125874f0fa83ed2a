import LinuxIO
import Synchronization

/// Keeps empty segments ready on a thread of its own, so that neither the loop nor the writer waits for zeros.
final class SparePool: Sendable {
    private struct Stock {
        var ready: [UInt64]
        var next: UInt64
        /// Segments that no superblock counts any more.
        var retired: [UInt64] = []
        var freeBytes: Int
        /// Why the last spare could not be made; the next try comes with the next look at the free space.
        var problem: SystemError?
        /// The file system has less than the low-water mark.
        var isLow = false
        var isWorking = false
        var isStopping = false
    }

    private let directory: LogDirectory
    private let options: LogOptions
    /// What a segment holds for sure, less what small records leave unused at its end.
    private let usable: Int
    /// How many spares are kept ready.
    let target: Int
    /// More than these are deleted.
    private let surplus: Int
    private let stock: Monitor<Stock>
    /// What publishes may write behind the present segment; below zero when a part of that one is reserved too.
    private let publishable = Atomic<Int>(0)
    /// What can be written behind the present segment at all.
    private let writable = Atomic<Int>(0)

    init(_ directory: LogDirectory, options: LogOptions, spares: [UInt64]) {
        self.directory = directory
        self.options = options
        let usable = LogGeometry(segmentBytes: options.segmentBytes).recordBytesPerSegment
        self.usable = usable - min(4096, usable / 8)
        target = max(1, options.sparesMin, (options.reserveBytes + self.usable - 1) / self.usable)
        surplus = target + 2
        let freeBytes = (try? directory.storage.freeBytes(directory.path)) ?? 0
        var first = Stock(ready: spares, next: (spares.max() ?? 0) + 1, freeBytes: freeBytes)
        first.isLow = freeBytes < options.freeBytesMin
        publishable.store(Self.publishable(first, options: options, usable: self.usable), ordering: .releasing)
        writable.store(Self.writable(first, options: options, usable: self.usable), ordering: .releasing)
        stock = Monitor(first)
    }

    /// Runs the thread; ``stop()`` ends it.
    func start() -> SystemThread { SystemThread(name: "log-prepare") { self.run() } }

    func stop() { stock.update { $0.isStopping = true } }

    /// Takes a spare; waits for one that is being made.
    func take() throws(LogError) -> UInt64 {
        let answer: Result<UInt64, LogError>? = stock.wait { stock in
            if !stock.ready.isEmpty {
                let spare = stock.ready.removeFirst()
                self.publish(stock)
                return .success(spare)
            }
            if stock.isStopping { return .failure(.closed) }
            guard let problem = stock.problem else { return nil }
            return .failure(problem.isDiskFull ? .full(freeBytes: stock.freeBytes) : .system(problem))
        }
        stock.update { _ in }  // Wakes the thread: a spare is missing now.
        guard let answer else { throw .closed }
        return try answer.get()
    }

    func retire(_ segments: Range<UInt64>) { stock.update { $0.retired.append(contentsOf: segments) } }

    /// Waits until the wanted spares are ready, or there is no room for them.
    func waitUntilSettled() {
        stock.wait { stock in
            stock.isStopping || (!stock.isWorking && !self.hasWork(stock)) ? () : nil
        }
    }

    var readyCount: Int { stock.with { $0.ready.count } }
    var freeBytes: Int { stock.with { $0.freeBytes } }
    var problem: SystemError? { stock.with { $0.problem } }

    /// A record that does not fit into the present segment leaves the rest of it unused, so the two are not added.
    /// - Parameter present: The room left in the present segment.
    func publishBytesFree(present: Int) -> Int {
        let beyond = publishable.load(ordering: .acquiring)
        if beyond == .min { return 0 }
        return beyond < 0 ? max(0, present + beyond) : max(present, beyond)
    }

    private static func publishable(_ stock: Stock, options: LogOptions, usable: Int) -> Int {
        if stock.isLow { return .min }
        let room = max(0, stock.freeBytes - options.freeBytesMin) / options.segmentBytes
        let segments = stock.ready.count + (stock.problem == nil ? room : 0)
        return segments * usable - options.reserveBytes
    }

    /// - Parameter present: The room left in the present segment.
    func bytesFree(present: Int) -> Int { present + writable.load(ordering: .acquiring) }

    private static func writable(_ stock: Stock, options: LogOptions, usable: Int) -> Int {
        (stock.ready.count + (stock.problem == nil ? stock.freeBytes / options.segmentBytes : 0)) * usable
    }

    private func publish(_ stock: Stock) {
        publishable.store(Self.publishable(stock, options: options, usable: usable), ordering: .releasing)
        writable.store(Self.writable(stock, options: options, usable: usable), ordering: .releasing)
    }

    private func hasWork(_ stock: Stock) -> Bool {
        if !stock.retired.isEmpty || stock.ready.count > surplus { return true }
        return stock.ready.count < target && stock.problem == nil
    }

    private func run() {
        while true {
            enum Order { case stop, work }
            let order = stock.wait(milliseconds: options.spaceMilliseconds) { stock -> Order? in
                if stock.isStopping { return .stop }
                guard self.hasWork(stock) else { return nil }
                stock.isWorking = true
                return .work
            }
            switch order {
            case .stop: return
            case .work:
                let problem = work()
                look(problem)
            case nil: look(nil)
            }
        }
    }

    /// Looks at the free space, and allows the next try.
    private func look(_ problem: SystemError?) {
        let freeBytes = (try? directory.storage.freeBytes(directory.path)) ?? 0
        stock.update { stock in
            stock.freeBytes = freeBytes
            stock.problem = problem
            let mark = options.freeBytesMin + (stock.isLow ? options.freeBytesMin / 4 : 0)
            stock.isLow = freeBytes < mark
            stock.isWorking = false
            self.publish(stock)
        }
    }

    /// One step: a retired segment, a missing spare or a surplus one.
    private func work() -> SystemError? {
        enum Step { case recycle(UInt64, UInt64), delete(UInt64), make(UInt64), none }
        let step = stock.with { stock -> Step in
            let number = stock.next
            if !stock.retired.isEmpty {
                stock.next += 1
                return .recycle(stock.retired.removeFirst(), number)
            }
            if stock.ready.count > surplus, let spare = stock.ready.popLast() { return .delete(spare) }
            if stock.ready.count < target {
                stock.next += 1
                return .make(number)
            }
            return .none
        }
        do throws(SystemError) {
            switch step {
            case .recycle(let segment, let spare):
                // If it fails, the next start tries again: the superblocks do not count the segment any more.
                try directory.retire(segment: segment, as: spare)
                stock.with { $0.ready.append(spare) }
            case .delete(let spare): try directory.storage.remove(directory.spareFile(spare))
            case .make(let spare):
                let isStopping = { self.stock.with { $0.isStopping } }
                if try directory.makeSpare(spare, bytes: options.segmentBytes, isCancelled: isStopping) {
                    stock.with { $0.ready.append(spare) }
                }
            case .none: break
            }
            return nil
        } catch {
            return error
        }
    }
}
