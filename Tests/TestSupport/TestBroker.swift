package import BrokerProtocol
import Synchronization

/// A broker in memory for tests of what stands above it: publish, subscribe with credit, settle, commit, extend, leases
/// that run out by the test's clock, and faults on demand. One process, nothing durable.
package final class TestBroker: Sendable {
    package struct Failure: Hashable, Sendable {
        package let id: MessageID
        package let error: String
        package let afterMilliseconds: Int64?
    }

    package struct Pause: Hashable, Sendable {
        package let subscription: SubscriptionName
        /// Nil: until it is resumed.
        package let until: WallTime?

        package init(_ subscription: SubscriptionName, until: WallTime?) {
            self.subscription = subscription
            self.until = until
        }
    }

    /// What tests look at.
    package struct Record: Sendable {
        /// Everything published, in order.
        package var published: [OutgoingMessage] = []
        package var acknowledged: [SubscriptionName: [MessageID]] = [:]
        package var failures: [SubscriptionName: [Failure]] = [:]
        /// With the delay asked for.
        package var releases: [SubscriptionName: [Int64?]] = [:]
        package var dead: [SubscriptionName: [DeadLetter]] = [:]
        package var deliveries: [Delivery] = []
        /// Leases extended, one entry per lease and extension.
        package var extensions: [LeaseID] = []
        /// Pauses of subscriptions that were accepted, in order.
        package var pauses: [Pause] = []
        package var commits = 0
        package var connects = 0
        /// Deliveries out under a lease.
        package var leased = 0
        package var credits: [SubscriptionName: UInt32] = [:]
    }

    /// What goes wrong next; each entry is used once, first to last.
    package struct Faults: Sendable {
        package var connects: [BrokerError] = []
        package var subscribes: [BrokerError] = []
        package var commits: [BrokerError] = []
        package var settles: [BrokerError] = []
        package var pauses: [BrokerError] = []
    }

    struct Message {
        let id: MessageID
        let outgoing: OutgoingMessage
        let publishedAt: Int64
    }

    struct Entry {
        let message: Message
        var attempt: UInt32 = 0
        var deliveries: UInt32 = 0
        var lastError: String?
        var visibleAt: Int64
    }

    struct Consumer {
        let subscription: SubscriptionName
        var credit: UInt32
        var unsettled: UInt32 = 0
        let leaseMilliseconds: Int64
        let output: AsyncThrowingStream<Delivery, any Error>.Continuation
    }

    struct ConsumerKey: Hashable {
        let connection: Int
        let consumer: ConsumerID
    }

    struct Lease {
        let entry: Entry
        let subscription: SubscriptionName
        let owner: ConsumerKey
        var deadline: Int64
    }

    struct Waiter {
        let number: Int
        let condition: @Sendable (Record) -> Bool
        let continuation: CheckedContinuation<Void, Never>
    }

    struct State {
        var now: Int64 = 0
        var attemptsMax: UInt32 = 10
        var messages: [TopicName: [Message]] = [:]
        var ready: [SubscriptionName: [Entry]] = [:]
        var consumers: [ConsumerKey: Consumer] = [:]
        var consumerOrder: [ConsumerKey] = []
        var leases: [LeaseID: Lease] = [:]
        var pauses: [SubscriptionName: WallTime] = [:]
        var connections: Set<Int> = []
        var nextID: UInt64 = 1
        var nextLease: UInt64 = 1
        var nextConsumer: UInt32 = 1
        var record = Record()
        var faults = Faults()
        var waiters: [Waiter] = []
        var nextWaiter = 1
        var cancelledWaiters: Set<Int> = []
    }

    private let state = Mutex(State())

    package init(attemptsMax: UInt32 = 10) { state.withLock { $0.attemptsMax = attemptsMax } }

    /// The broker's time, monotonic and wall clock in one.
    package var now: WallTime { WallTime(milliseconds: state.withLock { $0.now }) }

    package var record: Record { state.withLock { $0.record } }

    /// Suspends until the record satisfies the condition; a test whose time is over goes on, to fail as it expects.
    package func until(_ condition: @escaping @Sendable (Record) -> Bool) async {
        let number = change { state in
            state.nextWaiter += 1
            return state.nextWaiter
        }
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                change { state in
                    state.waiters.append(Waiter(number: number, condition: condition, continuation: continuation))
                }
            }
        } onCancel: {
            change { _ = $0.cancelledWaiters.insert(number) }
        }
    }

    /// A new connection. - Throws: The next of ``Faults/connects``.
    package func connect() throws(BrokerError) -> TestConnection {
        let result: Result<Int, BrokerError> = change { state in
            state.record.connects += 1
            if !state.faults.connects.isEmpty { return .failure(state.faults.connects.removeFirst()) }
            state.connections.insert(state.record.connects)
            return .success(state.record.connects)
        }
        return TestConnection(self, try result.get())
    }

    @discardableResult
    package func publish(_ message: OutgoingMessage) -> MessageID { change { $0.publish(message) } }

    package func fail(_ change: @Sendable (inout Faults) -> Void) { self.change { change(&$0.faults) } }

    /// Moves the broker's time; leases run out, delays end.
    package func advance(milliseconds: Int64) {
        change { state in
            state.now += milliseconds
            for (id, lease) in state.leases.sorted(by: { $0.key < $1.key }) where lease.deadline <= state.now {
                state.abandon(id, "the lease ran out")
            }
        }
    }

    /// Ends every lease, as when it ran out.
    package func loseLeases() {
        change { state in for id in state.leases.keys.sorted() { state.abandon(id, "the lease ran out") } }
    }

    /// Breaks every connection: streams throw, requests answer `CONNECTION_LOST`.
    package func dropConnections() {
        change { state in for connection in state.connections.sorted() { state.close(connection) } }
    }

    /// Ends every stream of deliveries, as a broker does that shuts down; the connections stay.
    package func endStreams() {
        change { state in for consumer in state.consumerOrder { state.removeConsumer(consumer) } }
    }

    /// Every change goes through here, then deliveries go out and waiters are woken.
    @discardableResult
    func change<Value: Sendable>(_ body: (inout State) -> sending Value) -> Value {
        let (value, woken) = state.withLock { state in
            let value = body(&state)
            state.dispatch()
            state.record.leased = state.leases.count
            let record = state.record
            let woken = state.waiters.filter {
                state.cancelledWaiters.contains($0.number) || $0.condition(record)
            }
            state.waiters.removeAll { waiter in woken.contains { $0.number == waiter.number } }
            return (value, woken)
        }
        for waiter in woken { waiter.continuation.resume() }
        return value
    }
}
