import Foundation
import Testing

/// Every rule in every form: in this process, over a Unix socket, over TCP, each with and without a restart of the
/// broker in the middle. `BROKER_SCENARIO=P4` plays those of one rule.
@Suite("Conformance") struct ConformanceTests {
    private static let chosen = Scenario.all.filter { scenario in
        let rule = ProcessInfo.processInfo.environment["BROKER_SCENARIO"]
        return rule == nil || rule == scenario.rule
    }

    @Test("A broker keeps its rules", .timeLimit(.minutes(2)), arguments: chosen, Stage.Form.all)
    func keeps(scenario: Scenario, form: Stage.Form) async throws {
        try await scenario.play(try await Stage(form, scenario.configure))
    }
}
