/// Settings as people write them: in configuration files, on the command line, in status output.
public enum SettingText {
    /// A time span such as `250ms`, `30s`, `10m`, `12h`, `7d`, or `0`.
    /// - Returns: Milliseconds; nil when the text is none of these or too large.
    public static func milliseconds(_ text: String) -> Int64? {
        if text == "0" { return 0 }
        let digits = text.prefix { $0.isASCII && $0.isNumber }
        let units: [String: Int64] = ["ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000]
        guard let number = Int64(digits), let unit = units[String(text.dropFirst(digits.count))] else { return nil }
        let (product, overflow) = number.multipliedReportingOverflow(by: unit)
        return overflow ? nil : product
    }

    /// The shortest exact form that ``milliseconds(_:)`` reads.
    public static func span(milliseconds: Int64) -> String {
        if milliseconds == 0 { return "0" }
        let units: [(String, Int64)] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000)]
        for (unit, size) in units where milliseconds % size == 0 { return "\(milliseconds / size)\(unit)" }
        return "\(milliseconds)ms"
    }

    /// A size such as `512`, `64K`, `8M`, `1G` (powers of 1024).
    /// - Returns: Bytes; nil when the text is none of these or too large.
    public static func bytes(_ text: String) -> Int? {
        let digits = text.prefix { $0.isASCII && $0.isNumber }
        let units: [String: Int] = ["": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30]
        guard let number = Int(digits), let unit = units[String(text.dropFirst(digits.count))] else { return nil }
        let (product, overflow) = number.multipliedReportingOverflow(by: unit)
        return overflow ? nil : product
    }

    /// The shortest exact form that ``bytes(_:)`` reads.
    public static func size(bytes: UInt64) -> String {
        if bytes == 0 { return "0" }
        for (unit, shift) in [("G", 30), ("M", 20), ("K", 10)] as [(String, UInt64)] where bytes % (1 << shift) == 0 {
            return "\(bytes >> shift)\(unit)"
        }
        return "\(bytes)"
    }

    static func size(_ key: String, _ value: String) throws(BrokerError) -> UInt64 {
        if let number = UInt64(value) { return number }
        guard let bytes = bytes(value), bytes >= 0 else { throw invalid(key, value, "a size such as 512, 64K, 8M, 1G") }
        return UInt64(bytes)
    }

    static func choice<Choice: RawRepresentable & CaseIterable>(
        _ key: String, _ value: String, _: Choice.Type = Choice.self
    ) throws(BrokerError) -> Choice where Choice.RawValue == String {
        guard let choice = Choice(rawValue: value) else {
            throw invalid(key, value, "one of \(Choice.allCases.map(\.rawValue).joined(separator: ", "))")
        }
        return choice
    }

    static func unknown(_ key: String) -> BrokerError {
        BrokerError(.settingInvalid, "there is no setting \(key) in this version")
    }

    static func invalid(_ key: String, _ value: String, _ expected: String) -> BrokerError {
        BrokerError(.settingInvalid, "\(key) = \(value): expected \(expected)")
    }

    static func span(_ key: String, _ value: String) throws(BrokerError) -> Int64 {
        guard let milliseconds = milliseconds(value) else {
            throw invalid(key, value, "a time span such as 250ms, 30s, 10m, 12h, 7d")
        }
        return milliseconds
    }

    static func number<Number: FixedWidthInteger>(_ key: String, _ value: String) throws(BrokerError) -> Number {
        guard let number = Number(value) else { throw invalid(key, value, "a whole number from 0 on") }
        return number
    }
}

extension SettingText {
    static func rate(_ key: String, _ value: String) throws(BrokerError) -> DeliveryRate {
        guard let rate = DeliveryRate(value) else { throw invalid(key, value, "a rate such as 100/s, 30/m, 5/h, or 0") }
        return rate
    }

    static func weights(_ key: String, _ value: String) throws(BrokerError) -> FairWeights {
        guard let weights = FairWeights(value) else { throw invalid(key, value, "weights such as big=3,small=1") }
        return weights
    }

    /// - Returns: Whether it is the second one.
    static func choice(_ key: String, _ value: String, _ first: String, _ second: String) throws(BrokerError) -> Bool {
        guard value == first || value == second else { throw invalid(key, value, "\(first) or \(second)") }
        return value == second
    }
}

extension DeliverySettings {
    /// Changes one setting by its name.
    /// - Returns: False when there is no setting of that name.
    /// - Throws: `SETTING_INVALID` when the value cannot be read; ranges are checked by ``validate()``.
    public mutating func set(_ key: String, to value: String) throws(BrokerError) -> Bool {
        switch key {
        case "attempts_max": attemptsMax = try SettingText.number(key, value)
        case "lease": leaseMilliseconds = try SettingText.span(key, value)
        case "lease_total": leaseTotalMilliseconds = try SettingText.span(key, value)
        case "backoff": backoff = try SettingText.choice(key, value)
        case "backoff_list":
            let list = value.split(separator: ",", omittingEmptySubsequences: false)
                .map { SettingText.milliseconds(String($0)) }
            guard !list.contains(nil) else {
                throw SettingText.invalid(key, value, "time spans such as 1s,10s,1m")
            }
            backoffList = list.compactMap(\.self)
        case "retry_age_max": retryAgeMaxMilliseconds = try SettingText.span(key, value)
        case "backoff_base": backoffBaseMilliseconds = try SettingText.span(key, value)
        case "backoff_cap": backoffCapMilliseconds = try SettingText.span(key, value)
        case "poison_deaths_max": poisonDeathsMax = try SettingText.number(key, value)
        case "priority_ageing": priorityAgeingMilliseconds = try SettingText.span(key, value)
        case "rate": rate = try SettingText.rate(key, value)
        case "rate_burst": rateBurst = try SettingText.number(key, value)
        case "key_rate": keyRate = try SettingText.rate(key, value)
        case "in_flight_max": inFlightMax = try SettingText.number(key, value)
        case "fair_header": fairHeader = value
        case "fair_weights": fairWeights = try SettingText.weights(key, value)
        case "sticky": isSticky = try SettingText.choice(key, value, "off", "on")
        case "after_dead": parksAfterDead = try SettingText.choice(key, value, "continue", "park")
        case "dead_max": deadMax = try SettingText.number(key, value)
        default: return false
        }
        return true
    }

    /// The settings that differ from the usual ones, which never change: so they stand on the wire and in the log.
    package var changes: [(key: String, value: String)] {
        zip(entries, Self.usual).filter { $0.value != $1.value }.map(\.0) + unreadable.map { ($0.key, $0.value) }
    }

    /// Bytes of ``changes`` in the log.
    package var changedBytes: Int { changes.reduce(0) { $0 + $1.key.utf8.count + $1.value.utf8.count + 4 } }

    private static let usual = DeliverySettings().entries

    /// Every setting by its name, in the order of the documents.
    public var entries: [(key: String, value: String)] {
        [
            ("attempts_max", String(attemptsMax)),
            ("lease", SettingText.span(milliseconds: leaseMilliseconds)),
            ("lease_total", SettingText.span(milliseconds: leaseTotalMilliseconds)),
            ("backoff", backoff.rawValue),
            ("backoff_list", backoffList.map { SettingText.span(milliseconds: $0) }.joined(separator: ",")),
            ("retry_age_max", SettingText.span(milliseconds: retryAgeMaxMilliseconds)),
            ("backoff_base", SettingText.span(milliseconds: backoffBaseMilliseconds)),
            ("backoff_cap", SettingText.span(milliseconds: backoffCapMilliseconds)),
            ("poison_deaths_max", String(poisonDeathsMax)),
            ("priority_ageing", SettingText.span(milliseconds: priorityAgeingMilliseconds)),
            ("rate", rate.text),
            ("rate_burst", String(rateBurst)),
            ("key_rate", keyRate.text),
            ("in_flight_max", String(inFlightMax)),
            ("fair_header", fairHeader),
            ("fair_weights", fairWeights.text),
            ("sticky", isSticky ? "on" : "off"),
            ("after_dead", parksAfterDead ? "park" : "continue"),
            ("dead_max", String(deadMax)),
        ]
    }
}

extension TopicSettings {
    /// Changes one setting by its name, those of delivery included.
    /// - Returns: False when there is no setting of that name.
    /// - Throws: `SETTING_INVALID` when the value cannot be read; ranges are checked by ``validate()``.
    public mutating func set(_ key: String, to value: String) throws(BrokerError) -> Bool {
        switch key {
        case "messages_max": messagesMax = try SettingText.number(key, value)
        case "retain": retainMilliseconds = try SettingText.span(key, value)
        case "retain_bytes": retainBytes = try SettingText.size(key, value)
        case "bytes_max": bytesMax = try SettingText.size(key, value)
        case "overflow": overflow = try SettingText.choice(key, value)
        case "message_age_max": messageAgeMaxMilliseconds = try SettingText.span(key, value)
        case "expired": expired = try SettingText.choice(key, value)
        case "dedup_window": dedupWindowMilliseconds = try SettingText.span(key, value)
        case "dedup_max": dedupMax = try SettingText.number(key, value)
        default: return try delivery.set(key, to: value)
        }
        return true
    }

    /// The settings that differ from the usual ones, which never change: so they stand on the wire and in the log.
    package var changes: [(key: String, value: String)] {
        zip(entries, Self.usual).filter { $0.value != $1.value }.map(\.0) + unreadable.map { ($0.key, $0.value) }
    }

    /// Bytes of ``changes`` in the log.
    package var changedBytes: Int { changes.reduce(0) { $0 + $1.key.utf8.count + $1.value.utf8.count + 4 } }

    private static let usual = TopicSettings().entries

    /// Every setting by its name, in the order of the documents.
    public var entries: [(key: String, value: String)] {
        [
            ("messages_max", String(messagesMax)),
            ("bytes_max", SettingText.size(bytes: bytesMax)),
            ("overflow", overflow.rawValue),
            ("message_age_max", SettingText.span(milliseconds: messageAgeMaxMilliseconds)),
            ("expired", expired.rawValue),
            ("dedup_window", SettingText.span(milliseconds: dedupWindowMilliseconds)),
            ("retain", SettingText.span(milliseconds: retainMilliseconds)),
            ("retain_bytes", SettingText.size(bytes: retainBytes)),
            ("dedup_max", String(dedupMax)),
        ] + delivery.entries
    }
}
