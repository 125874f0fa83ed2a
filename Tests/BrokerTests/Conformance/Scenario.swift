import Broker
import Testing

/// A rule of docs/SEMANTICS.md as a user of `MessageBroker` meets it: what is done, and what is refused.
struct Scenario: CustomTestStringConvertible, Sendable {
    /// The rule's name, such as `P4`.
    let rule: String
    /// What it shows; stands in docs/SEMANTICS.md beside the rule.
    let sentence: String
    let configure: @Sendable (inout BrokerConfiguration) -> Void
    let play: @Sendable (Stage) async throws -> Void

    var testDescription: String { "\(rule) \(sentence)" }

    init(
        _ rule: String, _ sentence: String,
        configure: @escaping @Sendable (inout BrokerConfiguration) -> Void = { _ in },
        _ play: @escaping @Sendable (Stage) async throws -> Void
    ) {
        self.rule = rule
        self.sentence = sentence
        self.configure = configure
        self.play = play
    }

    static let all: [Scenario] = [
        PublishScenarios.all, LimitScenarios.all, TimeScenarios.all, SubscriptionScenarios.all, DeliveryScenarios.all,
        DispatchScenarios.all, KeyScenarios.all, SettleScenarios.all, DeadLetterScenarios.all, LookScenarios.all,
        FailureScenarios.all,
    ].flatMap(\.self)
}
