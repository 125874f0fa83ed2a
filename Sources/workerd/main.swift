import BrokerProtocol
import DaemonKit
import LinuxIO

let syntax = CommandSyntax(
    synopsis: "workerd --instance ROLE-NUMBER [OPTION]…",
    options: [
        .init("instance", short: "i", value: "NAME", help: "which worker: email-1, payment-1, inventory-1"),
        .init("broker", short: "b", value: "URL", help: "unix:///PATH or tcp://HOST:PORT (default: BROKERD_URL)"),
        .init("config", short: "c", value: "FILE", help: "configuration; FILE.d/*.conf is read after it"),
        .init(
            "embedded", value: "DIR",
            help: "run the broker in this process, its log in DIR; several instances, separated by commas"),
        .init("version", help: "show the version"),
        .init("help", short: "h", help: "show this"),
    ])

func fail(_ code: ExitCode, _ text: String) -> Never {
    Process.writeError("workerd: \(text)\n")
    code.exit()
}

let input: CommandInput
do throws(UsageError) {
    input = try syntax.parse(CommandLine.arguments.dropFirst())
} catch {
    fail(.usage, "\(error); see workerd --help")
}
if input.has("help") {
    Process.writeOutput(syntax.usage)
    ExitCode.success.exit()
}
if input.has("version") {
    Process.writeOutput("workerd \(productVersion)\n")
    ExitCode.success.exit()
}
if let operand = input.operands.first { fail(.usage, "unexpected argument \(operand); see workerd --help") }
guard let names = input.value("instance") else { fail(.usage, "--instance is missing, such as --instance email-1") }

do {
    let instances = try names.split(separator: ",", omittingEmptySubsequences: false).map { try Instance(String($0)) }
    guard Set(instances).count == instances.count else { fail(.usage, "--instance \(names): the same name twice") }
    guard instances.count == 1 || input.has("embedded") else {
        fail(.usage, "--instance \(names): several instances need --embedded; start one process for each")
    }
    if input.has("embedded"), input.has("broker") {
        fail(.usage, "--embedded runs a broker of its own: it or --broker, not both")
    }
    let state = Process.environment("STATE_DIRECTORY")?.split(separator: ":").first.map(String.init)
    let path = input.value("config")
    let configuration = try WorkerConfiguration(
        ConfigurationFile(path: path ?? WorkerConfiguration.defaultPath, isRequired: path != nil),
        stateDirectory: state ?? "/var/lib/workerd")
    let url = input.value("broker") ?? configuration.broker?.description ?? Process.environment("BROKERD_URL")
    guard let endpoint = Endpoint(url ?? WorkerConfiguration.defaultBroker) else {
        fail(.usage, "broker \(url ?? ""): expected tcp://HOST:PORT or unix:///PATH")
    }
    let service = Service(instances, configuration, endpoint, embedded: input.value("embedded"))
    try service.runAndWait()
} catch let error as Instance.UnknownRole {
    fail(.usage, "\(error)")
} catch let error as ConfigurationError {
    fail(.configuration, "\(error)")
} catch let failure as Daemon.Failure {
    fail(failure.code, failure.text)
} catch {
    fail(.osError, "\(error)")
}
