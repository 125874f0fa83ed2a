public import BrokerProtocol
package import LinuxIO
import Synchronization

/// A broker on the other end of a TCP or Unix socket.
///
/// One value is one connection. Requests are pipelined: any number of tasks may ask at the same time, and the answers
/// come in the broker's order. A plain thread owns the socket, so heartbeats go out while every task is busy.
///
/// A lost connection ends the value: everything that waits throws `CONNECTION_LOST`, later requests too, and the
/// broker has taken the leases back. Connecting again is the caller's, who alone knows what to subscribe and publish
/// again.
///
/// Cancellation: a task that is cancelled while it waits stops waiting (`CLOSED`), its request stays sent, and a
/// message that a dropped pop received goes back at once. A task that was cancelled before it asks still gets its
/// answer, so that a cancelled handler can settle; only a pop is refused to it.
public final class BrokerClient: MessageBroker {
    /// Where it is connected to.
    public let url: String
    /// Name and version of the broker.
    public let brokerVersion: String
    /// The number that the broker gave this connection.
    public let identity: UInt64
    public let limits: ProtocolLimits

    private static let connectMilliseconds = 10_000

    private let mailbox: Mailbox
    private let lastConsumer = Atomic<UInt32>(0)

    private init(url: String, mailbox: Mailbox, broker: String, identity: UInt64, limits: ProtocolLimits) {
        self.url = url
        self.mailbox = mailbox
        brokerVersion = broker
        self.identity = identity
        self.limits = limits
    }

    deinit { _ = mailbox.post(.close(nil)) }

    /// Connects and says HELLO.
    /// - Parameters:
    ///   - url: `tcp://host:port` or `unix:///path`.
    ///   - client: The program's name, shown by the broker.
    ///   - instance: The identity under which its leases are held.
    ///   - heartbeatMilliseconds: How often each side is heard at least; the broker may choose another interval.
    /// - Throws: `SETTING_INVALID` for a URL of another form; `CONNECTION_REFUSED` with what to do; `UNAUTHORIZED` when
    ///   the socket's permissions refuse this user; `VERSION_UNSUPPORTED`; or the broker's refusal.
    public static func connect(
        to url: String, client: String, instance: String, heartbeatMilliseconds: UInt32 = 10_000
    ) async throws(BrokerError) -> BrokerClient {
        guard let endpoint = Endpoint(url) else {
            throw BrokerError(.settingInvalid, "broker URL `\(url)`: expected tcp://host:port or unix:///path")
        }
        return try await connect(
            to: endpoint, client: client, instance: instance, heartbeatMilliseconds: heartbeatMilliseconds)
    }

    package static func connect(
        to endpoint: Endpoint, client: String, instance: String, heartbeatMilliseconds: UInt32 = 10_000
    ) async throws(BrokerError) -> BrokerClient {
        try await connect(
            name: endpoint.description, client: client, instance: instance,
            heartbeatMilliseconds: heartbeatMilliseconds
        ) { () throws(SystemError) in
            try Socket.connect(to: endpoint, timeoutMilliseconds: connectMilliseconds)
        }
    }

    /// - Parameter dial: Makes the connection; runs on the connection's own thread and may block.
    package static func connect(
        name: String, client: String, instance: String, heartbeatMilliseconds: UInt32,
        now: @escaping @Sendable () -> Int64 = Clocks.monotonicMilliseconds,
        dial: @escaping @Sendable () throws(SystemError) -> Descriptor
    ) async throws(BrokerError) -> BrokerClient {
        let answer = Answer()
        let mailbox: Mailbox
        do throws(SystemError) { mailbox = try Mailbox() } catch { throw refusal(error) }
        let hello = Request.hello(
            versions: [Frame.version], client: client, instance: instance,
            heartbeatMilliseconds: heartbeatMilliseconds)
        _ = SystemThread(name: "broker-client") {
            SystemThread.detachCurrent()
            SystemThread.blockBrokenPipeSignal()
            do throws(SystemError) {
                let loop = try SocketLoop(
                    name: name, descriptor: try dial(), poller: try Poller(), hello: hello, answer: answer,
                    mailbox: mailbox, now: now)
                loop.run()
            } catch {
                answer.fill(.failure(refusal(error)))
            }
        }
        do throws(BrokerError) {
            return try greet(name, mailbox, try await answer.outcome(isCancellable: true).get())
        } catch {
            _ = mailbox.post(.close(nil))
            throw error
        }
    }

    private static func refusal(_ error: SystemError) -> BrokerError {
        if error.isPermissionDenied {
            return BrokerError(.unauthorized, "\(error); is this user in the group of the socket? ls -l shows it")
        }
        return BrokerError(
            .connectionRefused, "no broker answers: \(error); is brokerd running? systemctl status brokerd")
    }

    private static func greet(
        _ name: String, _ mailbox: Mailbox, _ response: Response
    ) throws(BrokerError) -> BrokerClient {
        switch response {
        case .hello(Frame.version, let broker, let identity, _, let limits):
            return BrokerClient(url: name, mailbox: mailbox, broker: broker, identity: identity, limits: limits)
        case .hello(let version, let broker, _, _, _):
            throw BrokerError(
                .versionUnsupported,
                "\(broker) at \(name) answers in version \(version) of the protocol, "
                    + "this client speaks \(Frame.version)"
            )
        case .refused(let error): throw error
        default: throw BrokerError(.responseMalformed, "\(name) answered HELLO with something else")
        }
    }

    // MARK: MessageBroker

    public func perform(_ request: Request) async throws(BrokerError) -> Response {
        try await start(request).response()
    }

    /// Sends a request without waiting for its answer: requests that one task starts reach the broker in this order,
    /// any number of them on their way. Waits only while too many bytes are unwritten.
    public func start(_ request: Request) async throws(BrokerError) -> PendingResponse {
        var consumer: ConsumerID?
        switch request {
        case .hello, .subscribe:
            throw BrokerError(.unsupported, "a connection greets by itself; subscribe with deliveries(of:)")
        case .pop where Task.isCancelled: throw Answer.cancelled
        case .unsubscribe(let ended): consumer = ended
        default: break
        }
        let frame = try limits.frame(of: request)
        await mailbox.waitForRoom()
        let answer = Answer()
        if let end = mailbox.post(.request(frame: frame, .answer(answer), unsubscribes: consumer)) { throw end }
        return PendingResponse(answer: answer)
    }

    /// The answer to a request that is on its way. It may be dropped; the request is done all the same.
    public struct PendingResponse: Sendable {
        fileprivate let answer: Answer

        /// - Throws: As ``BrokerClient/perform(_:)``.
        public func response() async throws(BrokerError) -> Response {
            try await answer.outcome(isCancellable: !Task.isCancelled).get()
        }
    }

    /// As ``MessageBroker`` says. When the stream is dropped, or the task that reads it is cancelled, the consumer is
    /// unsubscribed and what was not read is released, its attempt not counted.
    public func deliveries(
        of subscription: SubscriptionName, credit: UInt32, start: StartPosition, leaseMilliseconds: Int64?,
        weight: UInt8
    ) async throws(BrokerError) -> DeliveryStream {
        let consumer = ConsumerID(rawValue: lastConsumer.wrappingAdd(1, ordering: .relaxed).newValue)
        let request = Request.subscribe(
            consumer: consumer, subscription: subscription, credit: credit, start: start,
            leaseMilliseconds: leaseMilliseconds, weight: weight)
        let frame = try limits.frame(of: request)
        await mailbox.waitForRoom()
        let answer = Answer()
        let reader = StreamReader(client: self, consumer: consumer)
        if let end = mailbox.post(.subscribe(frame: frame, consumer, reader.inbox, answer)) { throw end }
        switch try await answer.outcome(isCancellable: true).get() {
        case .done: break
        case .refused(let error): throw error
        default: throw BrokerError(.responseMalformed, "the response does not belong to the request")
        }
        return DeliveryStream(
            consumer: consumer, stream: AsyncThrowingStream(unfolding: { try await reader.inbox.next() }))
    }

    /// The reading end of a stream: its end tells the connection. Keeps the client, and so the connection, alive.
    private final class StreamReader: Sendable {
        let inbox = Inbox()
        let consumer: ConsumerID
        let client: BrokerClient

        init(client: BrokerClient, consumer: ConsumerID) {
            self.client = client
            self.consumer = consumer
        }

        deinit { _ = client.mailbox.post(.abandon(consumer, unread: inbox.abandon().map(\.lease))) }
    }

    /// Asks to move the deadlines of leases to now + `milliseconds` and does not wait for the answer. Callable from any
    /// thread, never blocks.
    /// - Parameter lost: Called once, on the connection's thread, with the leases that were not extended; not called
    ///   when the connection is lost before the answer.
    public func extendLeases(_ leases: [LeaseID], milliseconds: Int64, lost: @escaping @Sendable ([LeaseID]) -> Void) {
        let frame = Frame.request(0, .extend(leases, milliseconds: milliseconds)).bytes
        _ = mailbox.post(.request(frame: frame, .leases(leases, lost: lost), unsubscribes: nil))
    }

    /// Writes what was asked, tells the broker that nothing more comes, and waits shortly for its goodbye. What still
    /// waits for an answer then throws `CLOSED`; streams end.
    public func close() async {
        await withCheckedContinuation { continuation in
            if mailbox.post(.close(continuation)) != nil { continuation.resume() }
        }
    }
}
