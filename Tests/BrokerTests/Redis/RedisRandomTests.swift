import BrokerProtocol
import Foundation
import TestSupport
import Testing

@testable import Broker

/// Commands by chance, right and wrong ones, from several clients, with the passing of time and restarts. After each
/// one the state must agree with itself. `BROKER_SEEDS` sets how many runs there are.
@Suite("Redis commands by chance")
struct RedisRandomTests {
    private static let seeds = Int(ProcessInfo.processInfo.environment["BROKER_SEEDS"] ?? "") ?? 20

    @Test("The counts of every subscription are those of its messages, whatever clients do", arguments: 1...seeds)
    func counts(seed: Int) throws {
        var run = RandomRun(seed: UInt64(seed))
        for _ in 0..<400 {
            try run.step()
            if let fault = run.fault() {
                Issue.record("seed \(seed): \(fault), after:\n\(run.story.suffix(40).joined(separator: "\n"))")
                return
            }
        }
    }
}

/// One broker with three clients.
private struct RandomRun {
    private let desk: RedisDesk
    private var clients: [RedisDesk.Client] = []
    private var dice: Dice
    private var script: RandomScript
    private(set) var story: [String] = []

    init(seed: UInt64) {
        var limits = StateLimits()
        limits.defaults.messagesMax = 60
        limits.defaults.delivery.attemptsMax = 3
        limits.defaults.delivery.backoffBaseMilliseconds = 0
        desk = RedisDesk(limits: limits)
        dice = Dice(seed: seed)
        script = RandomScript(dice: Dice(seed: seed ^ 0x5EED))
    }

    mutating func step() throws {
        while clients.count < 3 { clients.append(desk.connect()) }
        switch dice.number(0...199) {
        case 0:
            story.append("(restart)")
            try desk.restart()
            clients = []
        case 1...3:
            story.append("(a client leaves)")
            desk.close(clients.remove(at: dice.number(0...2)))
        case 4...12:
            let milliseconds = Int64(dice.number(1...40_000))
            story.append("(\(milliseconds) ms pass)")
            desk.pass(milliseconds: milliseconds)
        default:
            let index = dice.number(0...2)
            let words = script.command()
            story.append("\(index): " + words.map { String(decoding: $0, as: UTF8.self) }.joined(separator: " "))
            let before = clients[index].replies.count
            desk.send(RedisDesk.command(words), clients[index])
            for reply in clients[index].replies[before...] { script.learn(reply) }
            if clients[index].session.isEnding { desk.close(clients.remove(at: index)) }
        }
    }

    /// Where the state does not agree with itself.
    func fault() -> String? {
        if let fault = desk.state.disagreements().first { return "\(fault)" }
        for subscription in desk.state.topics.values.flatMap(\.subscriptions) {
            let count = subscription.openCount + subscription.dead.count
            let owed = subscription.owed()
            if owed.count != count { return "\(subscription.name) counts \(count), owes \(owed)" }
        }
        return nil
    }
}

/// Makes commands of a few keys, so that they meet.
private struct RandomScript {
    var dice: Dice
    private var ids: [[UInt8]] = []
    private var tokens: [[UInt8]] = []

    init(dice: Dice) { self.dice = dice }

    mutating func learn(_ reply: RESPValue) {
        switch reply {
        case .array(let values):
            if values.count == 6, case .bulk(let token) = values[1] { tokens.append(token) }
            for value in values { learn(value) }
        case .map(let fields): for field in fields { learn(field.value) }
        case .bulk(let bytes):
            let isID = bytes.count > 13 && bytes.allSatisfy { 48...57 ~= $0 || $0 == UInt8(ascii: "-") }
            if isID { ids.append(bytes) }
        default: break
        }
    }

    private mutating func one(_ words: String...) -> String { words[dice.number(0...words.count - 1)] }

    private mutating func maybe(_ words: String) -> String { dice.percent(40) ? " " + words : "" }

    private mutating func key() -> String { one("q", "q", "r", "s", "s", "s@g", "q@x", "r@default") }

    private mutating func number() -> String {
        one("0", "1", "2", "3", "-1", "-2", "10", "9223372036854775807", "-9223372036854775808", "x")
    }

    private mutating func id() -> String {
        if !ids.isEmpty, dice.percent(75) {
            let recent = ids.suffix(12)
            return String(decoding: recent[recent.startIndex + dice.number(0...recent.count - 1)], as: UTF8.self)
        }
        return one("0", "-", "+", "$", "1-1", "0-0", "(1-1", "18446744073709551615-18446744073709551615")
    }

    private mutating func token() -> String {
        guard !tokens.isEmpty else { return "1" }
        let recent = tokens.suffix(8)
        return String(decoding: recent[recent.startIndex + dice.number(0...recent.count - 1)], as: UTF8.self)
    }

    private mutating func group() -> String { one("g", "h", "x", "default") }
    private mutating func consumer() -> String { one("c", "d") }

    mutating func command() -> [[UInt8]] { RedisDesk.words(dice.percent(60) ? common() : rare()) }

    private mutating func common() -> String {
        switch dice.number(0...15) {
        case 0...1: "\(one("LPUSH", "RPUSH")) \(key()) a b c"
        case 2: "LPUSH \(key()) \(number())"
        case 3: "\(one("LPOP", "RPOP")) \(key())" + maybe(number())
        case 4: "\(one("BLPOP", "BRPOP")) \(key()) \(key()) 0.01"
        case 5: "XADD \(key())" + maybe("MAXLEN \(number())") + maybe("MINID \(id())") + " * f v"
        case 6: "XADD \(key()) * f v"
        case 7...8:
            "XREADGROUP GROUP \(group()) \(consumer())" + maybe("COUNT \(number())") + maybe("NOACK")
                + maybe("BLOCK 10") + " STREAMS \(key()) \(dice.percent(80) ? ">" : id())"
        case 9: "XACK \(key()) \(group()) \(id()) \(id())"
        case 10: "XGROUP CREATE \(key()) \(group()) \(one("0", "$", id()))" + maybe("MKSTREAM")
        case 11...12: "BTAKE \(key()) \(key()) 0.01" + maybe("LEASE 100") + maybe("COUNT \(number())")
        case 13: "ACK \(token())" + maybe(token())
        case 14: "\(one("FAIL", "RELEASE")) \(token())" + maybe("AFTER \(number())")
        default:
            "PUBLISHX \(key()) b" + maybe("KEY \(number())") + maybe("DELAY \(one("5", "500"))")
                + maybe("PRIORITY \(one("0", "9"))") + maybe("DEDUP \(number())") + maybe("EXPIRE \(one("1", "900"))")
        }
    }

    private mutating func rare() -> String {
        switch dice.number(0...22) {
        case 0...1: "MULTI"
        case 2...4: "EXEC"
        case 5: "DISCARD"
        case 6: "LTRIM \(key()) \(number()) \(number())"
        case 7: "LREM \(key()) \(number()) a"
        case 8: "\(one("LMOVE", "BLMOVE")) \(key()) \(key()) LEFT RIGHT" + maybe("0.01")
        case 9: "RPOPLPUSH \(key()) \(key())"
        case 10: "LRANGE \(key()) \(number()) \(number())"
        case 11: "XDEL \(key()) \(id()) \(id())"
        case 12: "XTRIM \(key()) \(one("MAXLEN", "MINID")) \(one(number(), id()))"
        case 13: "XGROUP \(one("DESTROY", "SETID", "DELCONSUMER")) \(key()) \(group())" + maybe(one(id(), consumer()))
        case 14:
            "XCLAIM \(key()) \(group()) \(consumer()) 0 \(id()) \(id())" + maybe("FORCE") + maybe("RETRYCOUNT 7")
                + maybe("JUSTID")
        case 15: "XAUTOCLAIM \(key()) \(group()) \(consumer()) 0 \(id())" + maybe("COUNT \(number())")
        case 16: "DEL \(key()) \(key())"
        case 17: "REJECT \(token()) why"
        case 18: "EXTEND \(token()) \(one("100", "60000"))"
        case 19: "XRANGE \(key()) \(id()) \(id())" + maybe("COUNT \(number())")
        case 20: "XREAD" + maybe("BLOCK 10") + " STREAMS \(key()) \(key()) \(id()) \(id())"
        case 21: "XPENDING \(key()) \(group())" + maybe("\(id()) \(id()) \(number())")
        default: one("LLEN q", "XLEN s", "XINFO STREAM s", "XINFO STREAM s FULL", "XINFO GROUPS s", "KEYS *", "SCAN 0")
        }
    }
}
