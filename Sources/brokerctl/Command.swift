import LinuxIO

/// One thing that brokerctl does, as its help, its parser and its completions know it.
struct Command: Sendable {
    typealias Option = CommandSyntax.Option

    /// Noun and verb, such as `topic create`.
    let words: [String]
    /// As the usage line shows them, such as `TOPIC [KEY=VALUE]…`.
    var operands = ""
    var operandCount: ClosedRange<Int> = 0...0
    let summary: String
    /// What the help says below the options.
    var notes = ""
    var options: [Option] = []
    /// Whether it can answer in JSON.
    var hasJSON = false
    /// Whether it talks to a broker.
    var isRemote = true
    /// Runs on the main thread, which may block: answers arrive on other threads.
    let run: @MainActor @Sendable (Invocation) async throws -> Void

    var name: String { words.joined(separator: " ") }

    var syntax: CommandSyntax {
        CommandSyntax(
            synopsis: (["brokerctl", name, "[OPTION]…"] + (operands.isEmpty ? [] : [operands])).joined(separator: " "),
            options: options + (hasJSON ? [Self.json] : []) + (isRemote ? [Self.broker] : []) + [Self.help])
    }

    var help: String {
        "\(syntax.usage)\n\(summary).\n" + (notes.isEmpty ? "" : "\n\(notes)\n")
    }

    static let json = Option("json", help: "answer in JSON; docs/BROKERCTL.md has the fields")
    static let broker = Option("broker", short: "b", value: "URL", help: "tcp://host:port or unix:///path")
    static let help = Option("help", short: "h", help: "show this help")
    static let version = Option("version", short: "V", help: "show the version")

    /// What stands before the command.
    static let top = CommandSyntax(
        synopsis: "brokerctl [OPTION]… COMMAND [ARGUMENT]…", options: [broker, help, version], stopsAtOperand: true)

    /// A noun without a verb stands for its own help.
    static func group(_ noun: String) -> [Command] { all.filter { $0.words.count > 1 && $0.words[0] == noun } }

    static func listing(of commands: [Command]) -> String {
        let width = commands.map(\.name.count).max() ?? 0
        return commands.map { command in
            "  " + command.name + String(repeating: " ", count: width - command.name.count + 2) + command.summary + "\n"
        }.joined()
    }

    static var overview: String {
        """
        \(top.usage)
        Commands:
        \(listing(of: all))
        The broker is --broker, else BROKERD_URL, else unix:///run/brokerd.sock when
        it exists, else tcp://127.0.0.1:7470. `brokerctl COMMAND --help` tells more.

        Exit codes: 0 done, 64 the command line is wrong, 65 bad input or no such
        thing, 69 no broker, 70 a bug of brokerctl, 75 try again later, 77 not
        allowed, 78 BROKERD_URL is wrong.

        """
    }
}
