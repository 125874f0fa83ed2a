import BrokerClient
import BrokerProtocol
import Foundation
import LinuxIO
import TestSupport
import Workers

/// A directory with the configurations of both daemons, and the real brokerd and workerd processes that a test starts
/// on it.
final class WorkerHouse {
    private let directory: ScratchDirectory
    private var startCount = 0

    /// - Parameter worker: Lines for `[worker]`, and any sections after them.
    init(_ worker: String = "") throws {
        directory = try ScratchDirectory()
        try write(
            "brokerd.conf",
            """
            [broker]
            data_dir = \(path("data"))
            segment_size = 1M
            log_reserve = 1M
            disk_free_min = 0
            frame_max = 512K
            body_max = 256K
            [defaults]
            backoff_base = 10ms
            backoff_cap = 50ms
            """)
        try write("stock.json", #"{"beans": 1000, "grinder": 0}"#)
        try write(
            "workerd.conf",
            "[inventory]\nstock = \(path("stock.json"))\n[worker]\nstate_dir = \(path("state"))\nlog_level = debug\n"
                + worker + "\n")
    }

    func path(_ name: String) -> String { directory.file(name) }

    func write(_ name: String, _ text: String) throws {
        try Data(text.utf8).write(to: URL(fileURLWithPath: path(name)))
    }

    var url: String { "unix://\(path("broker.sock"))" }

    // MARK: Processes

    /// A daemon that was built with these tests, beside them.
    static func program(_ name: String) -> String {
        let tests = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? ""
        return URL(fileURLWithPath: tests).deletingLastPathComponent().appendingPathComponent(name).path
    }

    private func spawn(_ command: [String], environment: [String: String]) throws -> DaemonProcess {
        startCount += 1
        let manager = try Manager(path: path("notify-\(startCount)"))
        var variables = environment
        variables["NOTIFY_SOCKET"] = manager.path
        let child = try ChildProcess(command, environment: variables) { manager.noteEnd() }
        return DaemonProcess(child: child, manager: manager)
    }

    /// Starts brokerd and waits for READY=1.
    func startBroker(arguments: [String] = []) async throws -> DaemonProcess {
        let command = [Self.program("brokerd"), "--config", path("brokerd.conf"), "--listen", url]
        let broker = try spawn(command + arguments, environment: [:])
        try await broker.ready()
        return broker
    }

    /// Starts workerd; returns before it is ready.
    /// - Parameter wrapper: Words before the program.
    func spawnWorker(
        _ instance: String, _ arguments: [String]? = nil, environment: [String: String] = [:], wrapper: [String] = []
    ) throws -> DaemonProcess {
        let program = [Self.program("workerd"), "--config", path("workerd.conf"), "--instance", instance]
        return try spawn(wrapper + program + (arguments ?? ["--broker", url]), environment: environment)
    }

    /// Starts workerd and waits for READY=1.
    func startWorker(_ instance: String, _ arguments: [String]? = nil) async throws -> DaemonProcess {
        let worker = try spawnWorker(instance, arguments)
        try await worker.ready()
        return worker
    }

    func connect() async throws -> BrokerClient {
        try await BrokerClient.connect(to: url, client: "tests", instance: "shop")
    }

    /// Waits until nobody owes a verdict on any message: a worker's answer is in the same commit as its
    /// acknowledgement, so nothing is under way then, either. Asks each time that brokerd says its status.
    func waitUntilIdle(_ broker: DaemonProcess) async throws {
        let client = try await connect()
        var next = broker.manager.messages.count
        while true {
            let status = try await client.status()
            if status.ready + status.delayed + status.leased + status.dead == 0 { break }
            let seen = next
            next = try await blocking {
                try broker.manager.waitUntil("a broker without open deliveries, it has \(status)") { messages in
                    messages.count > seen ? messages.count : nil
                }
            }
            if status.dead > 0 { throw Late("a broker without dead letters, it has \(status)") }
        }
        await client.close()
    }

    // MARK: What the workers have done

    /// The Message-ID of every mail in the Maildir, sorted.
    func mails() throws -> [String] {
        try Directory.names(in: path("state/Maildir/new")).map { name in
            let text = try String(contentsOfFile: path("state/Maildir/new/\(name)"), encoding: .utf8)
            let line = text.split(separator: "\n").first { $0.hasPrefix("Message-ID: ") }
            return String(line?.dropFirst(12) ?? "no Message-ID in \(name)")
        }.sorted()
    }

    /// The orders of every charge in the provider's ledger, sorted.
    func chargedOrders() async throws -> [String] {
        let ledger = try await TestLedgerProvider(path: path("state/ledger.sqlite")) { Sample.now }
        return try await ledger.charges().map(\.orderID).sorted()
    }

    /// Units of beans for sale.
    func beans() throws -> Int64? {
        let stock = try InventoryStore.open(path: path("state/inventory.sqlite"))
        return try stock.first("SELECT available FROM stock WHERE sku = 'beans'")?.integer(0)
    }
}

/// One brokerd or workerd process.
struct DaemonProcess {
    let child: ChildProcess
    let manager: Manager

    struct Failed: Error, CustomStringConvertible {
        let ending: ChildProcess.Ending
        let text: String
        var description: String { "the process ended with \(ending):\n\(text)" }
    }

    /// Waits for READY=1, or says why the process ended before it.
    func ready() async throws {
        do {
            try await manager.message(with: "READY=1")
        } catch {
            if child.ending == nil { throw error }
            throw Failed(ending: try await child.end(), text: child.text)
        }
    }

    /// Waits until the broker has taken so many outcomes of handlers that did their work.
    func outcomes(_ count: Int, of subscription: String = "@") async throws {
        try await child.lines(count, "outcomes of \(subscription)") { line in
            line.contains("\"BROKER_OUTCOME\":\"done\"") && line.contains(subscription)
        }
    }

    /// Ends it in order.
    func stop() async throws -> ChildProcess.Ending {
        child.send(15)
        return try await child.end()
    }

    func kill() async throws {
        child.send(9)
        _ = try await child.end()
    }

    /// What it logged about its handlers.
    var log: [HandlerLine] { child.lines.compactMap { HandlerLine($0) } }
}

/// A line of workerd's log.
struct HandlerLine {
    let message: String
    let outcome: String
    let attempt: String
    /// Subscription and number of the message; empty when the line is about none.
    let delivery: String

    init?(_ line: String) {
        guard let members = JSONLine(line)?.members, let message = members["message"] else { return nil }
        self.message = message
        outcome = members["BROKER_OUTCOME"] ?? ""
        attempt = members["BROKER_ATTEMPT"] ?? ""
        delivery = "\(members["BROKER_SUBSCRIPTION"] ?? "") \(members["BROKER_MESSAGE"] ?? "")"
    }

    var isStart: Bool { message.hasSuffix(" starts") }
}

/// Orders of which each six end in the same six ways.
struct OrderBook {
    let orders: [OrderCreated]

    /// Three are paid at once or late, one is declined, one is short of stock, one is paid.
    private static let tokens = ["tok_ok", "tok_declined", "tok_rate_limited", "tok_timeout", "tok_ok", "tok_ok"]

    init(count: Int) {
        orders = (0..<count).map { index in
            Sample.order("O-\(index)", [(index % 6 == 4 ? "grinder" : "beans", 1)], token: Self.tokens[index % 6])
        }
    }

    private func ids(_ ways: Set<Int>) -> [String] {
        orders.indices.filter { ways.contains($0 % 6) }.map { orders[$0].orderID }.sorted()
    }

    var paid: [String] { ids([0, 2, 3, 5]) }

    func mails(_ template: MailTemplate, _ ids: [String]) -> [String] {
        ids.map { MailID(template: template, orderID: $0, domain: "localhost").description }
    }

    /// The Message-ID of every mail that the orders lead to, sorted.
    var mails: [String] {
        (mails(.orderReceived, orders.map(\.orderID)) + mails(.orderPaid, paid) + mails(.paymentFailed, ids([1]))
            + mails(.orderRejected, ids([4]))).sorted()
    }

    func publish(to broker: some MessageBroker) async throws {
        try await Self.publish(orders.map { try Publication(ofOrder: $0).message }, to: broker)
    }

    static func publish(_ messages: [OutgoingMessage], to broker: some MessageBroker) async throws {
        for result in try await broker.publish(messages) { _ = try result.get() }
    }
}
