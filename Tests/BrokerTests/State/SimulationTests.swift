import Foundation
import Testing

@testable import Broker

@Suite("Random operations against a plain model") struct SimulationTests {
    private static func number(_ name: String) -> UInt64? {
        ProcessInfo.processInfo.environment[name].flatMap { UInt64($0) }
    }

    /// `BROKER_SEED=7` runs one seed; `BROKER_SEEDS=5000` runs that many; `BROKER_STEPS` sets their length.
    private static var seeds: Range<UInt64> {
        if let seed = number("BROKER_SEED") { return seed..<seed + 1 }
        return 1..<1 + (number("BROKER_SEEDS") ?? 40)
    }

    @Test("The state answers, delivers, counts and recovers as the model does", arguments: 0..<4 as Range<UInt64>)
    func agrees(part: UInt64) throws {
        let steps = Int(Self.number("BROKER_STEPS") ?? 300)
        for seed in Self.seeds where seed % 4 == part {
            do {
                try Simulation(seed: seed).run(steps: steps)
            } catch {
                Issue.record("seed \(seed), \(error)\nBROKER_SEED=\(seed) swift test --filter SimulationTests")
                return
            }
        }
    }
}
