import BrokerProtocol
import DaemonKit
import LinuxIO

/// Finds the command in the arguments and runs it.
@MainActor func run(_ arguments: [String], _ console: Console) async throws {
    let top = try parse(Command.top, arguments)
    if top.has("version") { return console.print("brokerctl \(productVersion)") }
    var words = top.operands
    let asksHelp = top.has("help") || words.first == "help"
    if words.first == "help" { words.removeFirst() }
    if words.isEmpty {
        if asksHelp { return console.print(Command.overview) }
        throw Failure.usage("a command is missing", help: "brokerctl --help")
    }
    let group = Command.group(words[0])
    if !group.isEmpty, asksHelp && words.count == 1 || words.count == 2 && ["--help", "-h"].contains(words[1]) {
        return console.print("usage: brokerctl \(words[0]) COMMAND [ARGUMENT]…\n\n\(Command.listing(of: group))")
    }
    let (command, rest) = try Command.find(words)
    if asksHelp { return console.print(command.help) }
    let input = try parse(command.syntax, rest, help: "brokerctl \(command.name) --help")
    if input.has("help") { return console.print(command.help) }
    let invocation = Invocation(command: command, input: input, console: console, topBroker: top.value("broker"))
    try invocation.checkOperands()
    try await command.run(invocation)
}

func parse(
    _ syntax: CommandSyntax, _ arguments: some Sequence<String>, help: String = "brokerctl --help"
) throws(Failure) -> CommandInput {
    do throws(UsageError) { return try syntax.parse(arguments) } catch { throw .usage(error.description, help: help) }
}

do {
    try await run(Array(CommandLine.arguments.dropFirst()), Console.standard())
} catch {
    let failure = Failure(error)
    Process.writeError("brokerctl: \(failure.message)\n")
    failure.code.exit()
}
