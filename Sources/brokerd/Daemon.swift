import Broker
import BrokerProtocol
import DaemonKit
import LinuxIO
import SegmentLog

/// The broker as a service: sockets from systemd or of its own, readiness, signals, watchdog.
final class Daemon {
    /// Why the daemon cannot start or go on, and how it ends.
    struct Failure: Error {
        let code: ExitCode
        let text: String
    }

    private let source: ConfigurationSource
    private var configuration: BrokerConfiguration
    private let logger: Logger
    private let notifier = ServiceNotifier()
    private var isStopping = false

    init(source: ConfigurationSource, configuration: BrokerConfiguration, logLevel: LogLevel) {
        self.source = source
        self.configuration = configuration
        logger = Logger(program: "brokerd", level: logLevel)
    }

    func run() throws {
        let signals: SignalReader
        let waker: Waker
        do throws(SystemError) {
            signals = try SignalReader()
            waker = try Waker()
        } catch {
            throw Failure(code: .osError, text: "\(error)")
        }
        let listeners = try openListeners()
        logger.info("brokerd \(productVersion) starts, data in \(configuration.dataDirectory)", event: .started)
        let broker = try start(listeners)
        let ready = "ready on \(listeners.map(\.name).joined(separator: ", "))"
        logger.notice(ready, event: .ready)
        notifier.ready(status: statusText(broker.pulse.status))
        let watchdog = ServiceNotifier.watchdogMilliseconds().map { interval in
            Watchdog(intervalMilliseconds: interval, notifier: notifier, logger: logger) { broker.pulse.parts }
        }
        let waiter = SystemThread(name: "broker-end") {
            _ = broker.waitUntilEnded()
            waker.wake()
        }
        try serve(broker, signals, waker)
        waiter.join()
        watchdog?.stop()
        guard case .failed(let reason)? = broker.ending else {
            logger.notice("stopped", event: .stopped)
            return
        }
        logger.critical("\(reason); brokerd ends, a restart recovers what was confirmed", event: .storageFailed)
        throw Failure(code: .ioError, text: reason)
    }

    // MARK: Start

    private func openListeners() throws -> [Listener] {
        var listeners: [Listener] = []
        do {
            try InheritedSockets.claim { name, descriptor in
                listeners.append(Listener(inherited: descriptor, name: name))
            }
        } catch {
            throw Failure(code: .osError, text: "\(error)")
        }
        for (wire, endpoints) in ownEndpoints(beside: listeners) {
            for endpoint in endpoints {
                do throws(SystemError) {
                    listeners.append(try Listener(on: endpoint, wire: wire))
                } catch {
                    for listener in listeners { listener.close() }
                    throw Self.failure(of: error, on: endpoint)
                }
            }
        }
        return listeners
    }

    /// What systemd passed stands for what the configuration says of the same protocol.
    private func ownEndpoints(beside inherited: [Listener]) -> [(Listener.Wire, [Endpoint])] {
        var native = configuration.listen
        if native.isEmpty && inherited.isEmpty { native = [.tcp(host: "127.0.0.1", port: 7470)] }
        if inherited.contains(where: { $0.wire == .native }) { native = [] }
        let hasRedis = inherited.contains { $0.wire == .redis }
        return [(.native, native), (.redis, hasRedis ? [] : configuration.redisListen)]
    }

    private static func failure(of error: SystemError, on endpoint: Endpoint) -> Failure {
        if error.isAddressInUse {
            return Failure(
                code: .unavailable, text: "\(endpoint) is in use: is another brokerd running? Choose another --listen")
        }
        if error.isExisting, case .unix(let path) = endpoint {
            return Failure(
                code: .cantCreate, text: "\(path) exists and is no socket; move it away, or choose another --listen")
        }
        return Failure(
            code: error.isPermissionDenied ? .noPermission : .osError, text: "cannot listen on \(endpoint): \(error)")
    }

    private func start(_ listeners: [Listener]) throws(Failure) -> Broker {
        let notifier = notifier
        let logger = logger
        do {
            return try Broker.start(
                configuration, listeners: listeners, logger: logger,
                progress: { progress in
                    let percent = progress.bytesTotal > 0 ? progress.bytesDone * 100 / progress.bytesTotal : 100
                    notifier.status("recovering, \(percent) % of \(progress.bytesTotal >> 20) MiB read")
                    notifier.extendTimeout(microseconds: 30_000_000)
                },
                recovered: { report in
                    for warning in report.warnings {
                        logger.warning(warning, event: report.tornTail == nil ? nil : .tornTailCut)
                    }
                    logger.info(
                        "recovered \(report.records) records", ["BROKER_RECORDS": String(report.records)])
                })
        } catch {
            throw Self.failure(of: error, configuration.dataDirectory)
        }
    }

    private static func failure(of error: any Error, _ directory: String) -> Failure {
        switch error {
        case LogError.damaged, LogError.foreign, LogError.missingSegments, LogError.versionUnknown:
            return Failure(code: .data, text: "\(error)")
        case LogError.segmentBytesDiffer: return Failure(code: .configuration, text: "\(error)")
        case LogError.locked: return Failure(code: .tempFail, text: "\(error)")
        case LogError.system(let error) where error.isPermissionDenied:
            return Failure(
                code: .noPermission,
                text: "\(error): brokerd's user must own the data directory \(directory) and be able to write in it")
        case LogError.full: return Failure(code: .cantCreate, text: "\(error)")
        case LogError.system(let error) where error.isDiskFull:
            return Failure(code: .cantCreate, text: "no space for the log in \(directory): \(error)")
        case LogError.system(let error) where error.isPathImpossible:
            return Failure(
                code: .cantCreate, text: "cannot make or open the data directory \(directory): \(error)")
        case is LogError: return Failure(code: .ioError, text: "\(error)")
        case let error as BrokerError: return Failure(code: .configuration, text: error.message)
        case let error as ByteReader.Malformed:
            return Failure(
                code: .data,
                text: "a record of the log is whole but unknown to this version: \(error.what); "
                    + "run `brokerctl log dump \(directory)`")
        default: return Failure(code: .osError, text: "\(error)")
        }
    }

    // MARK: Service

    private func serve(_ broker: Broker, _ signals: SignalReader, _ waker: Waker) throws {
        var poller = try Poller()
        try poller.add(signals.number, token: 1, interest: .read)
        try poller.add(waker.number, token: 2, interest: .read)
        while broker.ending == nil {
            _ = try poller.wait(milliseconds: 1_000)
            while let signal = signals.next() {
                switch signal {
                case .hangup: reload(broker)
                case .interrupt, .terminate: stop(broker)
                }
            }
            notifier.status(isStopping ? drainText(broker.pulse.status) : statusText(broker.pulse.status))
        }
    }

    private func stop(_ broker: Broker) {
        notifier.stopping(status: drainText(broker.pulse.status))
        logger.notice("draining", event: .draining)
        // A second signal does not wait for verdicts.
        broker.drain(milliseconds: isStopping ? 0 : configuration.drainMilliseconds)
        isStopping = true
    }

    private func reload(_ broker: Broker) {
        notifier.reloading()
        do {
            let (new, logLevel) = try source.read()
            try broker.reconfigureAndWait(new)
            configuration = new
            logger.setLevel(logLevel)
            logger.notice("the configuration was read again", event: .reloaded)
        } catch {
            logger.error("the configuration was not changed: \(error)", event: .reloadRefused)
        }
        notifier.ready(status: statusText(broker.pulse.status))
    }

    private func drainText(_ status: BrokerStatus) -> String { "draining, \(status.leased) leases to settle" }

    private func statusText(_ status: BrokerStatus) -> String {
        "\(status.ready) ready, \(status.delayed) delayed, \(status.leased) leased, \(status.dead) dead in "
            + "\(status.topics) topics; \(status.connections) connections"
    }
}
