import DaemonKit

extension DeadAlarm {
    /// A warning when it begins, a notice when it ends.
    func log(to logger: Logger) {
        let fields: KeyValuePairs = [
            "BROKER_TOPIC": subscription.topic.text, "BROKER_SUBSCRIPTION": "\(subscription)",
            "BROKER_DEAD": "\(dead)",
        ]
        if isRaised {
            logger.warning(
                "\(subscription) has \(dead) dead letters; its dead_max is \(deadMax)", event: .deadAlarmRaised, fields)
        } else {
            logger.notice(
                "\(subscription) has \(dead) dead letters, no longer too many", event: .deadAlarmEnded, fields)
        }
    }
}
