import BrokerProtocol
import DaemonKit
import Workers

/// Writes what happens in a runtime to the log. Bodies are never logged.
struct EventLog: Sendable {
    let logger: Logger
    let instance: String

    func write(_ event: RuntimeEvent) {
        switch event {
        case .ready: logger.notice("\(instance) is ready", event: .ready, ["WORKER_INSTANCE": instance])
        case .reconnected:
            logger.notice("\(instance) has the broker back", event: .brokerFound, ["WORKER_INSTANCE": instance])
        case .brokerGone(let error, let nextTry, let wait):
            logger.log(
                nextTry <= 2 ? .warning : .info,
                "\(instance) has no broker: \(error); try \(nextTry) in \(wait.wholeMilliseconds) ms",
                event: .brokerLost, ["WORKER_INSTANCE": instance, "BROKER_ERROR": error.code.name])
        case .started(let attempt): write(.debug, "starts", attempt)
        case .settled(let attempt, let ending, let duration): settled(attempt, ending, duration)
        case .dropped(let attempt, let reason, let duration):
            write(.warning, "outcome dropped, the event comes again: \(reason)", attempt, duration: duration)
        case .timedOut(let attempt): write(.warning, "ran out of time, its task is cancelled", attempt)
        case .leaseLost(let attempt): write(.warning, "lost its lease", attempt, event: .leaseLost)
        case .stuck(let attempt, let count):
            write(.error, "ignores its cancellation, its slot is replaced; \(count) handlers are stuck", attempt)
        case .draining(let running):
            logger.notice(
                "\(instance) drains, \(running) handlers run", event: .draining, ["WORKER_INSTANCE": instance])
        case .cancelling(let running):
            logger.warning("\(instance) cancels \(running) handlers", ["WORKER_INSTANCE": instance])
        case .drained: logger.notice("\(instance) is drained", event: .stopped, ["WORKER_INSTANCE": instance])
        }
    }

    private func settled(_ attempt: Attempt, _ ending: Ending, _ duration: Duration) {
        switch ending {
        case .done(let published):
            write(.debug, "done, \(published) published", attempt, ending: ending, duration: duration)
        case .snoozed(let time):
            write(
                .debug, "again in \(time.wholeMilliseconds) ms", attempt, ending: ending, duration: duration)
        case .released: write(.debug, "given back", attempt, ending: ending, duration: duration)
        case .retried(let error):
            write(.warning, "failed, to be retried: \(error)", attempt, ending: ending, duration: duration)
        case .dead(let reason):
            write(
                .error, "dead-lettered: \(reason)", attempt, event: .deadLettered, ending: ending,
                duration: duration)
        }
    }

    private func write(
        _ level: LogLevel, _ text: String, _ attempt: Attempt, event: LogEvent? = nil, ending: Ending? = nil,
        duration: Duration? = nil
    ) {
        logger.log(
            level, "\(attempt.subscription) message \(attempt.id) attempt \(attempt.number) \(text)", event: event,
            [
                "WORKER_INSTANCE": instance,
                "BROKER_SUBSCRIPTION": attempt.subscription.description,
                "BROKER_MESSAGE": attempt.id.description,
                "BROKER_ATTEMPT": String(attempt.number),
                "BROKER_OUTCOME": ending?.name ?? "",
                "BROKER_DURATION_USEC": duration.map { String($0.wholeMicroseconds) } ?? "",
            ])
    }
}

extension Duration {
    var wholeMicroseconds: Int64 {
        let (seconds, attoseconds) = components
        return seconds * 1_000_000 + attoseconds / 1_000_000_000_000
    }

    var wholeMilliseconds: Int64 { wholeMicroseconds / 1_000 }
}
