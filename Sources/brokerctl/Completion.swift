extension Command {
    static let completionCommand = Command(
        words: ["completion"], operands: "bash|zsh|fish", operandCount: 1...1,
        summary: "Print a completion script for a shell",
        notes: """
            bash: brokerctl completion bash > /etc/bash_completion.d/brokerctl
            zsh:  brokerctl completion zsh > /usr/share/zsh/site-functions/_brokerctl
            fish: brokerctl completion fish > ~/.config/fish/completions/brokerctl.fish
            """,
        isRemote: false
    ) { invocation in
        guard let script = Completion.script(for: invocation.input.operands[0], commands: all) else {
            throw invocation.wrong("`\(invocation.input.operands[0])` is no shell that has completions here")
        }
        invocation.console.print(script)
    }
}

/// Completion scripts, made from the table of commands.
enum Completion {
    /// - Returns: Nil for an unknown shell.
    static func script(for shell: String, commands: [Command]) -> String? {
        switch shell {
        case "bash": bash(commands)
        case "zsh": zsh(commands)
        case "fish": fish(commands)
        default: nil
        }
    }

    private static func nouns(_ commands: [Command]) -> [String] {
        commands.map { $0.words[0] }.reduce(into: []) { if !$0.contains($1) { $0.append($1) } }
    }

    private static func verbs(of noun: String, _ commands: [Command]) -> [Command] {
        commands.filter { $0.words.count > 1 && $0.words[0] == noun }
    }

    private static func options(_ options: [Command.Option]) -> String {
        options.map { "--\($0.name)" }.joined(separator: " ")
    }

    /// The case branches that bash and zsh share: what may follow the words typed so far.
    private static func branches(_ commands: [Command]) -> String {
        var lines = ["    '') words='\(nouns(commands).joined(separator: " ")) \(options(Command.top.options))' ;;"]
        for noun in nouns(commands) {
            let verbs = verbs(of: noun, commands).map { $0.words[1] }
            if !verbs.isEmpty { lines.append("    '\(noun)') words='\(verbs.joined(separator: " ")) --help' ;;") }
        }
        for command in commands {
            let more = command.words == ["completion"] ? "bash zsh fish " : ""
            lines.append("    '\(command.name)'*) words='\(more)\(options(command.syntax.options))' ;;")
        }
        return lines.joined(separator: "\n")
    }

    private static func bash(_ commands: [Command]) -> String {
        """
        # bash completion for brokerctl
        _brokerctl() {
            local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]} typed='' words='' i
            COMPREPLY=()
            case $previous in
            --file|-f|--to) COMPREPLY=($(compgen -f -- "$current")); return ;;
            esac
            for ((i = 1; i < COMP_CWORD; i++)); do
                case ${COMP_WORDS[i]} in
                --broker|-b) ((i++)) ;;
                -*) ;;
                *) typed="${typed:+$typed }${COMP_WORDS[i]}" ;;
                esac
            done
            case $typed in
        \(branches(commands))
            esac
            case $typed in
            'log '*) COMPREPLY=($(compgen -d -- "$current")) ;;
            esac
            COMPREPLY+=($(compgen -W "$words" -- "$current"))
        }
        complete -F _brokerctl brokerctl

        """
    }

    private static func zsh(_ commands: [Command]) -> String {
        """
        #compdef brokerctl
        # zsh completion for brokerctl
        _brokerctl() {
            local typed='' word skip=0 file=0 words_typed=("${(@)words[2,CURRENT-1]}")
            case $words[CURRENT-1] in
            --file|-f|--to) _files; return ;;
            esac
            for word in $words_typed; do
                if (( skip )); then skip=0; continue; fi
                case $word in
                --broker|-b) skip=1 ;;
                -*) ;;
                *) typed="${typed:+$typed }$word" ;;
                esac
            done
            local words=''
            case $typed in
        \(branches(commands))
            esac
            [[ $typed == 'log '* ]] && _files -/
            compadd -- ${=words}
        }
        _brokerctl "$@"

        """
    }

    private static func fish(_ commands: [Command]) -> String {
        func quoted(_ text: String) -> String { "'\(text.replacing("'", with: "\\'"))'" }
        var lines = ["# fish completion for brokerctl", "complete -c brokerctl -f"]
        let none = "not __fish_seen_subcommand_from \(nouns(commands).joined(separator: " "))"
        for noun in nouns(commands) {
            let verbs = verbs(of: noun, commands)
            let summary =
                verbs.isEmpty
                ? commands.first { $0.words == [noun] }?.summary ?? ""
                : verbs.map { $0.words[1] }.joined(separator: ", ")
            lines.append("complete -c brokerctl -n \(quoted(none)) -a \(noun) -d \(quoted(summary))")
            let names = verbs.map { $0.words[1] }.joined(separator: " ")
            for verb in verbs {
                let condition = "__fish_seen_subcommand_from \(noun); and not __fish_seen_subcommand_from \(names)"
                lines.append(
                    "complete -c brokerctl -n \(quoted(condition)) -a \(verb.words[1]) -d \(quoted(verb.summary))")
            }
        }
        for command in commands {
            let condition = command.words.map { "__fish_seen_subcommand_from \($0)" }.joined(separator: "; and ")
            for option in command.syntax.options {
                let short = option.short.map { " -s \($0)" } ?? ""
                let value = option.value == nil ? "" : " -r" + (["file", "to"].contains(option.name) ? " -F" : "")
                lines.append(
                    "complete -c brokerctl -n \(quoted(condition)) -l \(option.name)\(short)\(value) "
                        + "-d \(quoted(option.help))"
                )
            }
        }
        lines.append("complete -c brokerctl -n '__fish_seen_subcommand_from completion' -a 'bash zsh fish'")
        lines.append("complete -c brokerctl -n '__fish_seen_subcommand_from log' -F")
        return lines.joined(separator: "\n") + "\n"
    }
}
