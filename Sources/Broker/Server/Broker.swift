public import BrokerProtocol
package import DaemonKit
import LinuxIO
package import SegmentLog
import Synchronization

/// A durable message broker in this process: the log in a directory, and any number of sessions.
///
///     let broker = try await Broker.start(BrokerConfiguration(dataDirectory: "events"))
///     let session = try broker.connect(instance: "shop")
///     try await session.publish(OutgoingMessage(topic: TopicName("order.created")!, body: body))
///     await broker.stop()
///
/// Two threads of its own carry everything: the loop and the log's writer.
public final class Broker: Sendable {
    /// How the broker came to its end.
    public enum Ending: Error, Sendable, CustomStringConvertible {
        case stopped
        /// Nothing that was not confirmed is safe; a new start recovers what was.
        case failed(String)

        public var description: String {
            switch self {
            case .stopped: "the broker was stopped"
            case .failed(let reason): reason
            }
        }
    }

    private enum Phase {
        case starting
        case running
        case refused(any Error)
        case ended(Ending)
    }

    private let mailbox: Mailbox
    private let sessionCount = Atomic<UInt64>(0)
    private let phase: Monitor<Phase>
    /// For the watchdog.
    package let pulse = Pulse()

    /// Opens the data directory, recovers, and begins to listen.
    /// - Throws: What is wrong with the directory or the log, in words that say what to do.
    public static func start(_ configuration: BrokerConfiguration) async throws -> Broker {
        try await withCheckedThrowingContinuation { continuation in
            _ = SystemThread(name: "broker-start") {
                continuation.resume(with: Result { try start(configuration) })
            }
        }
    }

    /// The same for a daemon: blocks, and takes listeners.
    /// - Parameters:
    ///   - listeners: Served once the log is recovered. They are open before, so clients wait instead of being refused.
    ///   - progress: Called on the loop's thread while the log is read.
    ///   - clock: Where time comes from, and `seed` where chance does.
    package static func start(
        _ configuration: BrokerConfiguration, listeners: [Listener] = [],
        logger: Logger = Logger(level: .error) { _ in },
        progress: @escaping @Sendable (RecoveryProgress) -> Void = { _ in },
        recovered: @escaping @Sendable (RecoveryReport) -> Void = { _ in },
        clock: BrokerClock = .system, seed: UInt64 = Entropy.word()
    ) throws -> Broker {
        let broker = Broker(mailbox: try Mailbox())
        _ = SystemThread(name: "broker-loop") {
            broker.run(configuration, listeners, logger, progress, recovered, clock, seed)
        }
        let refusal = broker.phase.wait { phase -> (any Error)?? in
            switch phase {
            case .starting: nil
            case .running, .ended: .some(nil)
            case .refused(let error): .some(error)
            }
        }
        if let refusal, let error = refusal { throw error }
        return broker
    }

    private init(mailbox: Mailbox) {
        self.mailbox = mailbox
        phase = Monitor(.starting)
    }

    private func run(
        _ configuration: BrokerConfiguration, _ listeners: [Listener], _ logger: Logger,
        _ progress: @Sendable (RecoveryProgress) -> Void, _ recovered: @Sendable (RecoveryReport) -> Void,
        _ clock: BrokerClock, _ seed: UInt64
    ) {
        let loop: EventLoop
        do {
            let waker = mailbox.waker
            let (engine, report) = try Engine.recover(
                configuration, seed: seed, onDurable: { waker.wake() }, progress: progress)
            try engine.state.configure(
                topics: configuration.topics.map { ($0.name, $0.settings) },
                subscriptions: configuration.subscriptions.map { ($0.name, $0.settings) })
            loop = try EventLoop(
                engine: engine, configuration: configuration, listeners: listeners, mailbox: mailbox, pulse: pulse,
                logger: logger, clock: clock, nextSession: { [self] in newSessionID() })
            recovered(report)
        } catch {
            for listener in listeners { listener.close() }
            phase.update { $0 = .refused(error) }
            return
        }
        phase.update { $0 = .running }
        var ending = Ending.stopped
        do {
            try loop.run()
        } catch {
            ending = .failed("\(error)")
        }
        let failure = loop.finish(BrokerError(.connectionLost, ending.description))
        if case .stopped = ending, let failure { ending = .failed("\(failure)") }
        phase.update { $0 = .ended(ending) }
    }

    private func newSessionID() -> SessionID {
        SessionID(rawValue: sessionCount.add(1, ordering: .relaxed).newValue)
    }

    /// A session of this process; its leases end with it.
    /// - Parameter instance: Names the user in errors and dead letters.
    public func connect(instance: String) throws(BrokerError) -> LocalSession {
        let session = LocalSession(id: newSessionID(), name: instance, mailbox: mailbox)
        guard mailbox.post(.open(session.id, session)) else { throw BrokerError(.closed, "the broker has ended") }
        return session
    }

    /// Changes limits, topics and subscriptions: all of it, or nothing. The data directory, the listeners and the log's
    /// sizes stay as they were at the start.
    public func reconfigure(_ configuration: BrokerConfiguration) async throws(BrokerError) {
        let result = await withCheckedContinuation { continuation in
            let isPosted = mailbox.post(.configure(configuration) { continuation.resume(returning: $0) })
            if !isPosted { continuation.resume(returning: .failure(BrokerError(.closed, "the broker has ended"))) }
        }
        try result.get()
    }

    /// The same for a thread that may block.
    package func reconfigureAndWait(_ configuration: BrokerConfiguration) throws(BrokerError) {
        let answer = Monitor<Result<Void, BrokerError>?>(nil)
        guard mailbox.post(.configure(configuration) { result in answer.update { $0 = result } }) else {
            throw BrokerError(.closed, "the broker has ended")
        }
        try answer.wait { $0 }?.get()
    }

    /// Asks for an end: nothing is delivered any more, verdicts are taken until all leases are settled or the time is
    /// over, then everything is synced. Returns at once; ``waitUntilEnded()`` tells when.
    public func drain(milliseconds: Int64) { _ = mailbox.post(.drain(milliseconds: milliseconds)) }

    /// Nil while the broker runs.
    package var ending: Ending? {
        phase.with { phase in
            if case .ended(let ending) = phase { ending } else { nil }
        }
    }

    /// Blocks until the broker has ended.
    package func waitUntilEnded() -> Ending {
        phase.wait { phase in
            if case .ended(let ending) = phase { ending } else { nil }
        } ?? .stopped
    }

    /// Drains without waiting for verdicts, syncs, and ends. Open leases are delivered again at the next start.
    public func stop(drainMilliseconds: Int64 = 0) async {
        drain(milliseconds: drainMilliseconds)
        await withCheckedContinuation { continuation in
            _ = SystemThread(name: "broker-stop") { [self] in
                _ = waitUntilEnded()
                continuation.resume()
            }
        }
    }
}
