import BrokerProtocol
import DaemonKit
import Foundation
import Testing

@testable import brokerctl

@Suite("The brokerctl program") struct BrokerctlTests {
    @Test(
        "A wrong command line ends with 64 and says what is right",
        arguments: [
            ([], "a command is missing"), (["frobnicate"], "there is no command `frobnicate`"),
            (["topic"], "`topic` needs a verb: show, create, set, delete"),
            (["topic", "burn"], "there is no command `topic burn`"), (["topic", "show"], "TOPIC is missing"),
            (["status", "now"], "`now` is one argument too many"), (["status", "--frob"], "unknown option --frob"),
            (["tail", "orders", "--limit"], "option --limit needs a value"),
            (["tail", "orders", "--limit", "0"], "expected a whole number from 1 on"),
            (["tail", "a b"], "`a b` is no topic"), (["topic", "create", "o", "lease"], "expected KEY=VALUE"),
            (["topic", "create", "o", "leese=1s"], "there is no setting `leese`: messages_max"),
            (["topic", "create", "o", "lease=1w"], "a time span such as"),
            (["topic", "create", "o", "lease=1ms"], "lease is 100ms to 12h"),
            (["subscription", "create", "o@"], "`o@` is no subscription"),
            (["subscription", "create", "o@m", "--from", "soon"], "expected beginning, now, a message id"),
            (["subscription", "set", "o@m"], "expected KEY=VALUE, or --inherit alone"),
            (["dead", "show", "o@m", "x"], "`x` is no message id"),
            (["publish", "o", "file"], "`file`: events come from --file"), (["completion", "csh"], "is no shell"),
            (["log", "salvage", "."], "--to NEW is missing"),
            (["status", "--broker", "localhost"], "expected tcp://host:port or unix:///path"),
        ] as [([String], String)])
    func usage(arguments: [String], message: String) async throws {
        let result = try await Brokerctl.run(arguments)
        #expect(result.code == 64)
        #expect(result.error.hasPrefix("brokerctl: "))
        #expect(result.error.contains(message), "\(result.error)")
        #expect(result.output == "")
    }

    @Test("A wrong BROKERD_URL is a configuration error") func wrongEnvironment() async throws {
        let result = try await Brokerctl.run(["status"], environment: ["BROKERD_URL": "nowhere"])
        #expect(result.code == 78)
    }

    @Test("No broker: 69, and what to do", arguments: [["status"], ["publish", "orders"], ["dead", "list", "o@m"]])
    func unreachable(arguments: [String]) async throws {
        let url = "unix:///nonexistent/brokerd.sock"
        let result = try await Brokerctl.run(["--broker", url] + arguments, input: "{}\n")
        #expect(result.code == 69)
        #expect(result.error.contains(url))
        #expect(result.error.contains("is brokerd running? systemctl status brokerd"))
    }

    @Test("Help and version go to standard output") func help() async throws {
        for arguments in [["--help"], ["help"], ["-h"]] {
            let result = try await Brokerctl.run(arguments)
            #expect(result.code == 0)
            for command in Command.all { #expect(result.output.contains("  \(command.name) "), "\(command.name)") }
        }
        #expect(try await Brokerctl.run(["--version"]).output == "brokerctl \(productVersion)\n")
        #expect(try await Brokerctl.run(["topic", "--help"]).output.contains("topic create"))
    }

    @Test("Every command has help", arguments: Command.all.map(\.words)) func commandHelp(words: [String]) async throws
    {
        let result = try await Brokerctl.run(words + ["--help"])
        #expect(result.code == 0)
        #expect(result.output.hasPrefix("usage: brokerctl \(words.joined(separator: " ")) [OPTION]"))
        #expect(try await Brokerctl.run(["help"] + words).output == result.output)
    }

    @Test("Completions know every command and option", arguments: ["bash", "zsh", "fish"])
    func completions(shell: String) async throws {
        let result = try await Brokerctl.run(["completion", shell])
        #expect(result.code == 0)
        for command in Command.all {
            for word in command.words { #expect(result.output.contains(word)) }
            for option in command.syntax.options {
                #expect(result.output.contains(shell == "fish" ? "-l \(option.name)" : "--\(option.name)"))
            }
        }
    }

    @Test("The bash completion offers what fits") func bashCompletion() async throws {
        let script = try #require(Completion.script(for: "bash", commands: Command.all))
        let asks = """
            \(script)
            offer() { COMP_WORDS=(brokerctl "$@"); COMP_CWORD=$#; _brokerctl; echo "${COMPREPLY[@]}"; }
            offer top; offer --broker x topic cr; offer topic create --; offer completion ''
            """
        let bash = Foundation.Process()
        let pipe = Pipe()
        bash.executableURL = URL(fileURLWithPath: "/bin/bash")
        bash.arguments = ["-c", asks]
        bash.standardOutput = pipe
        let end = Moment()
        bash.terminationHandler = { _ in end.happen() }
        try bash.run()
        await end.wait()
        let lines = String(decoding: pipe.fileHandleForReading.availableData, as: UTF8.self).split(separator: "\n")
        #expect(
            lines == ["topics topic", "create", "--broker --help", "bash zsh fish --help"])
    }

    @Test("Each refusal of a broker has its exit code") func exitCodes() {
        let codes = BrokerError.Code.allCases.map { Failure.exitCode(of: $0) }
        #expect(Set(codes) == [.unavailable, .tempFail, .data, .noPermission, .software])
        #expect(Failure(BrokerError(.topicUnknown, "x")).code == .data)
        #expect(Failure(BrokerError(.diskFull, "x")).code == .tempFail)
        #expect(Failure(BrokerError(.unauthorized, "x")).code == .noPermission)
        #expect(Failure(BrokerError(.connectionLost, "x")).code == .unavailable)
    }
}

@Suite("brokerctl and a broker") struct BrokerctlSessionTests {
    private static let lettered: @Sendable (Request) -> Response = { request in
        switch request {
        case .deadList(let name, let from, _):
            .deadLetters(
                (3...5).filter { $0 >= from.rawValue }.map { id in
                    DeadLetter(
                        id: MessageID(rawValue: id), subscription: name, code: .attempts, reason: "attempts",
                        lastError: nil, attempts: 1, redrives: 0, publishedAt: WallTime(milliseconds: 0),
                        deadAt: WallTime(milliseconds: 0), headers: [], body: [])
                })
        case .deadPurge(_, let selection), .deadRedrive(_, let selection, rate: 0):
            selection.ids.contains { $0.rawValue > 5 }
                ? .refused(BrokerError(.messageUnknown, "orders@mail has no dead letter 9; nothing was changed"))
                : .count(selection.ids.isEmpty ? 3 : UInt64(selection.ids.count))
        case .deadRedrive(let name, let selection, let rate):
            .deadJobs([
                DeadJob(
                    id: 12, subscription: name, selection: selection, rate: rate, startedAt: WallTime(milliseconds: 0),
                    moved: 0)
            ])
        default: .refused(BrokerError(.unsupported, "\(request)"))
        }
    }

    private static func published(_ messages: [OutgoingMessage]) -> Response {
        .published(messages.indices.map { .success(PublishReceipt(id: MessageID(rawValue: UInt64($0)))) })
    }

    @Test("Lines are published in their order, in few requests, and counted") func publish() async throws {
        let broker = try BrokerDouble { request in
            guard case .publish(let messages) = request else { return .refused(BrokerError(.unsupported, "")) }
            return Self.published(messages)
        }
        let input = (0..<7000).map { "{\"n\":\($0)}\n" }.joined()
        let result = try await Brokerctl.run(
            ["publish", "orders", "--header", "a=b", "--dedup-key", "n", "-b", broker.url], input: input)
        #expect(result.code == 0, "\(result.error)")
        #expect(result.output.hasPrefix("published 7000 to orders in "))
        let batches = broker.requests.compactMap { request -> [OutgoingMessage]? in
            if case .publish(let messages) = request { messages } else { nil }
        }
        #expect(batches.count < 20)
        #expect(batches.joined().map(\.dedupID) == (0..<7000).map { "\($0)" })
        #expect(batches.joined().allSatisfy { $0.headers == [Header("a", "b")] })
    }

    @Test("A bad line ends it with 65, its place, and the count before it") func badLine() async throws {
        let broker = try BrokerDouble { request in
            guard case .publish(let messages) = request else { return .refused(BrokerError(.unsupported, "")) }
            return Self.published(messages)
        }
        let result = try await Brokerctl.run(
            ["publish", "orders", "-", "--broker", broker.url], input: "{}\n\n[]\nnot json\n{}\n")
        #expect(result.code == 65)
        #expect(result.error.hasPrefix("brokerctl: standard input:4: not JSON: "))
        #expect(result.error.hasSuffix("; 2 published\n"))
        #expect(result.output == "")
    }

    @Test("A refused line is named; the code says to try again") func refusedLine() async throws {
        let broker = try BrokerDouble { _ in
            .published([
                .success(PublishReceipt(id: MessageID(rawValue: 1))), .failure(BrokerError(.topicFull, "too many")),
            ])
        }
        let result = try await Brokerctl.run(
            ["publish", "orders"], input: "{}\n{}\n", environment: ["BROKERD_URL": broker.url])
        #expect(result.code == 75)
        #expect(result.error == "brokerctl: standard input:2: TOPIC_FULL (209): too many; 1 published\n")
    }

    @Test("A missing file of events is 66") func missingFile() async throws {
        let result = try await Brokerctl.run(["publish", "orders", "--file", "/nonexistent/f.jsonl"])
        #expect(result.code == 66)
        #expect(result.error.contains("/nonexistent/f.jsonl"))
    }

    @Test("An unknown topic is 65, with the broker's words") func unknownTopic() async throws {
        let broker = try BrokerDouble { _ in .topics([]) }
        let result = try await Brokerctl.run(["topic", "show", "orders", "-b", broker.url])
        #expect(result.code == 65)
        #expect(result.error == "brokerctl: TOPIC_UNKNOWN (101): there is no topic orders\n")
    }

    @Test("Settings that are not named stay as they are") func setKeeps() async throws {
        var settings = TopicSettings()
        settings.messagesMax = 77
        let topic = TopicStatus(name: .orders, settings: settings)
        let broker = try BrokerDouble { $0 == .topicList ? .topics([topic]) : .done }
        let result = try await Brokerctl.run(["topic", "set", "orders", "lease=5m", "-b", broker.url])
        #expect(result.code == 0)
        settings.delivery.leaseMilliseconds = 300_000
        #expect(broker.requests.last == .topicSet(.orders, settings))
    }

    @Test("Nothing is destroyed unasked", arguments: [[], ["--no-input"], ["--dry-run"]])
    func unasked(options: [String]) async throws {
        let broker = try BrokerDouble(answer: Self.lettered)
        let result = try await Brokerctl.run(
            ["dead", "purge", "orders@mail", "-b", broker.url] + options, input: "orders@mail\n")
        #expect(result.code == (options == ["--dry-run"] ? 0 : 64))
        let text = options == ["--dry-run"] ? result.output : result.error
        #expect(text.contains("purge 3 dead letters of orders@mail"))
        #expect(
            broker.requests.allSatisfy { if case .deadPurge(_, let chosen) = $0 { chosen.isDryRun } else { false } })
    }

    @Test("With --force it is one request") func forced() async throws {
        let broker = try BrokerDouble(answer: Self.lettered)
        let result = try await Brokerctl.run(["dead", "purge", "orders@mail", "--force", "-b", broker.url])
        #expect(result.output == "purged 3 dead letters of orders@mail\n")
        #expect(broker.requests == [.deadPurge(.mail, [])])
    }

    @Test("A named letter that is none is refused before anything is done") func unknownLetter() async throws {
        let broker = try BrokerDouble(answer: Self.lettered)
        let result = try await Brokerctl.run(["dead", "redrive", "orders@mail", "4", "9", "-b", broker.url])
        #expect(result.code == 65)
        #expect(result.error.contains("orders@mail has no dead letter 9"))
        #expect(broker.requests == [.deadRedrive(.mail, [MessageID(rawValue: 4), MessageID(rawValue: 9)])])
    }

    @Test("What is given chooses dead letters; with a rate the redrive is a job") func chosen() async throws {
        let broker = try BrokerDouble(answer: Self.lettered)
        let choice = ["--reason", "poison", "--reason", "age", "--error", "451", "--header", "a=b=c", "--key", "k"]
        let words = ["dead", "redrive", "orders@mail", "-b", broker.url, "-n", "7"] + choice
        var wanted = DeadSelection()
        wanted.reasons = [.poison, .age]
        wanted.errorContains = "451"
        wanted.headers = [Header("a", "b=c")]
        wanted.orderingKey = "k"
        wanted.limit = 7
        #expect(try await Brokerctl.run(words).output == "redrove 3 dead letters of orders@mail\n")
        #expect(broker.requests.last == .deadRedrive(.mail, wanted))
        let other = try BrokerDouble(answer: Self.lettered)
        let job = try await Brokerctl.run(words.map { $0 == broker.url ? other.url : $0 } + ["--rate", "50"])
        #expect(job.output == "redrive 12 of orders@mail goes on, 50 in a second\n")
        #expect(other.requests.last == .deadRedrive(.mail, wanted, rate: 50))
        let wrong = try await Brokerctl.run(words + ["--reason", "tired"])
        #expect(wrong.code == 64)
        #expect(wrong.error.contains("`tired` is no reason"))
    }

    @Test("A browse goes from page to page until it has its limit") func browse() async throws {
        let broker = try BrokerDouble { request in
            guard case .browse(let name, let query) = request else {
                return .refused(BrokerError(.unsupported, "\(request)"))
            }
            // Every other page finds nothing.
            let from = query.from.rawValue
            let message = Delivery(
                consumer: ConsumerID(rawValue: 0), lease: LeaseID(rawValue: 0), leaseMilliseconds: 0, id: query.from,
                subscription: name, attempt: 1, publishedAt: WallTime(milliseconds: 0), body: [])
            let found = BrowsedMessage(message: message, state: .leased, holder: "mail-1", leaseMilliseconds: 30_000)
            return .browsed(
                BrowsePage(messages: from % 2 == 0 ? [] : [found], next: MessageID(rawValue: from + 1)))
        }
        let result = try await Brokerctl.run(
            ["browse", "orders@mail", "-b", broker.url, "--state", "leased", "-n", "2", "--newer-than", "1h"])
        #expect(result.code == 0, "\(result.error)")
        #expect(result.output.contains("mail-1, for 30s"))
        #expect(result.output.hasSuffix("…and more: raise --limit\n"))
        #expect(broker.requests.count == 4)
        let wrong = try await Brokerctl.run(["browse", "orders@mail", "--state", "lost", "-b", broker.url])
        #expect(wrong.code == 64)
    }

    @Test("A delete asks, says what is gone, and fails with the first refusal") func delete() async throws {
        let broker = try BrokerDouble { _ in .settled([nil, BrokerError(.messageLeased, "message 2 is leased")]) }
        let unasked = try await Brokerctl.run(["delete", "orders@mail", "1", "2", "-b", broker.url])
        #expect(unasked.code == 64)
        #expect(broker.requests.isEmpty)
        let result = try await Brokerctl.run(["delete", "orders@mail", "1", "2", "--force", "-b", broker.url])
        #expect(result.output == "deleted 1 messages of orders@mail\n")
        #expect(result.error == "brokerctl: MESSAGE_LEASED (111): message 2 is leased\n")
        #expect(result.code == 75)
    }
}
