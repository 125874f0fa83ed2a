import BrokerProtocol

/// What programs and people ask about the server itself.
extension RedisServer {
    // MARK: COMMAND

    func commandCommand(_ call: RedisCall) throws(RESPError) -> RedisReply {
        guard call.count > 1 else { return .array(RedisCommand.all.map(\.description)) }
        switch call.subcommand {
        case "count":
            try call.demandCount(2...2)
            return .integer(RedisCommand.all.count)
        case "info":
            let wanted = call.arguments[2...]
            if wanted.isEmpty { return .array(RedisCommand.all.map(\.description)) }
            return .array(wanted.map { RedisCommand.named($0)?.description ?? .null })
        case "docs":
            let wanted = call.arguments[2...]
            let commands = wanted.isEmpty ? RedisCommand.all : wanted.compactMap(RedisCommand.named)
            return .fields(commands.map { .init($0.name, $0.documentation) })
        case "list":
            try call.demandCount(2...2)
            return .array(RedisCommand.all.map { .bulk($0.name) })
        case "getkeys": return try commandKeys(call)
        case "help": return call.help("COUNT", "DOCS [name …]", "GETKEYS command", "INFO [name …]", "LIST")
        default: throw call.unknownSubcommand
        }
    }

    private func commandKeys(_ call: RedisCall) throws(RESPError) -> RedisReply {
        try call.demandCount(3...Int.max)
        let arguments = Array(call.arguments[2...])
        guard let command = RedisCommand.named(arguments[0]) else { throw "ERR Invalid command specified" }
        guard command.accepts(arguments.count) else {
            throw "ERR Invalid number of arguments specified for command"
        }
        let inner = RedisCall(command: command, arguments: arguments, session: call.session, now: call.now)
        let keys = command.flags.contains("movablekeys") ? try StreamRead.keys(of: inner) : inner.keys
        guard !keys.isEmpty else { throw "ERR The command has no key arguments" }
        return .array(keys.map { .bulk($0) })
    }

    // MARK: CONFIG

    /// What tools read: `redis-benchmark` asks for the first two.
    private var settings: [(name: String, value: String)] {
        [
            ("save", ""), ("appendonly", "yes"), ("appendfsync", "always"), ("maxmemory", "0"),
            ("maxmemory-policy", "noeviction"), ("maxclients", "\(configuration.connectionsMax)"), ("timeout", "0"),
            ("databases", "1"), ("dir", configuration.dataDirectory), ("port", "\(port)"),
            ("proto-max-bulk-len", "\(configuration.frameBytesMax)"),
        ]
    }

    func config(_ call: RedisCall) throws(RESPError) -> RedisReply {
        switch call.subcommand {
        case "get":
            try call.demandCount(3...Int.max)
            let patterns = call.arguments[2...].map { GlobPattern($0.map(RESPWords.lowercased)) }
            return .fields(
                settings.filter { setting in patterns.contains { $0.matches(setting.name.utf8) } }
                    .map { .init($0.name, .bulk($0.value)) })
        case "resetstat":
            try call.demandCount(2...2)
            commandCount = 0
            connectionCount = 0
            return .ok
        case "help": return call.help("GET pattern …", "RESETSTAT")
        case "set", "rewrite":
            if call.subcommand == "set" { try call.demandCount(4...Int.max) }
            throw "ERR brokerd reads its settings from brokerd.conf; change it and reload"
        default: throw call.unknownSubcommand
        }
    }

    // MARK: INFO

    func info(_ call: RedisCall) -> RedisReply {
        let status = status()
        let wanted = call.rest.map { String(decoding: $0.map(RESPWords.lowercased), as: UTF8.self) }
        let isAll = wanted.isEmpty || wanted.contains { ["all", "default", "everything"].contains($0) }
        let sections = sections(status, call).filter { isAll || wanted.contains($0.name.lowercased()) }
        let text = sections.map { section in
            "# \(section.name)\r\n" + section.lines.map { "\($0.0):\($0.1)\r\n" }.joined()
        }.joined(separator: "\r\n")
        return .value(.verbatim(format: "txt", Array(text.utf8)))
    }

    private func sections(_ status: BrokerStatus, _ call: RedisCall) -> [(name: String, lines: [(String, String)])] {
        let seconds = status.uptimeMilliseconds / 1_000
        let waiting = sessions.values.count(where: isWaiting)
        return [
            (
                "Server",
                [
                    ("redis_version", Self.redisVersion), ("redis_mode", "standalone"),
                    ("brokerd_version", productVersion), ("os", "Linux"), ("arch_bits", "64"),
                    ("process_id", "\(processID)"), ("tcp_port", "\(port)"), ("uptime_in_seconds", "\(seconds)"),
                    ("uptime_in_days", "\(seconds / 86_400)"), ("brokerd_epoch", "\(status.epoch)"),
                ]
            ),
            (
                "Clients",
                [
                    ("connected_clients", "\(sessions.count)"), ("maxclients", "\(configuration.connectionsMax)"),
                    ("blocked_clients", "\(waiting)"), ("brokerd_connections", "\(status.connections)"),
                ]
            ),
            (
                "Persistence",
                [
                    ("loading", "0"), ("aof_enabled", "1"), ("aof_last_write_status", "ok"),
                    ("brokerd_log_segments", "\(status.logSegments)"),
                    ("brokerd_log_free_bytes", "\(status.logFreeBytes)"),
                ]
            ),
            (
                "Stats",
                [
                    ("total_connections_received", "\(connectionCount)"),
                    ("total_commands_processed", "\(commandCount)"), ("brokerd_published", "\(status.published)"),
                    ("brokerd_delivered", "\(status.delivered)"), ("brokerd_acknowledged", "\(status.acknowledged)"),
                ]
            ),
            ("Replication", [("role", "master"), ("connected_slaves", "0")]),
            (
                "Broker",
                [
                    ("topics", "\(status.topics)"), ("messages", "\(status.messages)"), ("ready", "\(status.ready)"),
                    ("delayed", "\(status.delayed)"), ("leased", "\(status.leased)"), ("dead", "\(status.dead)"),
                ]
            ),
            ("Keyspace", [("db0", "keys=\(status.topics),expires=0,avg_ttl=0")]),
        ]
    }
}
