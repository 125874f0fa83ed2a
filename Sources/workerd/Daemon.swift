import Broker
import BrokerProtocol
import DaemonKit
import LinuxIO
import Workers

/// The workers of this process as a service: readiness, status text, signals, watchdog.
final class Daemon: Sendable {
    /// Why the daemon cannot start or go on, and how it ends.
    struct Failure: Error {
        let code: ExitCode
        let text: String

        init(code: ExitCode, text: String) {
            self.code = code
            self.text = text
        }

        /// What was refused below the state directory.
        init(_ error: any Error, stateDirectory: String) {
            let isDenied = (error as? SystemError)?.isPermissionDenied ?? false
            // SQLite does not say that rights are missing, only that it cannot open the file.
            if isDenied || Directory.exists(stateDirectory + "/.") && !Directory.isWritable(stateDirectory) {
                let rule = "workerd's user must be able to write in the state directory \(stateDirectory)"
                self.init(code: .noPermission, text: "\(error): \(rule)")
            } else {
                self.init(code: .cantCreate, text: "\(error); the state directory is \(stateDirectory)")
            }
        }
    }

    private struct State {
        var texts: [String: String] = [:]
        var ready: Set<String> = []
        var isStopping = false
        var runtimes: [WorkerRuntime] = []
    }

    private let instances: [Instance]
    private let configuration: WorkerConfiguration
    private let logger: Logger
    private let notifier = ServiceNotifier()
    private let state = Monitor(State())

    init(_ instances: [Instance], _ configuration: WorkerConfiguration) {
        self.instances = instances
        self.configuration = configuration
        logger = Logger(program: "workerd", level: configuration.logLevel)
    }

    /// Works until a signal has drained it.
    func run(_ place: BrokerPlace, signals: SignalReader) async throws {
        let suffix = Process.environment("INVOCATION_ID") ?? String(Entropy.word(), radix: 16)
        var runtimes: [WorkerRuntime] = []
        for instance in instances {
            let role: Role
            do {
                role = try await instance.makeRole(configuration)
            } catch {
                let failure =
                    error is StockFileError
                    ? Failure(code: .configuration, text: "\(error)")
                    : Failure(error, stateDirectory: configuration.stateDirectory)
                throw Failure(code: failure.code, text: "\(instance.name) cannot start: \(failure.text)")
            }
            runtimes.append(makeRuntime(instance, role, place, identity: "\(instance.name)/\(suffix)"))
        }
        state.with { $0.runtimes = runtimes }
        watch(signals)
        let watchdog = ServiceNotifier.watchdogMilliseconds().map { interval in
            Watchdog(intervalMilliseconds: interval, notifier: notifier, logger: logger) { [self] in parts }
        }
        defer { watchdog?.stop() }
        try await runAll(runtimes)
    }

    /// One that fails takes the others with it, drained.
    private func runAll(_ runtimes: [WorkerRuntime]) async throws(Failure) {
        let failures = await withTaskGroup(of: RuntimeError?.self) { group in
            for runtime in runtimes {
                group.addTask {
                    do throws(RuntimeError) {
                        try await runtime.run()
                        return nil
                    } catch {
                        for other in runtimes where other !== runtime { other.drain() }
                        return error
                    }
                }
            }
            return await group.reduce(into: []) { $0.append($1) }
        }
        if let failure = failures.compactMap(\.self).first {
            throw Failure(code: .software, text: "\(failure)")
        }
    }

    private func makeRuntime(
        _ instance: Instance, _ role: Role, _ place: BrokerPlace, identity: String
    ) -> WorkerRuntime {
        var settings = configuration.runtime
        settings.instance = instance.name
        let log = EventLog(logger: logger, instance: instance.name)
        @Sendable func connect() async throws(BrokerError) -> any MessageBroker {
            try await place.connect(as: identity)
        }
        return WorkerRuntime(
            roles: [role], configuration: settings, connect: connect,
            observe: { event in
                log.write(event)
                if event == .ready { self.ready(instance.name) }
            },
            status: { text in self.show(text, of: instance.name) })
    }

    // MARK: What the service manager sees

    private func ready(_ name: String) {
        let (isReady, text) = state.with { state in
            state.ready.insert(name)
            return (state.ready.count == instances.count && !state.isStopping, statusLine(state))
        }
        if isReady { notifier.ready(status: text) }
    }

    private func show(_ text: String, of name: String) {
        let line = state.with { state in
            state.texts[name] = text
            return statusLine(state)
        }
        notifier.status(line)
    }

    private func statusLine(_ state: State) -> String {
        if instances.count == 1 { return state.texts.values.first ?? "starting" }
        return instances.map { "\($0.name): \(state.texts[$0.name] ?? "starting")" }.joined(separator: "; ")
    }

    private var parts: [WatchdogGate.Part] {
        let runtimes = state.with { $0.runtimes }
        return zip(instances, runtimes).flatMap { instance, runtime in
            let counters = runtime.counters
            return [
                WatchdogGate.Part(name: "\(instance.name) dispatcher", turns: counters.turns, hasWork: true),
                WatchdogGate.Part(name: "\(instance.name) broker link", turns: counters.brokerAnswers, hasWork: true),
            ]
        }
    }

    // MARK: Signals

    private func watch(_ signals: SignalReader) {
        _ = SystemThread(name: "signals") { [self] in
            SystemThread.detachCurrent()
            while true {
                switch signals.next() {
                case .terminate, .interrupt: stop()
                case .hangup: logger.notice("the configuration is read at the start only; restart to change it")
                case nil: break
                }
            }
        }
    }

    /// The first time drains, the second cancels what still runs.
    func stop() {
        let (runtimes, text) = state.with { state in
            state.isStopping = true
            return (state.runtimes, statusLine(state))
        }
        notifier.stopping(status: "draining; \(text)")
        let settings = configuration.runtime
        let longest = settings.drainTimeout + settings.cancellationGrace * 2 + .seconds(5)
        notifier.extendTimeout(microseconds: longest.wholeMicroseconds)
        for runtime in runtimes { runtime.drain() }
    }
}
