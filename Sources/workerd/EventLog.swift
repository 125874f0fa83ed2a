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
        case .postponed(let attempt, let error, let wait):
            write(
                .warning,
                "\(error); nothing was done, the event comes again in \(wait.wholeMilliseconds) ms: \(error.advice)",
                attempt)
        case .waitsForDisk(let attempt, let error, let wait):
            write(
                .warning, "\(error); its outcome is tried again in \(wait.wholeMilliseconds) ms: \(error.advice)",
                attempt)
        case .queuePaused(let subscription, let until, let reason):
            let name = "\(subscription.topic)@\(subscription.name)"
            logger.warning(
                "\(instance) paused the deliveries of \(name) until \(EventTime(until)): \(reason); "
                    + "brokerctl resume \(name) ends that earlier",
                ["WORKER_INSTANCE": instance, "BROKER_SUBSCRIPTION": subscription.description])
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
        case .pausedQueue: write(.info, "given back, its queue is paused", attempt, ending: ending, duration: duration)
        case .released: write(.debug, "given back", attempt, ending: ending, duration: duration)
        case .failed(let error):
            write(.warning, "failed, to be retried: \(error)", attempt, ending: ending, duration: duration)
        case .rejected(let reason):
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

extension BrokerError {
    /// What a person can do about a refusal that lasts.
    var advice: String {
        switch code {
        case .topicPaused: "brokerctl resume TOPIC lets its publishes go on"
        case .topicFull: "its subscriptions are behind: start more of their workers, or raise the limit that it names"
        case .diskFull: "make room on the disk of brokerd's data_dir"
        case .topicLimit, .delayedLimit, .unconfirmedLimit: "raise the limit that it names in brokerd.conf"
        default: "brokerctl status and the log of brokerd tell more"
        }
    }
}

extension Duration {
    var wholeMicroseconds: Int64 {
        let (seconds, attoseconds) = components
        return seconds * 1_000_000 + attoseconds / 1_000_000_000_000
    }

    var wholeMilliseconds: Int64 { wholeMicroseconds / 1_000 }
}
