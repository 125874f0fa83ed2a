import BrokerProtocol
package import DaemonKit
import LinuxIO

/// Turns the lines of `brokerd.conf` into a configuration. An unknown key is an error: a misspelt limit is no limit.
package struct ConfigurationReader {
    package private(set) var configuration: BrokerConfiguration
    package private(set) var logLevel = LogLevel.info
    private let entries: [ConfigurationEntry]

    /// - Throws: ``ConfigurationError`` with file and line; the first one that is met.
    package init(_ file: ConfigurationFile) throws(ConfigurationError) {
        configuration = BrokerConfiguration(dataDirectory: "/var/lib/brokerd")
        entries = file.entries
        for entry in entries where entry.section == "broker" { try readBroker(entry) }
        for entry in entries where entry.section == "defaults" {
            try set(entry) { (key, value) throws(BrokerError) in try configuration.defaults.set(key, to: value) }
        }
        for entry in entries where entry.section != "broker" && entry.section != "defaults" { try readNamed(entry) }
        try validate()
    }

    private mutating func readBroker(_ entry: ConfigurationEntry) throws(ConfigurationError) {
        switch entry.key {
        case "data_dir": configuration.dataDirectory = try entry.read("a path") { $0.isEmpty ? nil : $0 }
        case "listen":
            configuration.listen.append(
                try entry.read("tcp://HOST:PORT or unix:///PATH") { Endpoint($0) })
        case "redis_listen":
            configuration.redisListen.append(
                try entry.read("tcp://HOST:PORT or unix:///PATH") { Endpoint($0) })
        case "redis_lease": configuration.redisLeaseMilliseconds = try redisLease(entry)
        case "connections_max": configuration.connectionsMax = try entry.number(in: 1...1_000_000)
        case "frame_max": configuration.frameBytesMax = try size(entry, 1 << 10...11 << 20)
        case "body_max": configuration.bodyBytesMax = try size(entry, 1...11 << 20)
        case "headers_max": configuration.headersBytesMax = try size(entry, 0...1 << 20)
        case "topics_max": configuration.topicsMax = try entry.number(in: 1...1_000_000)
        case "subscriptions_max": configuration.subscriptionsMax = try entry.number(in: 1...10_000)
        case "consumers_max": configuration.consumersPerConnectionMax = try entry.number(in: 1...100_000)
        case "leases_max": configuration.leasesPerConnectionMax = try entry.number(in: 1...1_000_000)
        case "unconfirmed_max": configuration.unconfirmedMax = try entry.number(in: 1...10_000_000)
        case "delayed_max": configuration.delayedMax = try entry.number(in: 0...100_000_000)
        case "patterns_max": configuration.patternsMax = try entry.number(in: 0...1_000)
        case "schedules_max": configuration.schedulesMax = try entry.number(in: 0...10_000)
        case "output_max": configuration.outputBytesMax = try size(entry, 64 << 10...1 << 30)
        case "heartbeat": configuration.heartbeatMilliseconds = try span(entry, 100...3_600_000)
        case "drain_timeout": configuration.drainMilliseconds = try span(entry, 0...3_600_000)
        case "log_level": logLevel = try entry.read("one of \(Self.levels)") { LogLevel(name: $0) }
        case "segment_size": configuration.segmentBytes = try size(entry, 1 << 20...1 << 30, multipleOf: 4096)
        case "history": configuration.historyMilliseconds = try span(entry, 0...366 * 86_400_000)
        case "history_bytes_max": configuration.historyBytesMax = try size(entry, 0...1 << 44)
        case "log_reserve": configuration.reserveBytes = try size(entry, 0...16 << 30)
        case "disk_free_min": configuration.diskFreeBytesMin = try size(entry, 0...1 << 40)
        default: throw entry.unknownKey(known: Self.keys)
        }
    }

    private static let levels = LogLevel.allCases.map(\.name).joined(separator: ", ")
    private static let keys = [
        "data_dir", "listen", "redis_listen", "redis_lease", "connections_max", "frame_max", "body_max", "headers_max",
        "topics_max",
        "subscriptions_max", "patterns_max", "consumers_max", "leases_max", "unconfirmed_max", "delayed_max",
        "schedules_max",
        "output_max", "heartbeat", "drain_timeout", "log_level", "segment_size", "history", "history_bytes_max",
        "log_reserve", "disk_free_min",
    ]

    private func size(
        _ entry: ConfigurationEntry, _ range: ClosedRange<Int>, multipleOf step: Int = 1
    ) throws(ConfigurationError) -> Int {
        let expected = "a size from \(range.lowerBound) to \(range.upperBound) bytes, such as 64K or 8M"
        return try entry.read(step == 1 ? expected : expected + ", a multiple of \(step)") { text in
            SettingText.bytes(text).flatMap { range.contains($0) && $0 % step == 0 ? $0 : nil }
        }
    }

    private func span(_ entry: ConfigurationEntry, _ range: ClosedRange<Int64>) throws(ConfigurationError) -> Int64 {
        let bounds = [range.lowerBound, range.upperBound].map { SettingText.span(milliseconds: $0) }
        return try entry.read("a time span from \(bounds[0]) to \(bounds[1]), such as 250ms or 30s") { text in
            SettingText.milliseconds(text).flatMap { range.contains($0) ? $0 : nil }
        }
    }

    private func redisLease(_ entry: ConfigurationEntry) throws(ConfigurationError) -> Int64 {
        let milliseconds = try span(entry, 0...Lease.millisecondsMax)
        guard milliseconds == 0 || milliseconds >= 100 else { throw entry.error("redis_lease is 0 or 100ms to 12h") }
        return milliseconds
    }

    /// A setting of a topic or a subscription.
    private func set(
        _ entry: ConfigurationEntry, _ change: (String, String) throws(BrokerError) -> Bool
    ) throws(ConfigurationError) {
        let isKnown: Bool
        do throws(BrokerError) {
            isKnown = try change(entry.key, entry.value)
        } catch {
            throw entry.error(error.message)
        }
        if !isKnown { throw entry.unknownKey(known: TopicSettings().entries.map(\.key)) }
    }

    /// `[topic NAME]` and `[subscription TOPIC@NAME]`.
    private mutating func readNamed(_ entry: ConfigurationEntry) throws(ConfigurationError) {
        let words = entry.section.split(separator: " ").map(String.init)
        if words.count == 2, words[0] == "topic", let name = TopicName(words[1]) {
            var topic = BrokerConfiguration.NamedTopic(name: name, settings: configuration.defaults)
            let index = configuration.topics.firstIndex { $0.name == name }
            if let index { topic = configuration.topics[index] }
            try set(entry) { (key, value) throws(BrokerError) in try topic.settings.set(key, to: value) }
            if let index { configuration.topics[index] = topic } else { configuration.topics.append(topic) }
        } else if words.count == 2, words[0] == "subscription", let name = SubscriptionName(words[1]) {
            let parent = configuration.topics.first { $0.name == name.topic }?.settings ?? configuration.defaults
            var subscription = BrokerConfiguration.NamedSubscription(name: name, settings: parent.delivery)
            let index = configuration.subscriptions.firstIndex { $0.name == name }
            if let index { subscription = configuration.subscriptions[index] }
            try set(entry) { (key, value) throws(BrokerError) in try subscription.settings.set(key, to: value) }
            if let index {
                configuration.subscriptions[index] = subscription
            } else {
                configuration.subscriptions.append(subscription)
            }
        } else {
            throw entry.unknownSection(known: ["broker", "defaults", "topic NAME", "subscription TOPIC@NAME"])
        }
    }

    /// Ranges that need all keys of a section; the error points at the section's last line.
    private func validate() throws(ConfigurationError) {
        func demand(_ section: String, _ validate: () throws(BrokerError) -> Void) throws(ConfigurationError) {
            do throws(BrokerError) {
                try validate()
            } catch {
                let line = entries.last { $0.section == section }
                throw line?.error(error.message) ?? ConfigurationError(file: "", line: nil, text: error.message)
            }
        }
        try demand("defaults") { () throws(BrokerError) in try configuration.defaults.validate() }
        for topic in configuration.topics {
            try demand("topic \(topic.name)") { () throws(BrokerError) in try topic.settings.validate() }
        }
        for subscription in configuration.subscriptions {
            let name = "\(subscription.name.topic)@\(subscription.name.name)"
            try demand("subscription \(name)") { () throws(BrokerError) in try subscription.settings.validate() }
        }
        guard configuration.bodyBytesMax + configuration.headersBytesMax + 1024 <= configuration.frameBytesMax,
            configuration.frameBytesMax + 65_536 <= configuration.segmentBytes
        else {
            try demand("broker") { () throws(BrokerError) in
                throw BrokerError(
                    .settingInvalid,
                    "body_max and headers_max must fit into frame_max, and frame_max into segment_size")
            }
            return
        }
    }
}
