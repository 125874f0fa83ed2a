/// How bad it is; the raw value is the journal's `PRIORITY`.
package enum LogLevel: Int, Comparable, Sendable, CaseIterable {
    case critical = 2, error, warning, notice, info, debug

    /// True when `left` is less bad than `right`.
    package static func < (left: Self, right: Self) -> Bool { left.rawValue > right.rawValue }

    /// `critical`, `error`, `warning`, `notice`, `info`, `debug`.
    package var name: String {
        switch self {
        case .critical: "critical"
        case .error: "error"
        case .warning: "warning"
        case .notice: "notice"
        case .info: "info"
        case .debug: "debug"
        }
    }

    package init?(name: String) {
        guard let level = Self.allCases.first(where: { $0.name == name }) else { return nil }
        self = level
    }
}

/// The kinds of event that machines look for; the raw value is the journal's `MESSAGE_ID` and never changes.
package enum LogEvent: String, Sendable, CaseIterable {
    case started = "c5b7e7e509a9418281503dc7635a3d1f"
    case ready = "54aa5de53d7b4e4c94f5ea06dcd9b74c"
    case reloaded = "d7dc7dc679d94ab09885dc0c45d1e022"
    case reloadRefused = "c494e33c2f784749a8b52f1f7d6c907d"
    case draining = "50c56b41e1b44df18b663402f419d168"
    case stopped = "37e9e38b116b4cf4a90859b80c1a1901"
    case tornTailCut = "a1815a9e934b4824b9f4e69ac8473f8e"
    case damageFound = "06f57f64e76e40549f75769e6ff8775a"
    case storageFailed = "4852091c7a1c4044a46167fb99203d82"
    case diskFull = "a9f2131c612842fe86322128f0f9d375"
    case diskFreed = "573b93dd845d4575be770fcd31cf9d0c"
    case deadAlarmRaised = "b6a3f2f0c7c84d0f8d1e5a9c0f6e7d21"
    case deadAlarmEnded = "3f9d2c64a1b54e7f9a70c2d8e4b6f513"
    case deadLettered = "060f6e4e5b5e486389ce4ca34a5d70f6"
    case brokerLost = "a6288d6b3a2c4223898ed484734dbd63"
    case brokerFound = "c687b36690ae44429dce88d9e5ea142e"
    case leaseLost = "c656f5a544b342e781c1e4ab39b7d03d"
    case watchdogWithheld = "2b6ed8fe19394c24b6096a9a25add58b"
}

/// One line of the log, before a sink gives it a form.
package struct LogRecord: Equatable, Sendable {
    package struct Field: Equatable, Sendable {
        /// Upper-case ASCII letters, digits and `_`, not starting with `_`, such as `BROKER_TOPIC`.
        package let name: String
        package let value: String
    }

    package let level: LogLevel
    package let event: LogEvent?
    package let message: String
    package let fields: [Field]
    /// Since 1970-01-01 UTC.
    package let wallMilliseconds: Int64
}
