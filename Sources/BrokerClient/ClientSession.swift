import BrokerProtocol

/// One connection to a broker without its socket: it numbers the requests, cuts the broker's bytes into answers and
/// deliveries, and watches the heartbeats. Bytes and time come in, events and bytes go out.
///
/// `Waiter` is who gets an answer; `Outlet` is who gets the deliveries of one consumer.
struct ClientSession<Waiter, Outlet> {
    enum Event {
        case answered(Waiter, Response)
        case delivered(Outlet, [Delivery])
        /// The consumer is no more: it was unsubscribed or the broker drains (no error), or its subscription is gone.
        case ended(Outlet, BrokerError?)
    }

    /// What an answer means to the session itself.
    enum Purpose: Hashable {
        case plain
        case subscribe(ConsumerID)
        case unsubscribe(ConsumerID)
    }

    private struct Pending {
        let waiter: Waiter?
        let purpose: Purpose
    }

    /// How long the answer to HELLO may take.
    static var handshakeMilliseconds: Int64 { 10_000 }

    private var decoder = FrameDecoder(side: .client, frameBytesMax: Int(ProtocolLimits().frameBytesMax))
    private var pending: [UInt32: Pending] = [:]
    private var outlets: [ConsumerID: Outlet] = [:]
    private var lastCorrelation: UInt32 = 0
    private var output = ByteWriter()
    private var writtenCount = 0
    /// Nil until HELLO is answered; 0: the broker wants none.
    private var heartbeatMilliseconds: Int64?
    private var writtenAt: Int64
    private var heardAt: Int64
    /// What the broker said before it ended the connection.
    private(set) var lastWords: BrokerError?

    init(hello: Request, waiter: Waiter, now: Int64) {
        writtenAt = now
        heardAt = now
        send(Frame.request(0, hello).bytes, waiter: waiter)
    }

    // MARK: Out

    /// Adds a request to the output.
    /// - Parameters:
    ///   - frame: The request's frame; its correlation is set here.
    ///   - waiter: Nil: nobody wants the answer.
    mutating func send(_ frame: [UInt8], waiter: Waiter?, purpose: Purpose = .plain) {
        repeat { lastCorrelation &+= 1 } while lastCorrelation == 0 || pending[lastCorrelation] != nil
        pending[lastCorrelation] = Pending(waiter: waiter, purpose: purpose)
        let start = output.bytes.count
        output.bytes.append(contentsOf: frame)
        output.patch(lastCorrelation, at: start + 8)
    }

    /// As ``send(_:waiter:purpose:)``; the deliveries of the consumer go to `outlet` from now on, because they may come
    /// before the answer.
    mutating func subscribe(_ frame: [UInt8], consumer: ConsumerID, outlet: Outlet, waiter: Waiter?) {
        outlets[consumer] = outlet
        send(frame, waiter: waiter, purpose: .subscribe(consumer))
    }

    /// Ends a consumer by its reader's wish. What is still on its way to it is released when it arrives.
    mutating func abandon(_ consumer: ConsumerID) {
        guard outlets.removeValue(forKey: consumer) != nil else { return }
        send(Frame.request(0, .unsubscribe(consumer: consumer)).bytes, waiter: nil)
    }

    /// Gives leases back that nobody will work on, without counting an attempt.
    mutating func release(_ leases: [LeaseID]) {
        if leases.isEmpty { return }
        send(Frame.request(0, .settle(leases.map { Settlement($0, .release()) })).bytes, waiter: nil)
    }

    var unwrittenCount: Int { output.bytes.count - writtenCount }

    /// Hands the unwritten bytes to `write`, which says how many of them it took.
    mutating func flush<Failure: Error>(
        now: Int64, _ write: (_ bytes: [UInt8], _ offset: Int) throws(Failure) -> Int
    ) throws(Failure) {
        let count = try write(output.bytes, writtenCount)
        if count > 0 { writtenAt = now }
        writtenCount += count
        if writtenCount == output.bytes.count {
            output.bytes.removeAll(keepingCapacity: output.bytes.capacity <= 1 << 20)
            writtenCount = 0
        } else if writtenCount >= 1 << 20 {
            output.bytes.removeFirst(writtenCount)
            writtenCount = 0
        }
    }

    // MARK: In

    /// Takes bytes from the broker through `read`, which appends to the array that it is given.
    mutating func fill<Result, Failure: Error>(
        now: Int64, _ read: (inout [UInt8]) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        let before = decoder.bufferedBytes
        let result = try decoder.fill(read)
        if decoder.bufferedBytes > before { heardAt = now }
        return result
    }

    /// Adds what the whole frames so far mean to `events`; on an error the events before the bad frame are there.
    /// - Throws: `RESPONSE_MALFORMED` or `VERSION_UNSUPPORTED`; the connection cannot go on.
    mutating func takeEvents(into events: inout [Event]) throws(BrokerError) {
        while true {
            let frame: Frame?
            do throws(FrameDecoder.Failure) {
                frame = try decoder.next()
            } catch {
                throw Self.judgement(of: error)
            }
            switch frame {
            case nil: return
            case .heartbeat: break
            case .response(let correlation, let response): answer(correlation, response, &events)
            case .push(.deliveries(let deliveries)): deliver(deliveries, &events)
            case .push(.consumerEnded(let consumer, let error)):
                if let outlet = outlets.removeValue(forKey: consumer) { events.append(.ended(outlet, error)) }
            case .request: throw BrokerError(.responseMalformed, "the broker sent a request")
            }
        }
    }

    private static func judgement(of failure: FrameDecoder.Failure) -> BrokerError {
        if failure.error.code == .versionUnsupported {
            return BrokerError(
                .versionUnsupported,
                "the other side does not speak version \(Frame.version) of the broker's protocol; is it a brokerd?")
        }
        return BrokerError(.responseMalformed, "the broker's bytes cannot be read: \(failure.error.message)")
    }

    private mutating func answer(_ correlation: UInt32, _ response: Response, _ events: inout [Event]) {
        if case .refused(let error) = response, error.code.endsConnection { lastWords = error }
        guard let pending = pending.removeValue(forKey: correlation) else { return }
        switch (pending.purpose, response) {
        case (_, .hello(_, _, _, let heartbeat, let limits)) where heartbeatMilliseconds == nil:
            heartbeatMilliseconds = Int64(heartbeat)
            decoder.frameBytesMax = Int(limits.frameBytesMax)
        case (.subscribe, .done), (.plain, _): break
        case (.subscribe(let consumer), _): outlets[consumer] = nil
        case (.unsubscribe(let consumer), .done):
            if let outlet = outlets.removeValue(forKey: consumer) { events.append(.ended(outlet, nil)) }
        case (.unsubscribe, _): break
        }
        if let waiter = pending.waiter { events.append(.answered(waiter, response)) }
    }

    private mutating func deliver(_ deliveries: [Delivery], _ events: inout [Event]) {
        var rest = deliveries[...]
        while let consumer = rest.first?.consumer {
            let group = rest.prefix { $0.consumer == consumer }
            rest = rest.dropFirst(group.count)
            if let outlet = outlets[consumer] {
                events.append(.delivered(outlet, Array(group)))
            } else {
                release(group.map(\.lease))
            }
        }
    }

    // MARK: Time

    /// When ``keepAlive(now:)`` is due next, in monotonic milliseconds.
    var deadline: Int64 {
        guard let heartbeatMilliseconds else { return heardAt + Self.handshakeMilliseconds }
        if heartbeatMilliseconds == 0 { return .max }
        let lost = heardAt + 2 * heartbeatMilliseconds
        return unwrittenCount > 0 ? lost : min(lost, writtenAt + heartbeatMilliseconds / 2)
    }

    /// Adds a heartbeat when nothing was sent for half an interval.
    /// - Throws: `HEARTBEAT_MISSED` when the broker sent nothing for two intervals, or did not answer HELLO in time.
    mutating func keepAlive(now: Int64) throws(BrokerError) {
        guard let heartbeatMilliseconds else {
            if now < heardAt + Self.handshakeMilliseconds { return }
            throw BrokerError(.heartbeatMissed, "no answer to HELLO for \(Self.handshakeMilliseconds / 1000) s")
        }
        if heartbeatMilliseconds == 0 { return }
        if now >= heardAt + 2 * heartbeatMilliseconds {
            throw BrokerError(.heartbeatMissed, "the broker sent nothing for \(2 * heartbeatMilliseconds) ms")
        }
        if unwrittenCount == 0, now >= writtenAt + heartbeatMilliseconds / 2 { Frame.heartbeat.encode(into: &output) }
    }

    // MARK: End

    var hasPending: Bool { !pending.isEmpty }

    /// Everybody who still waits, in the order of their requests and subscriptions; they are forgotten here.
    mutating func takeAll() -> (waiters: [Waiter], outlets: [Outlet]) {
        defer {
            pending = [:]
            outlets = [:]
        }
        return (
            pending.sorted { $0.key < $1.key }.compactMap(\.value.waiter),
            outlets.sorted { $0.key.rawValue < $1.key.rawValue }.map(\.value)
        )
    }
}
