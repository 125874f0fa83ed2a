import LinuxIO
import TestSupport

/// Where the drivers meet the one who kills: the shared history, and which life of the broker is open to them.
final class Arena: Sendable {
    private struct State {
        var history = History()
        var nextNumber = 1
        var nextConnection = 1
        /// Grows with each life; odd while drivers may connect, even while they may not.
        var phase = 0
        var parked = 0
        var isOver = false
        var failures: [String] = []
    }

    private let state = Monitor(State())
    let url: String
    let driverCount: Int

    init(url: String, driverCount: Int) {
        self.url = url
        self.driverCount = driverCount
    }

    var history: History { state.with { $0.history } }
    var failures: [String] { state.with { $0.failures } }

    /// A driver that cannot go on; the run fails.
    func note(failure: String) { state.update { $0.failures.append(failure) } }

    // MARK: Recording

    func nextConnection() -> Int {
        state.with { state in
            state.nextConnection += 1
            return state.nextConnection - 1
        }
    }

    func nextNumbers(_ count: Int) -> Range<Int> {
        state.with { state in
            state.nextNumber += count
            return state.nextNumber - count..<state.nextNumber
        }
    }

    /// Call before the request is sent.
    func invoke(_ operation: History.Operation) -> Int { state.update { $0.history.invoke(operation) } }

    func record(_ event: History.Event) { state.update { $0.history.events.append(event) } }

    // MARK: For the one who kills

    func open(_ survey: History.Survey) {
        state.update { state in
            state.history.events.append(.started(survey))
            state.phase += 1
            state.parked = 0
        }
    }

    /// Waits until that many more events have happened, then for the time.
    /// - Returns: False when the events did not come: the broker or the drivers are stuck.
    func waitForEvents(_ count: Int, thenMilliseconds milliseconds: Int64) -> Bool {
        let start = state.with { $0.history.events.count }
        let came: Bool? = state.wait(milliseconds: Late.milliseconds) { state in
            state.history.events.count >= start + count || !state.failures.isEmpty ? true : nil
        }
        _ = state.wait(milliseconds: milliseconds) { $0.failures.isEmpty ? nil : true }
        return came == true
    }

    /// Call when the process has ended; returns when no driver has a connection any more.
    func close() throws {
        state.update { $0.phase += 1 }
        let isEmpty: Bool? = state.wait(milliseconds: Late.milliseconds) { $0.parked == driverCount ? true : nil }
        guard isEmpty == true else { throw Late("the drivers' end") }
        record(.killed)
    }

    func finish() { state.update { $0.isOver = true } }

    // MARK: For the drivers

    /// - Returns: The number of the open life; nil when all is over.
    func waitForLife(after last: Int) -> Int? {
        state.wait { state -> Int?? in
            if state.isOver { return .some(nil) }
            return state.phase % 2 == 1 && state.phase > last ? .some(state.phase) : nil
        } ?? nil
    }

    func isOpen(_ life: Int) -> Bool { state.with { $0.phase == life } }

    func waitForEnd(of life: Int) { _ = state.wait { $0.phase == life ? nil : true } }

    func park() { state.update { $0.parked += 1 } }
}

/// SplitMix64 (Steele, Lea, Flood 2014).
struct Dice: RandomNumberGenerator {
    private var state: UInt64
    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var word = state
        word = (word ^ (word >> 30)) &* 0xBF58_476D_1CE4_E5B9
        word = (word ^ (word >> 27)) &* 0x94D0_49BB_1331_11EB
        return word ^ (word >> 31)
    }

    /// True that many times in a hundred.
    mutating func percent(_ share: Int) -> Bool { Int.random(in: 0..<100, using: &self) < share }
    mutating func number(_ range: ClosedRange<Int>) -> Int { Int.random(in: range, using: &self) }
}
