import Broker
import BrokerProtocol
import DaemonKit
import LinuxIO

let syntax = CommandSyntax(
    synopsis: "brokerd [OPTION]…",
    options: [
        .init("data-dir", short: "d", value: "DIR", help: "where the log lives (wins over data_dir)"),
        .init(
            "listen", short: "l", value: "URL",
            help: "tcp://HOST:PORT or unix:///PATH, repeatable (default tcp://127.0.0.1:7470)"),
        .init("redis-listen", value: "URL", help: "the same for Redis clients, repeatable (default: none)"),
        .init("config", short: "c", value: "FILE", help: "configuration; FILE.d/*.conf is read after it"),
        .init("check", help: "read the configuration, say what is wrong with it, and end"),
        .init("version", help: "show the version"),
        .init("help", short: "h", help: "show this"),
    ])

func fail(_ code: ExitCode, _ text: String) -> Never {
    Process.writeError("brokerd: \(text)\n")
    code.exit()
}

let input: CommandInput
do throws(UsageError) {
    input = try syntax.parse(CommandLine.arguments.dropFirst())
} catch {
    fail(.usage, "\(error); see brokerd --help")
}
if input.has("help") {
    Process.writeOutput(syntax.usage)
    ExitCode.success.exit()
}
if input.has("version") {
    Process.writeOutput("brokerd \(productVersion)\n")
    ExitCode.success.exit()
}
if let operand = input.operands.first { fail(.usage, "unexpected argument \(operand); see brokerd --help") }

func endpoints(_ option: String) -> [Endpoint] {
    input.values(option).map { text in
        guard let endpoint = Endpoint(text) else {
            fail(.usage, "--\(option) \(text): expected tcp://HOST:PORT or unix:///PATH")
        }
        return endpoint
    }
}
let source = ConfigurationSource(
    path: input.value("config"), dataDirectory: input.value("data-dir"), listen: endpoints("listen"),
    redisListen: endpoints("redis-listen"))
do {
    let reader = try source.read()
    if input.has("check") {
        Process.writeOutput("the configuration is good\n")
        ExitCode.success.exit()
    }
    try Daemon(source: source, configuration: reader.configuration, logLevel: reader.logLevel).run()
} catch let error as ConfigurationError {
    fail(.configuration, "\(error)")
} catch let failure as Daemon.Failure {
    fail(failure.code, failure.text)
} catch {
    fail(.osError, "\(error)")
}
