import BrokerClient
import BrokerProtocol
import DaemonKit
import LinuxIO

/// A command with what the user gave it.
struct Invocation: Sendable {
    let command: Command
    let input: CommandInput
    let console: Console
    /// From before the command; the command's own wins.
    let topBroker: String?

    var wantsJSON: Bool { input.has("json") }

    func wrong(_ message: String) -> Failure {
        .usage(message, help: "brokerctl \(command.name) --help")
    }

    /// - Throws: A usage failure when there are too many or too few operands.
    func checkOperands() throws(Failure) {
        let count = input.operands.count
        if count < command.operandCount.lowerBound { throw wrong("\(command.operands) is missing") }
        if count > command.operandCount.upperBound {
            throw wrong("`\(input.operands[command.operandCount.upperBound])` is one argument too many")
        }
    }

    // MARK: Operands and values

    func topic(_ index: Int = 0) throws(Failure) -> TopicName {
        guard let name = TopicName(input.operands[index]) else {
            throw wrong("`\(input.operands[index])` is no topic: 1 to 255 bytes without space, control characters, @")
        }
        return name
    }

    func subscription() throws(Failure) -> SubscriptionName {
        guard let name = SubscriptionName(input.operands[0]) else {
            throw wrong("`\(input.operands[0])` is no subscription: it is written TOPIC@NAME")
        }
        return name
    }

    func messageID(_ text: String) throws(Failure) -> MessageID {
        guard let number = UInt64(text) else { throw wrong("`\(text)` is no message id: it is a whole number") }
        return MessageID(rawValue: number)
    }

    func number(_ option: String, default value: UInt32) throws(Failure) -> UInt32 {
        guard let text = input.value(option) else { return value }
        guard let number = UInt32(text), number > 0 else {
            throw wrong("--\(option) \(text): expected a whole number from 1 on")
        }
        return number
    }

    /// The `KEY=VALUE` operands behind the name.
    func settings() throws(Failure) -> [(key: String, value: String)] {
        var settings: [(key: String, value: String)] = []
        for text in input.operands.dropFirst() { settings.append(try pair(text)) }
        return settings
    }

    func pair(_ text: String) throws(Failure) -> (key: String, value: String) {
        guard let equals = text.firstIndex(of: "="), equals > text.startIndex else {
            throw wrong("`\(text)`: expected KEY=VALUE")
        }
        return (String(text[..<equals]), String(text[text.index(after: equals)...]))
    }

    /// The values of a repeatable option.
    func headers(_ option: String) throws(Failure) -> [Header] {
        var headers: [Header] = []
        for text in input.values(option) {
            let (key, value) = try pair(text)
            headers.append(Header(key, value))
        }
        return headers
    }

    // MARK: The broker

    private static let defaultSocket = "/run/brokerd.sock"

    /// Where the broker is, and whose fault a wrong URL is.
    func brokerURL() -> (url: String, blame: ExitCode) {
        if let url = input.value("broker") ?? topBroker { return (url, .usage) }
        if let url = Process.environment("BROKERD_URL"), !url.isEmpty { return (url, .configuration) }
        return (Directory.exists(Self.defaultSocket) ? "unix://\(Self.defaultSocket)" : "tcp://127.0.0.1:7470", .usage)
    }

    func connect() async throws(Failure) -> BrokerClient {
        let (url, blame) = brokerURL()
        do throws(BrokerError) {
            return try await BrokerClient.connect(
                to: url, client: "brokerctl \(productVersion)", instance: "brokerctl-\(Process.identifier)")
        } catch {
            throw error.code == .settingInvalid ? Failure(blame, error.message) : Failure(error)
        }
    }

    /// Connects, runs `body`, and says goodbye.
    @MainActor func withBroker<Result>(_ body: (BrokerClient) async throws -> Result) async throws -> Result {
        let client = try await connect()
        do {
            let result = try await body(client)
            await client.close()
            return result
        } catch {
            await client.close()
            throw error
        }
    }

    // MARK: Danger

    static let dryRun = Command.Option("dry-run", help: "say what would happen and change nothing")
    static let force = Command.Option("force", help: "do not ask")
    static let noInput = Command.Option("no-input", help: "never ask; refuse when --force is not given")

    /// Asks the user to type the name of what is about to be destroyed.
    /// - Throws: A failure when they do not, or when nobody can be asked.
    @MainActor func confirm(_ action: String, name: String) throws(Failure) {
        if input.has("force") { return }
        if input.has("no-input") || !Process.isTerminal(0) {
            throw wrong("this would \(action); give --force to do it without being asked")
        }
        Process.writeError("This will \(action). Type \(name) to go on: ")
        if readLine() != name { throw Failure(.usage, "not confirmed, nothing was changed") }
    }
}
