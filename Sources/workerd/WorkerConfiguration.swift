import BrokerProtocol
import DaemonKit
import LinuxIO
import Workers

/// What `workerd.conf` says: the runtime's settings and those of each role.
struct WorkerConfiguration {
    static let defaultPath = "/etc/workerd/workerd.conf"
    static let defaultBroker = "unix:///run/brokerd.sock"

    private(set) var broker: Endpoint?
    private(set) var runtime = RuntimeConfiguration(instance: "")
    private(set) var stateDirectory: String
    private(set) var logLevel = LogLevel.info

    private(set) var mailFrom = "shop@localhost"
    private(set) var shopName = "Coffee Shop"
    private(set) var maildir = "Maildir"
    private(set) var mailDatabase = "email.sqlite"

    private(set) var paymentDatabase = "payment.sqlite"
    private(set) var paymentLedger = "ledger.sqlite"

    private(set) var stockDatabase = "inventory.sqlite"
    private(set) var stockFile: String?
    private(set) var reservation: Duration?

    /// - Parameter stateDirectory: The base of relative paths unless the file names another.
    /// - Throws: The first wrong line: an unknown key is an error, for a misspelt limit is no limit.
    init(_ file: ConfigurationFile, stateDirectory: String) throws(ConfigurationError) {
        self.stateDirectory = stateDirectory
        for entry in file.entries {
            switch entry.section {
            case "worker": try readWorker(entry)
            case "email": try readEmail(entry)
            case "payment": try readPayment(entry)
            case "inventory": try readInventory(entry)
            default: throw entry.unknownSection(known: ["worker", "email", "payment", "inventory"])
            }
        }
    }

    /// Relative paths lie in the state directory.
    func path(_ path: String) -> String { path.hasPrefix("/") ? path : "\(stateDirectory)/\(path)" }

    private mutating func readWorker(_ entry: ConfigurationEntry) throws(ConfigurationError) {
        switch entry.key {
        case "broker": broker = try entry.read("tcp://HOST:PORT or unix:///PATH") { Endpoint($0) }
        case "slots": runtime.slots = try entry.number(in: 1...1_000)
        case "prefetch": runtime.prefetch = try entry.number(in: 0...1_000)
        case "attempt_timeout": runtime.attemptTimeout = try span(entry, 100...86_400_000)
        case "lease": runtime.leaseMilliseconds = try span(entry, 1_000...43_200_000).wholeMilliseconds
        case "drain_timeout": runtime.drainTimeout = try span(entry, 0...3_600_000)
        case "stuck_max": runtime.stuckHandlersMax = try entry.number(in: 0...1_000)
        case "state_dir": stateDirectory = try path(entry)
        case "log_level":
            let names = LogLevel.allCases.map(\.name).joined(separator: ", ")
            logLevel = try entry.read("one of \(names)") { LogLevel(name: $0) }
        default:
            throw entry.unknownKey(known: [
                "broker", "slots", "prefetch", "attempt_timeout", "lease", "drain_timeout", "stuck_max", "state_dir",
                "log_level",
            ])
        }
    }

    private mutating func readEmail(_ entry: ConfigurationEntry) throws(ConfigurationError) {
        switch entry.key {
        case "from": mailFrom = try entry.read("an address") { $0.contains("@") ? $0 : nil }
        case "shop_name": shopName = try entry.read("a name") { $0.isEmpty ? nil : $0 }
        case "maildir": maildir = try path(entry)
        case "database": mailDatabase = try path(entry)
        default: throw entry.unknownKey(known: ["from", "shop_name", "maildir", "database"])
        }
    }

    private mutating func readPayment(_ entry: ConfigurationEntry) throws(ConfigurationError) {
        switch entry.key {
        case "database": paymentDatabase = try path(entry)
        case "ledger": paymentLedger = try path(entry)
        default: throw entry.unknownKey(known: ["database", "ledger"])
        }
    }

    private mutating func readInventory(_ entry: ConfigurationEntry) throws(ConfigurationError) {
        switch entry.key {
        case "database": stockDatabase = try path(entry)
        case "stock": stockFile = try path(entry)
        case "reservation_ttl": reservation = try span(entry, 1_000...31_536_000_000)
        default: throw entry.unknownKey(known: ["database", "stock", "reservation_ttl"])
        }
    }

    private func path(_ entry: ConfigurationEntry) throws(ConfigurationError) -> String {
        try entry.read("a path") { $0.isEmpty ? nil : $0 }
    }

    private func span(_ entry: ConfigurationEntry, _ range: ClosedRange<Int64>) throws(ConfigurationError) -> Duration {
        let (least, most) = (
            SettingText.span(milliseconds: range.lowerBound), SettingText.span(milliseconds: range.upperBound)
        )
        return try entry.read("a time span from \(least) to \(most), such as 30s") { text in
            SettingText.milliseconds(text).flatMap { range.contains($0) ? .milliseconds($0) : nil }
        }
    }
}
