/// The commands. Flags, arities and key positions are those of Redis 7 where Redis has the command.
extension RedisCommand {
    static let connection: [RedisCommand] = [
        RedisCommand("ping", -1, "fast", .none, "connection", "Answers PONG, or the text given") { try $0.ping($1) },
        RedisCommand("echo", 2, "loading stale fast", .none, "connection", "Answers its text") { .bulk($1[1]) },
        RedisCommand("auth", -2, "noscript loading stale fast no_auth", .none, "connection", "There is no password") {
            try $0.auth($1)
        },
        RedisCommand(
            "hello", -1, "noscript loading stale fast no_auth", .none, "connection", "Chooses RESP2 or RESP3"
        ) { try $0.hello($1) },
        RedisCommand("select", 2, "loading stale fast", .none, "connection", "There is database 0") {
            try $0.select($1)
        },
        RedisCommand("quit", -1, "noscript loading stale fast no_auth", .none, "connection", "Ends the connection") {
            $0.quit($1)
        },
        RedisCommand(
            "reset", 1, "noscript loading stale fast no_auth", .none, "connection",
            "Makes the connection as it was when new"
        ) { $0.reset($1) },
        RedisCommand(
            "client", -2, "admin noscript loading stale", .none, "connection", "Looks at connections, ends them"
        ) {
            try $0.client($1)
        },
        RedisCommand("command", -1, "loading stale", .none, "server", "This table") { try $0.commandCommand($1) },
        RedisCommand("config", -2, "admin noscript loading stale", .none, "server", "Reads a few settings") {
            try $0.config($1)
        },
        RedisCommand("info", -1, "loading stale", .none, "server", "The broker in numbers") { $0.info($1) },
        RedisCommand("time", 1, "loading stale fast", .none, "server", "The wall clock") { $0.time($1) },
        RedisCommand("wait", 3, "noscript", .none, "generic", "Answers when all before it is on disk") {
            try $0.wait($1)
        },
    ]

    static let lists: [RedisCommand] = [
        RedisCommand("lpush", -3, "write denyoom fast", .one, "list", "Publishes messages", .messages) {
            try $0.push($1, .newestFirst)
        },
        RedisCommand("rpush", -3, "write denyoom fast", .one, "list", "Publishes messages", .messages) {
            try $0.push($1, .oldestFirst)
        },
        RedisCommand(
            "lpushx", -3, "write denyoom fast", .one, "list", "Publishes messages to a list that is there", .messages
        ) { try $0.pushToExisting($1, .newestFirst) },
        RedisCommand(
            "rpushx", -3, "write denyoom fast", .one, "list", "Publishes messages to a list that is there", .messages
        ) { try $0.pushToExisting($1, .oldestFirst) },
        RedisCommand("lpop", -2, "write fast", .one, "list", "Takes the oldest messages", .facts) { try $0.pop($1) },
        RedisCommand("rpop", -2, "write fast", .one, "list", "Takes the oldest messages", .facts) { try $0.pop($1) },
        RedisCommand(
            "blpop", -3, "write noscript blocking", .allButLast, "list", "Waits for a message and takes it", .facts
        ) { try $0.blockingPop($1) },
        RedisCommand(
            "brpop", -3, "write noscript blocking", .allButLast, "list", "Waits for a message and takes it", .facts
        ) { try $0.blockingPop($1) },
        RedisCommand("lmove", 5, "write denyoom", .two, "list", "Moves the oldest message to another topic", .copy) {
            try $0.move($1, view: try $0.moveView($1))
        },
        RedisCommand("rpoplpush", 3, "write denyoom", .two, "list", "Moves the oldest message", .copy) {
            try $0.move($1, view: .newestFirst)
        },
        RedisCommand(
            "blmove", 6, "write denyoom noscript blocking", .two, "list", "Waits for a message and moves it", .copy
        ) { try $0.blockingMove($1, view: try $0.moveView($1), timeout: 5) },
        RedisCommand(
            "brpoplpush", 4, "write denyoom noscript blocking", .two, "list", "Waits for a message and moves it", .copy
        ) { try $0.blockingMove($1, view: .newestFirst, timeout: 3) },
        RedisCommand("llen", 2, "readonly fast", .one, "list", "How many messages wait") { $0.length($1) },
        RedisCommand("lrange", 4, "readonly", .one, "list", "Shows messages that wait") { try $0.range($1) },
        RedisCommand("lindex", 3, "readonly", .one, "list", "Shows a message that waits") { try $0.index($1) },
        RedisCommand("lrem", 4, "write", .one, "list", "Drops messages with this body", .facts) { try $0.remove($1) },
        RedisCommand("ltrim", 4, "write", .one, "list", "Drops messages outside a range", .facts) { try $0.trim($1) },
    ]

    static let generic: [RedisCommand] = [
        RedisCommand("del", -2, "write", .all, "generic", "Drops all messages of a key", .facts) { try $0.delete($1) },
        RedisCommand("unlink", -2, "write fast", .all, "generic", "Drops all messages of a key", .facts) {
            try $0.delete($1)
        },
        RedisCommand("exists", -2, "readonly fast", .all, "generic", "How many of the keys hold something") {
            $0.exists($1)
        },
        RedisCommand("type", 2, "readonly fast", .one, "generic", "list, stream or none") { $0.type($1) },
        RedisCommand("keys", 2, "readonly", .none, "generic", "Topics that hold something") { $0.keys($1) },
        RedisCommand("scan", -2, "readonly", .none, "generic", "Topics that hold something, in pieces") {
            try $0.scan($1)
        },
        RedisCommand("dbsize", 1, "readonly fast", .none, "server", "How many topics hold something") {
            $0.databaseSize($1)
        },
    ]

    static let streams: [RedisCommand] = [
        RedisCommand("xadd", -5, "write denyoom fast", .one, "stream", "Publishes an entry", .messages) {
            try $0.addEntry($1)
        },
        RedisCommand("xlen", 2, "readonly fast", .one, "stream", "How many entries there are") {
            try $0.entryCount($1)
        },
        RedisCommand("xrange", -4, "readonly", .one, "stream", "Entries in order") {
            try $0.entries($1, isReversed: false)
        },
        RedisCommand("xrevrange", -4, "readonly", .one, "stream", "Entries against the order") {
            try $0.entries($1, isReversed: true)
        },
        RedisCommand("xread", -4, "readonly blocking movablekeys", .none, "stream", "Entries behind an id") {
            try $0.readStreams($1)
        },
        RedisCommand("xdel", -3, "write fast", .one, "stream", "Deletes entries for everybody", .facts) {
            try $0.deleteEntries($1)
        },
        RedisCommand("xtrim", -4, "write", .one, "stream", "Deletes old entries for everybody", .facts) {
            try $0.trimStream($1)
        },
        RedisCommand(
            "xreadgroup", -7, "write blocking movablekeys", .none, "stream", "Deliveries for a consumer of a group",
            .facts
        ) { try $0.readStreams($1) },
        RedisCommand("xack", -4, "write fast", .one, "stream", "Acknowledges deliveries of a group", .facts) {
            try $0.acknowledgeEntries($1)
        },
        RedisCommand("xgroup", -2, "write", Keys(first: 2, last: 2, step: 1), "stream", "Groups and consumers", .facts)
        { try $0.group($1) },
        RedisCommand("xpending", -3, "readonly", .one, "stream", "Deliveries without a verdict") { try $0.pending($1) },
        RedisCommand("xclaim", -6, "write fast", .one, "stream", "Takes deliveries over", .facts) { try $0.claim($1) },
        RedisCommand("xautoclaim", -6, "write fast", .one, "stream", "Takes old deliveries over", .facts) {
            try $0.autoclaim($1)
        },
        RedisCommand(
            "xinfo", -2, "readonly", Keys(first: 2, last: 2, step: 1), "stream", "A stream, its groups, its consumers"
        ) { try $0.streamInfo($1) },
    ]

    static let settles: [RedisCommand] = [
        RedisCommand(
            "btake", -3, "write noscript blocking", .allButLast, "broker", "Waits for messages and leases them", .facts
        ) { try $0.take($1) },
        RedisCommand("ack", -2, "write fast", .none, "broker", "The message is done", .facts) {
            try $0.acknowledge($1)
        },
        RedisCommand("fail", -2, "write fast", .none, "broker", "The attempt failed; tried again later", .messages) {
            try $0.fail($1)
        },
        RedisCommand("release", -2, "write fast", .none, "broker", "Gives the message back, uncounted", .facts) {
            try $0.release($1)
        },
        RedisCommand("reject", 3, "write fast", .none, "broker", "Makes the message a dead letter", .messages) {
            try $0.reject($1)
        },
        RedisCommand("extend", 3, "fast", .none, "broker", "Sets the end of a lease") { try $0.extend($1) },
        RedisCommand("publishx", -3, "write denyoom fast", .one, "broker", "Publishes with options", .messages) {
            try $0.publish($1)
        },
    ]

    static let transactions: [RedisCommand] = [
        RedisCommand("multi", 1, "noscript loading stale fast", .none, "transactions", "Begins a transaction") {
            try $0.multi($1)
        },
        RedisCommand("exec", 1, "noscript loading stale", .none, "transactions", "Runs the transaction as one commit") {
            try $0.exec($1)
        },
        RedisCommand("discard", 1, "noscript loading stale fast", .none, "transactions", "Forgets the transaction") {
            try $0.discard($1)
        },
        RedisCommand("watch", -2, "noscript loading stale fast", .all, "transactions", "Is refused") {
            try $0.watch($1)
        },
        RedisCommand("unwatch", 1, "noscript loading stale fast", .none, "transactions", "There is nothing to forget") {
            _, _ in
            .ok
        },
    ]
}
