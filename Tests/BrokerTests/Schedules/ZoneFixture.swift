@testable import Broker

/// Zones without the machine's database.
enum ZoneFixture {
    /// A TZif file that has nothing but a rule.
    static func file(_ rule: String, version: UInt8 = 0x32) -> [UInt8] {
        let type: [UInt8] = [0, 0, 0, 0, 0, 0]
        func block() -> [UInt8] {
            [0x54, 0x5A, 0x69, 0x66, version] + [UInt8](repeating: 0, count: 15) + counts + type + [0]
        }
        return block() + block() + [0x0A] + Array(rule.utf8) + [0x0A]
    }

    /// No indicators, no leap seconds, no transitions, one type, one character.
    private static let counts: [UInt8] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1]

    static let rules = [
        "Europe/Berlin": "CET-1CEST,M3.5.0,M10.5.0/3", "America/New_York": "EST5EDT,M3.2.0,M11.1.0",
        "Australia/Lord_Howe": "<+1030>-10:30<+11>-11,M10.1.0,M4.1.0", "Asia/Kolkata": "IST-5:30",
    ]

    static func read(_ name: String) -> [UInt8]? { rules[name].map { file($0) } }

    static func zone(_ name: String) -> ZoneRules {
        guard let bytes = read(name), let zone = try? ZoneRules(parsing: bytes) else { return .utc }
        return zone
    }
}
