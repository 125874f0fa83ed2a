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
    /// Requests with publishes, until they are answered, in their order: that of their answers, nearly always.
    private var unconfirmed = SlidingArray<Unconfirmed>()
    private var unconfirmedCount = 0

    private struct Unconfirmed {
        let correlation: UInt32
        /// Nil: answered out of turn.
        var count: Int?
    }

    init(_ greeting: Greeting, now: Int64) {
        self.greeting = greeting
        heartbeatMilliseconds = greeting.heartbeatMilliseconds
        openedAt = now
        receivedAt = now
        sentAt = now
    }

    mutating func noteReceived(now: Int64) { receivedAt = now }
    mutating func noteSent(now: Int64) { sentAt = now }

    /// The way of nearly all frames, without the detour over an action.
    /// - Returns: What to answer instead of handling the request.
    mutating func receive(_ correlation: UInt32, _ request: Request) -> Action? {
        if isOpen, case .publish(let messages) = request {
            return count(messages.count, correlation).map { .reply($0) }
        }
        let action = receive(.request(correlation, request))
        if case .handle = action { return nil }
        return action
    }

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
        if let refusal = self.count(count, correlation) { return .reply(refusal) }
        return .handle(correlation, request)
    }

    /// - Returns: The refusal when these publishes are too many.
    private mutating func count(_ count: Int, _ correlation: UInt32) -> Frame? {
        guard unconfirmedCount + count <= greeting.unconfirmedMax else {
            let error = BrokerError(
                .unconfirmedLimit,
                "\(unconfirmedCount) publishes of this connection wait for their confirmation; "
                    + "the limit unconfirmed_max is \(greeting.unconfirmedMax)")
            return .response(correlation, .refused(error))
        }
        unconfirmedCount += count
        unconfirmed.append(Unconfirmed(correlation: correlation, count: count))
        return nil
    }

    mutating func noteAnswered(_ correlation: UInt32, _ response: Response) {
        switch response {
        case .published, .committed, .refused: break
        default: return
        }
        noteConfirmed(correlation)
    }

    /// Whether one publish more is inside the limit.
    var mayPublish: Bool { isOpen && unconfirmedCount < greeting.unconfirmedMax }

    /// A request with one publish was taken.
    mutating func notePublish(_ correlation: UInt32) {
        unconfirmedCount += 1
        unconfirmed.append(Unconfirmed(correlation: correlation, count: 1))
    }

    /// A request with publishes is answered.
    mutating func noteConfirmed(_ correlation: UInt32) {
        var index = unconfirmed.start
        while index < unconfirmed.end, unconfirmed[index].correlation != correlation || unconfirmed[index].count == nil
        {
            index += 1
        }
        guard index < unconfirmed.end, let count = unconfirmed[index].count else { return }
        unconfirmedCount -= count
        unconfirmed[index].count = nil
        while !unconfirmed.isEmpty, unconfirmed[unconfirmed.start].count == nil {
            unconfirmed.drop(before: unconfirmed.start + 1)
        }
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
