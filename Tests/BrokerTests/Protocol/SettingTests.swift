import BrokerProtocol
import Testing

@Suite("Settings as text") struct SettingTests {
    @Test(
        "Time spans are read",
        arguments: [
            ("0", 0), ("0s", 0), ("1ms", 1), ("250ms", 250), ("30s", 30_000), ("10m", 600_000), ("12h", 43_200_000),
            ("7d", 604_800_000), ("007s", 7_000), ("9223372036854775807ms", Int64.max),
            ("106751991167d", 9_223_372_036_828_800_000),
        ] as [(String, Int64)])
    func spans(text: String, milliseconds: Int64) { #expect(SettingText.milliseconds(text) == milliseconds) }

    @Test(
        "What is no time span is refused",
        arguments: [
            "", "s", "ms", "5", "00", "-1s", "+1s", "1.5s", "1 s", " 1s", "1s ", "1S", "1sec", "1w", "1m30s", "٣s",
            "１s", "0x1s",
            "1e3ms", "9223372036854775808ms", "106751991168d", "99999999999999999999999s",
        ])
    func badSpans(text: String) { #expect(SettingText.milliseconds(text) == nil) }

    @Test("A span is written in its shortest exact form and read back") func spanRoundTrip() {
        let forms: [(Int64, String)] = [
            (0, "0"), (1, "1ms"), (999, "999ms"), (1_000, "1s"), (1_500, "1500ms"), (60_000, "1m"), (90_000, "90s"),
            (3_600_000, "1h"), (86_400_000, "1d"), (90_000_000, "25h"), (.max, "9223372036854775807ms"),
        ]
        for (milliseconds, text) in forms { #expect(SettingText.span(milliseconds: milliseconds) == text) }
        var frames = RandomFrames.Generator(seed: 5)
        for _ in 0..<1_000 {
            let span = Int64.random(in: 0...(.max), using: &frames) >> Int64.random(in: 0...62, using: &frames)
            #expect(SettingText.milliseconds(SettingText.span(milliseconds: span)) == span)
        }
    }

    @Test(
        "Sizes are read, in powers of 1024",
        arguments: [
            ("0", 0), ("512", 512), ("64K", 65_536), ("8M", 8 << 20), ("1G", 1 << 30),
            ("8589934591G", 8_589_934_591 << 30),
        ])
    func sizes(text: String, bytes: Int) { #expect(SettingText.bytes(text) == bytes) }

    @Test(
        "What is no size is refused",
        arguments: ["", "K", "-1", "+1", "1k", "1KB", "1 K", "1.5M", "8589934592G", "9223372036854775808", "0x10"])
    func badSizes(text: String) { #expect(SettingText.bytes(text) == nil) }

    @Test("Every setting is set by the name and the text that it is listed with") func entries() throws {
        var changed = TopicSettings()
        changed.messagesMax = 7
        changed.bytesMax = 1 << 20
        changed.overflow = .dropOldest
        changed.messageAgeMaxMilliseconds = 9
        changed.expired = .drop
        changed.dedupWindowMilliseconds = 1
        changed.retainMilliseconds = 8
        changed.retainBytes = 9
        changed.dedupMax = 10
        changed.delivery.attemptsMax = 2
        changed.delivery.leaseMilliseconds = 101
        changed.delivery.leaseTotalMilliseconds = 3_000
        changed.delivery.backoffBaseMilliseconds = 4
        changed.delivery.backoff = .list
        changed.delivery.backoffList = [1, 2_000]
        changed.delivery.retryAgeMaxMilliseconds = 11
        changed.delivery.backoffCapMilliseconds = 5
        changed.delivery.poisonDeathsMax = 6
        changed.delivery.deadMax = 12
        changed.delivery.priorityAgeingMilliseconds = 7
        changed.delivery.rate = DeliveryRate("8/s") ?? .unbounded
        changed.delivery.rateBurst = 9
        changed.delivery.keyRate = DeliveryRate("10/h") ?? .unbounded
        changed.delivery.inFlightMax = 11
        changed.delivery.fairHeader = "tenant"
        changed.delivery.fairWeights = FairWeights("b=3,a=1") ?? FairWeights()
        changed.delivery.isSticky = true
        changed.delivery.parksAfterDead = true
        var copy = TopicSettings()
        for (key, value) in changed.entries { #expect(try copy.set(key, to: value) == true) }
        #expect(copy == changed)
        #expect(Set(changed.entries.map(\.key)).count == TopicSettings().entries.count)
        #expect(zip(changed.entries, TopicSettings().entries).allSatisfy { $0.value != $1.value })

        var delivery = DeliverySettings()
        for (key, value) in changed.delivery.entries { #expect(try delivery.set(key, to: value) == true) }
        #expect(delivery == changed.delivery)
    }

    @Test("An unknown key is told apart from a bad value") func unknownKeys() throws {
        var settings = TopicSettings()
        for key in ["", "Lease", "lease ", "attempts", "leases_max"] {
            #expect(try settings.set(key, to: "1") == false)
        }
        var delivery = DeliverySettings()
        #expect(try delivery.set("messages_max", to: "1") == false)
        #expect(settings == TopicSettings())
        #expect(delivery == DeliverySettings())
    }

    @Test(
        "A bad value names key, value and what was expected, and changes nothing",
        arguments: [
            ("messages_max", "-1", "a whole number from 0 on"), ("messages_max", "many", "a whole number from 0 on"),
            ("attempts_max", "4294967296", "a whole number from 0 on"),
            ("attempts_max", "", "a whole number from 0 on"),
            ("poison_deaths_max", "3.0", "a whole number from 0 on"),
            ("rate", "100", "a rate such as 100/s, 30/m, 5/h, or 0"),
            ("rate", "0/s", "a rate such as 100/s, 30/m, 5/h, or 0"),
            ("key_rate", "-1/s", "a rate such as 100/s, 30/m, 5/h, or 0"),
            ("key_rate", "1/d", "a rate such as 100/s, 30/m, 5/h, or 0"),
            ("key_rate", "4294967296/s", "a rate such as 100/s, 30/m, 5/h, or 0"),
            ("fair_weights", "a", "weights such as big=3,small=1"),
            ("fair_weights", "a=1,", "weights such as big=3,small=1"),
            ("fair_weights", "a=1,a=2", "weights such as big=3,small=1"),
            ("fair_weights", "a=-1", "weights such as big=3,small=1"),
            ("sticky", "yes", "off or on"), ("after_dead", "", "continue or park"),
            ("lease", "30", "a time span such as 250ms, 30s, 10m, 12h, 7d"),
            ("backoff", "random", "one of exponential, linear, list"),
            ("backoff_list", "1s,,2s", "time spans such as 1s,10s,1m"),
            ("overflow", "drop", "one of reject, drop_oldest, dead_letter_oldest"),
            ("expired", "", "one of dead_letter, drop"), ("bytes_max", "64X", "a size such as 512, 64K, 8M, 1G"),
            ("dedup_window", "forever", "a time span such as 250ms, 30s, 10m, 12h, 7d"),
        ])
    func badValues(key: String, value: String, expected: String) {
        var settings = TopicSettings()
        #expect(throws: BrokerError(.settingInvalid, "\(key) = \(value): expected \(expected)")) {
            try settings.set(key, to: value)
        }
        #expect(settings == TopicSettings())
    }

    @Test("The usual settings are valid") func defaults() throws { try TopicSettings().validate() }

    @Test(
        "Each setting has a lowest and a highest value",
        arguments: [
            ("attempts_max", ["1", "1000"], ["0", "1001"]),
            ("lease", ["100ms", "12h"], ["0", "99ms", "43200001ms"]),
            ("lease_total", ["30s", "7d"], ["29999ms", "604800001ms"]),
            ("backoff_base", ["0", "10m"], ["601s", "2d"]),
            ("backoff_cap", ["1s", "7d"], ["999ms", "8d"]),
            ("poison_deaths_max", ["1", "1000"], ["0", "1001"]),
            ("backoff", ["exponential", "linear", "list"], []),
            ("backoff_list", ["0", "1s,10s,7d"], ["8d", Array(repeating: "1s", count: 101).joined(separator: ",")]),
            ("retry_age_max", ["0", "366d"], ["367d"]),
            ("priority_ageing", ["0", "7d"], ["8d"]),
            ("rate", ["0", "1/h", "1000000/s"], ["1000001/s"]),
            ("rate_burst", ["0", "1000000"], ["1000001"]),
            ("key_rate", ["0", "1/m", "1000000/h"], ["1000001/h"]),
            ("in_flight_max", ["0", "4294967295"], []),
            ("fair_header", ["", "tenant"], [String(repeating: "h", count: 256)]),
            ("fair_weights", ["", "a=1,b=1000", "=2"], ["a=0", "a=1001"]),
            ("dedup_window", ["0", "7d"], ["604800001ms"]),
            ("messages_max", ["0", "18446744073709551615"], []),
            ("bytes_max", ["0", "64M", "1025"], []),
            ("overflow", ["reject", "drop_oldest", "dead_letter_oldest"], []),
            ("message_age_max", ["0", "366d"], ["367d"]),
            ("expired", ["drop", "dead_letter"], []),
            ("dedup_max", ["1", "1000000"], ["0", "1000001"]),
        ] as [(String, [String], [String])])
    func ranges(key: String, good: [String], bad: [String]) throws {
        for value in good {
            var settings = TopicSettings()
            #expect(try settings.set(key, to: value) == true)
            #expect(throws: Never.self, "\(key) = \(value)") { try settings.validate() }
        }
        for value in bad {
            var settings = TopicSettings()
            #expect(try settings.set(key, to: value) == true)
            #expect {
                try settings.validate()
            } throws: { error in
                (error as? BrokerError)?.code == .settingInvalid
                    && (error as? BrokerError)?.message.contains(key) == true
            }
        }
    }

    @Test("A negative span from the wire is out of range, not a trap") func negativeSpans() {
        var settings = TopicSettings()
        settings.delivery.backoffBaseMilliseconds = .min
        #expect(throws: BrokerError.self) { try settings.validate() }
        settings = TopicSettings()
        settings.delivery.leaseMilliseconds = -1
        #expect(throws: BrokerError.self) { try settings.validate() }
        settings = TopicSettings()
        settings.delivery.leaseTotalMilliseconds = .max
        #expect(throws: BrokerError.self) { try settings.validate() }
        settings = TopicSettings()
        settings.delivery.backoffBaseMilliseconds = .max
        settings.delivery.backoffCapMilliseconds = .max
        #expect(throws: BrokerError.self) { try settings.validate() }
    }
}
