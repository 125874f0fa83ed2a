extension Command {
    /// Every command, in the order of the help.
    static let all: [Command] =
        [statusCommand] + topicCommands + subscriptionCommands
        + [publishCommand, tailCommand, fetchCommand, historyCommand]
        + browseCommands + deadCommands + keyCommands + messageCommands + scheduleCommands + pauseCommands
        + logCommands + [completionCommand]

    /// The command that the words begin with, and the words behind it.
    /// - Throws: A usage failure that lists what there is.
    static func find(_ words: [String]) throws(Failure) -> (command: Command, rest: ArraySlice<String>) {
        let best = all.filter { words.starts(with: $0.words) }.max { $0.words.count < $1.words.count }
        if let best { return (best, words.dropFirst(best.words.count)) }
        let noun = words.first ?? ""
        let verbs = group(noun)
        if verbs.isEmpty {
            throw .usage("there is no command `\(noun)`", help: "brokerctl --help")
        }
        let said = words.count > 1 ? "there is no command `\(noun) \(words[1])`" : "`\(noun)` needs a verb"
        throw .usage(
            "\(said): \(verbs.map { $0.words[1] }.joined(separator: ", "))", help: "brokerctl \(noun) --help")
    }
}
