/// The settings of a ``WorkerRuntime``.
public struct RuntimeConfiguration: Hashable, Sendable {
    /// Names the runtime in logs and status, for instance `email-1`.
    public var instance: String
    /// Events in work at a time, over all subscriptions; from 1.
    public var slots = 16
    /// Deliveries that may wait for a slot, beside one per subscription that shows demand.
    public var prefetch = 8
    /// How long an attempt may run before its task is cancelled.
    public var attemptTimeout: Duration = .seconds(30)
    /// How long a cancelled handler may take to return before its slot is written off and replaced.
    public var cancellationGrace: Duration = .seconds(5)
    /// The lease of a delivery; extended at a third of it. 100 ms to 12 h.
    public var leaseMilliseconds: Int64 = 30_000
    /// How long a drain waits for running handlers before it cancels them.
    public var drainTimeout: Duration = .seconds(60)
    /// Written-off handlers that never returned; one more ends the runtime.
    public var stuckHandlersMax = 4
    /// How long one attempt to reach the broker and to subscribe may take.
    public var connectTimeout: Duration = .seconds(10)
    /// The wait before the n-th attempt to reach the broker is random between 0 and min(cap, base·2ⁿ).
    public var reconnectBase: Duration = .milliseconds(100)
    public var reconnectCap: Duration = .seconds(10)

    public init(instance: String) { self.instance = instance }
}
