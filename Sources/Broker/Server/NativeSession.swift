import BrokerProtocol

/// One connection's side of the native protocol, without I/O: frames and time in, what to do out.
struct NativeSession {
    enum Action: Hashable {
        case nothing
        case open(name: String, Frame)
        case handle(UInt32, Request)
        case reply(Frame)
        /// Send this, then close.
        case end(Frame)
    }

    enum Tick: Hashable {
        case nothing
        case heartbeat
        case lost(BrokerError)
    }

    /// What HELLO is answered with.
    struct Greeting {
        let limits: ProtocolLimits
        let identity: UInt64
        let heartbeatMilliseconds: Int64
        let unconfirmedMax: Int
    }

    /// Bytes of a frame before HELLO.
    static let greetingBytesMax = 4096
    /// How long a new connection may take for HELLO.
    static let greetingMilliseconds: Int64 = 5_000
    static let heartbeatRange: ClosedRange<Int64> = 100...3_600_000

    private let greeting: Greeting
    private(set) var isOpen = false
    private(set) var heartbeatMilliseconds: Int64
    private let openedAt: Int64
    private var receivedAt: Int64
    private var sentAt: Int64
    /// Publishes by the correlation of their request, until they are answered.
    private var unconfirmed: [UInt32: Int] = [:]
    private var unconfirmedCount = 0

    init(_ greeting: Greeting, now: Int64) {
        self.greeting = greeting
        heartbeatMilliseconds = greeting.heartbeatMilliseconds
        openedAt = now
        receivedAt = now
        sentAt = now
    }

    mutating func noteReceived(now: Int64) { receivedAt = now }
    mutating func noteSent(now: Int64) { sentAt = now }

    mutating func receive(_ frame: Frame) -> Action {
        switch frame {
        case .heartbeat: return .nothing
        case .response, .push:
            return end(0, .malformedFrame, "a client sends requests and heartbeats")
        case .request(let correlation, .hello(let versions, let client, let instance, let heartbeat)):
            return open(correlation, versions, client, instance, heartbeat)
        case .request(let correlation, let request):
            guard isOpen else { return end(correlation, .helloExpected, "the first frame is HELLO") }
            return admit(correlation, request)
        }
    }

    private func end(_ correlation: UInt32, _ code: BrokerError.Code, _ text: String) -> Action {
        .end(.response(correlation, .refused(BrokerError(code, text))))
    }

    private mutating func open(
        _ correlation: UInt32, _ versions: [UInt8], _ client: String, _ instance: String, _ heartbeat: UInt32
    ) -> Action {
        if isOpen { return end(correlation, .malformedFrame, "HELLO comes once, first") }
        guard versions.contains(Frame.version) else {
            return end(
                correlation, .versionUnsupported,
                "this broker speaks version \(Frame.version), the client \(versions)")
        }
        isOpen = true
        if heartbeat > 0 {
            let range = Self.heartbeatRange
            heartbeatMilliseconds = min(max(Int64(heartbeat), range.lowerBound), range.upperBound)
        }
        let name = instance.isEmpty ? client : instance
        return .open(
            name: name.clipped(toBytes: 255),
            .response(
                correlation,
                .hello(
                    version: Frame.version, broker: "brokerd \(productVersion)", identity: greeting.identity,
                    heartbeatMilliseconds: UInt32(heartbeatMilliseconds), limits: greeting.limits)))
    }

    /// Counts the publishes that wait for their confirmation, and refuses those above the limit.
    private mutating func admit(_ correlation: UInt32, _ request: Request) -> Action {
        let count: Int
        switch request {
        case .publish(let messages): count = messages.count
        case .commit(let publishes, _): count = publishes.count
        default: return .handle(correlation, request)
        }
        guard unconfirmedCount + count <= greeting.unconfirmedMax else {
            let error = BrokerError(
                .unconfirmedLimit,
                "\(unconfirmedCount) publishes of this connection wait for their confirmation; "
                    + "the limit unconfirmed_max is \(greeting.unconfirmedMax)")
            return .reply(.response(correlation, .refused(error)))
        }
        unconfirmedCount += count
        unconfirmed[correlation, default: 0] += count
        return .handle(correlation, request)
    }

    mutating func noteAnswered(_ correlation: UInt32) {
        if let count = unconfirmed.removeValue(forKey: correlation) { unconfirmedCount -= count }
    }

    /// Each side sends something every interval, and gives the other two of them.
    func tick(now: Int64) -> Tick {
        if !isOpen {
            return now - openedAt < Self.greetingMilliseconds
                ? .nothing
                : .lost(BrokerError(.helloExpected, "no HELLO within \(Self.greetingMilliseconds) ms"))
        }
        if now - receivedAt > 2 * heartbeatMilliseconds {
            return .lost(
                BrokerError(
                    .heartbeatMissed,
                    "nothing came for \(now - receivedAt) ms; the heartbeat is \(heartbeatMilliseconds) ms"))
        }
        return now - sentAt >= heartbeatMilliseconds / 2 ? .heartbeat : .nothing
    }
}
