import Broker
import DaemonKit
import LinuxIO

/// The process: signals, the broker when it is embedded, the daemon.
struct Service {
    private let instances: [Instance]
    private let configuration: WorkerConfiguration
    private let endpoint: Endpoint
    private let embedded: String?

    init(_ instances: [Instance], _ configuration: WorkerConfiguration, _ endpoint: Endpoint, embedded: String?) {
        self.instances = instances
        self.configuration = configuration
        self.endpoint = endpoint
        self.embedded = embedded
    }

    /// Returns when a signal has drained the workers. Blocks the main thread, which tasks do not use.
    func runAndWait() throws {
        let signals: SignalReader
        do throws(SystemError) {
            // Before any other thread starts, which would get the signals otherwise.
            signals = try SignalReader()
        } catch {
            throw Daemon.Failure(code: .osError, text: "\(error)")
        }
        do throws(SystemError) {
            if !Directory.exists(configuration.stateDirectory) { try Directory.create(configuration.stateDirectory) }
        } catch {
            throw Daemon.Failure(error, stateDirectory: configuration.stateDirectory)
        }
        let result = Monitor<Result<Void, any Error>?>(nil)
        let service = self
        Task.detached {
            let ending: Result<Void, any Error>
            do {
                try await service.run(signals)
                ending = .success(())
            } catch {
                ending = .failure(error)
            }
            result.update { $0 = ending }
        }
        try result.wait { $0 }?.get()
    }

    private func run(_ signals: SignalReader) async throws {
        let daemon = Daemon(instances, configuration)
        guard let embedded else { return try await daemon.run(.socket(endpoint), signals: signals) }
        let broker: Broker
        do {
            broker = try await Broker.start(BrokerConfiguration(dataDirectory: embedded))
        } catch {
            throw Daemon.Failure(code: .ioError, text: "the embedded broker cannot start: \(error)")
        }
        let failure = Monitor<String?>(nil)
        let watcher = SystemThread(name: "broker-end") {
            if case .failed(let reason) = broker.waitUntilEnded() {
                failure.update { $0 = reason }
                daemon.stop()
            }
        }
        try await daemon.run(.embedded(broker), signals: signals)
        await broker.stop()
        watcher.join()
        if let reason = failure.with({ $0 }) {
            throw Daemon.Failure(code: .ioError, text: "the embedded broker ended: \(reason)")
        }
    }
}
