import Broker
import BrokerClient
import BrokerProtocol
import Testing

/// Where a scenario plays: a broker on a directory of its own, reached in one way, whose time is the scenario's.
final class Stage {
    /// How the broker is reached, and whether it is started again in the middle of the scenario.
    struct Form: CustomTestStringConvertible, Sendable {
        let way: BrokerHouse.Way
        let restarts: Bool
        var testDescription: String { way.rawValue + (restarts ? ", with a restart" : "") }

        static let all = BrokerHouse.Way.allCases.flatMap { way in
            [false, true].map { Form(way: way, restarts: $0) }
        }
    }

    let form: Form
    let clock = ManualClock()
    private let house: BrokerHouse
    /// The connection that the scenario's words use; a new one after each restart.
    private(set) var broker: any MessageBroker
    /// Sees to it that the broker has looked at the clock.
    private var observer: any MessageBroker

    var restarts: Bool { form.restarts }

    init(_ form: Form, _ change: (inout BrokerConfiguration) -> Void) async throws {
        self.form = form
        house = try BrokerHouse(clock: clock.brokerClock, seed: 7) { configuration in
            // The clients' clocks go on while that of the broker leaps.
            configuration.heartbeatMilliseconds = 40 * 86_400_000
            change(&configuration)
        }
        broker = try await house.connect(form.way, instance: "stage")
        observer = try house.broker.connect(instance: "observer")
    }

    /// One more connection.
    func connect(_ instance: String = "other") async throws -> any MessageBroker {
        try await house.connect(form.way, instance: instance)
    }

    /// The middle of the scenario: the broker is stopped and started again, in the forms that want it. Then its leases
    /// and connections are over.
    func middle() async throws {
        if restarts { try await restart() }
    }

    /// - Parameters:
    ///   - monotonic, wall: So much passes while the broker is down.
    func restart(
        monotonic: Int64 = 0, wall: Int64 = 0, _ change: (inout BrokerConfiguration) -> Void = { _ in }
    ) async throws {
        await house.broker.stop()
        clock.move(monotonic: monotonic, wall: wall)
        try house.start(change)
        broker = try await house.connect(form.way, instance: "stage")
        observer = try house.broker.connect(instance: "observer")
    }

    /// Ends the stage's connection, and makes it anew.
    func reconnect() async throws {
        await broker.close()
        broker = try await house.connect(form.way, instance: "stage")
    }

    func drain() { house.broker.drain(milliseconds: 60_000) }

    /// A second broker on the same directory.
    func startSecond() throws { try house.startSecond() }

    // MARK: Time

    func pass(milliseconds: Int64) async throws { try await move(monotonic: milliseconds, wall: milliseconds) }
    func pass(seconds: Int64) async throws { try await pass(milliseconds: seconds * 1_000) }

    /// Moves the clocks, alike or not; on return the broker has done what the new time brought about.
    func move(monotonic: Int64, wall: Int64) async throws {
        clock.move(monotonic: monotonic, wall: wall)
        // The first answer may come from a turn that began before.
        for _ in 1...2 { _ = try await observer.status() }
    }

    func later(seconds: Int64) -> WallTime { clock.wall.adding(milliseconds: seconds * 1_000) }
}
