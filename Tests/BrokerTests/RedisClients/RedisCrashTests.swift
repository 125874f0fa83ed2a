import BrokerProtocol
import Foundation
import LinuxIO
import TestSupport
import Testing

extension ProcessTests {
    /// The daemon is killed again and again while clients with redis-py do everything they can. `CRASH_CYCLES` and
    /// `CRASH_SEED` as in ``CrashTests``.
    @Suite("Crash under redis-py", .serialized)
    struct RedisCrashTests {
        private static func number(_ name: String) -> UInt64? {
            ProcessInfo.processInfo.environment[name].flatMap { UInt64($0) }
        }

        private let seed = Self.number("CRASH_SEED") ?? Entropy.word() >> 32
        private let cycles = Int(Self.number("CRASH_CYCLES") ?? 12)

        @Test("Through any kill, what redis-py was told is done stays done, and nothing else is done")
        func kills() async throws {
            var run = try RedisKillRun(seed: seed)
            for _ in 0..<cycles { try await run.cycle() }
            let remains = try await run.drain()
            let violations = Checker.check(run.history, RedisKillRun.setting, remains)
            let again = "CRASH_SEED=\(seed) CRASH_CYCLES=\(cycles) swift test --filter RedisCrashTests"
            print("crash: \(cycles) kills under redis-py, \(run.history.events.count) events; again: \(again)")
            #expect(violations.isEmpty, "\(violations.map(\.description).joined(separator: "\n"))\nagain: \(again)")
            // A run in which little happened proves little.
            #expect(run.history.operationCount > cycles * 20)
        }

        @Test("A history of redis-py with a lie in it does not pass")
        func lies() throws {
            func verdict(_ lines: [String]) throws -> Set<Checker.Rule> {
                var history = History()
                history.events.append(.started(History.Survey()))
                try RedisStory.add(lines, to: &history)
                return Set(Checker.check(history, RedisKillRun.setting, Remains()).map(\.rule))
            }
            let push = [
                #"{"event":"invoked","kind":"publish","connection":1,"#
                    + #""publishes":[{"number":1,"topic":"log","fingerprint":7}]}"#,
                #"{"event":"answered","operation":0,"answer":"published","receipts":[{}]}"#,
            ]
            let read = { (group: String, lease: Int) in
                [
                    """
                    {"event":"delivered","delivery":{"connection":9,"subscription":"log@\(group)","lease":\(lease),\
                    "id":5,"attempt":1,"number":1,"fingerprint":7}}
                    """
                ]
            }
            let ack = { (lease: Int, operation: Int, done: Bool) in
                [
                    """
                    {"event":"invoked","kind":"settle","connection":9,"settles":[{"lease":\(lease),"verdict":"ack"}]}
                    """, #"{"event":"answered","operation":\#(operation),"answer":"settled","results":[\#(done)]}"#,
                ]
            }
            let good = push + read("g", 21) + ack(21, 1, true) + read("h", 22) + ack(22, 2, true)
            #expect(try verdict(good) == [])
            #expect(try verdict(push) == [.lost])
            #expect(try verdict(good + read("g", 23)) == [.resurrected])
            #expect(try verdict(good + ack(22, 3, true)) == [.staleLease])
            #expect(
                try verdict(push + read("g", 21) + ack(21, 1, false) + read("h", 22) + ack(22, 2, true)).contains(.lost)
            )
            #expect(throws: RedisStory.Unreadable.self) { try verdict(["Traceback (most recent call last):"]) }
        }
    }
}

/// Starts, kills and starts again under `crash_driver.py`; at the end drains everything through redis-py.
struct RedisKillRun {
    static let setting = Setting(topics: [
        "plain": .init(subscriptions: ["plain@x", "plain@y"], attemptsMax: 5),
        "log": .init(subscriptions: ["log@g", "log@h"], attemptsMax: 1000),
        "once": .init(subscriptions: ["once"], isTaken: true),
    ])
    private static let subscriptions = ["plain@x", "plain@y", "log@g", "log@h", "once"]

    private(set) var history = History()
    private let house: ServiceHouse
    private let seed: UInt64
    private var dice: Dice
    private var life = 0

    private var redisSocket: String { house.path + "/redis.sock" }

    init(seed: UInt64) throws {
        self.seed = seed
        dice = Dice(seed: seed)
        house = try ServiceHouse()
        try house.configure("redis_listen = unix://\(redisSocket)\n" + Scene.configuration)
    }

    /// One life: recovery, which may be killed as well, work, death.
    mutating func cycle() async throws {
        while dice.percent(20) {
            let service = try house.spawn()
            _ = service.child.waitUntilEnded(milliseconds: Int64(dice.number(0...12)))
            try await service.kill()
        }
        let service = try await start()
        let driver = try startDriver()
        try await driver.lines(dice.number(20...500), "events of redis-py") { _ in true }
        _ = service.child.waitUntilEnded(milliseconds: Int64(dice.number(0...40)))
        try await service.kill()
        try await end(driver)
        history.events.append(.killed)
    }

    private mutating func start() async throws -> Service {
        let service = try await house.start()
        history.events.append(.started(try await survey(service)))
        life += 1
        return service
    }

    private func startDriver(_ words: String...) throws -> ChildProcess {
        let numbers = [seed, UInt64(life), UInt64(life) << 32].map { "\($0)" }
        return try ClientProgram.start(ClientProgram.redisPy("crash_driver", [redisSocket] + numbers + words))
    }

    private mutating func end(_ driver: ChildProcess) async throws {
        let ending = try await driver.end()
        try RedisStory.add(driver.lines, to: &history)
        #expect(ending == .exited(0))
    }

    private func survey(_ service: Service) async throws -> History.Survey {
        try await blocking { [url = service.url] in
            let wire = try Wire.open(url)
            for name in Self.subscriptions {
                guard let subscription = SubscriptionName(name) else { continue }
                guard case .done = try wire.ask(.subscriptionCreate(subscription, .beginning)) else { throw Late(name) }
            }
            guard case .topics(let topics) = try wire.ask(.topicList) else { throw Late("the topics") }
            return Scene.survey(topics)
        }
    }

    /// The last life takes and acknowledges everything; recoveries of what is left find the same.
    mutating func drain() async throws -> Remains {
        var service = try await start()
        try await end(try startDriver("drain"))
        var remains = Remains()
        remains.survey = try await survey(service)
        remains.letters = try await blocking { [url = service.url] in
            try KillRun.letters(of: Self.subscriptions, Wire.open(url))
        }
        for _ in 0..<2 {
            try await service.kill()
            service = try await house.start()
            #expect(try await survey(service) == remains.survey)
        }
        try await service.kill()
        return remains
    }
}
