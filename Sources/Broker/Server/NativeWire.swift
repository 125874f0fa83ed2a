import BrokerProtocol

/// The native protocol's side of a connection: frames in, deliveries out. Confined to the loop.
final class NativeWire {
    private(set) var session: NativeSession
    var decoder: FrameDecoder
    private let frameBytesMax: Int
    /// The decoder holds frames that wait for the next turn: this one has brought about enough answers.
    private(set) var isPaused = false
    /// Deliveries that are encoded when the output has room: a slow client costs no bodies.
    private var deliveries = SlidingArray<Notice>()

    /// Deliveries are encoded while less than this waits.
    private static let outputBytes = 512 << 10
    private static let deliveriesPerFrame = 256
    /// Weights of answers that one turn brings about at most; see ``Request/answerWeight``.
    private static let answersPerTurn = 64

    init(_ greeting: NativeSession.Greeting, now: Int64) {
        frameBytesMax = Int(greeting.limits.frameBytesMax)
        session = NativeSession(greeting, now: now)
        decoder = FrameDecoder(side: .broker, frameBytesMax: NativeSession.greetingBytesMax)
    }

    func noteReceived(now: Int64) { session.noteReceived(now: now) }

    /// Gives each request to `handle`, and what else a frame asks for to `perform`, until one ends the connection, or
    /// enough is done for one turn.
    /// - Parameter publish: Is asked first about the most frequent request; false when it is for `handle`.
    func drainDecoder(
        _ perform: (NativeSession.Action) -> Void, publish: (PlainPublish) -> Bool,
        handle: (UInt32, Request) -> Void
    ) {
        isPaused = false
        // A decoder of our own while it lasts: each use of a class's would be checked for a second one.
        var decoder = FrameDecoder(side: .broker, frameBytesMax: 0)
        swap(&decoder, &self.decoder)
        defer { swap(&decoder, &self.decoder) }
        var allowance = Self.answersPerTurn
        do throws(FrameDecoder.Failure) {
            while true {
                if allowance <= 0 {
                    isPaused = true
                    return
                }
                if session.mayPublish, decoder.takePlain({ take($0, publish) }) { continue }
                guard let frame = try decoder.next() else { return }
                let action: NativeSession.Action
                if case .request(let correlation, let request) = frame {
                    allowance -= request.answerWeight
                    guard let instead = session.receive(correlation, request) else {
                        handle(correlation, request)
                        continue
                    }
                    action = instead
                } else {
                    action = session.receive(frame)
                }
                if session.isOpen { decoder.frameBytesMax = frameBytesMax }
                perform(action)
                if case .end = action { return }
            }
        } catch {
            perform(.end(.response(error.correlation, .refused(error.error))))
        }
    }

    private func take(_ plain: PlainPublish, _ publish: (PlainPublish) -> Bool) -> Bool {
        guard publish(plain) else { return false }
        session.notePublish(plain.correlation)
        return true
    }

    func noteConfirmed(_ correlation: UInt32, now: Int64) {
        session.noteConfirmed(correlation)
        session.noteSent(now: now)
    }

    func noteSent(_ frame: Frame, now: Int64) {
        if case .response(let correlation, let response) = frame { session.noteAnswered(correlation, response) }
        session.noteSent(now: now)
    }

    func noteAnswered(_ correlation: UInt32, _ response: Response, now: Int64) {
        session.noteAnswered(correlation, response)
        session.noteSent(now: now)
    }

    func deliver(_ notice: Notice) { deliveries.append(notice) }

    var hasDeliveries: Bool { !deliveries.isEmpty }

    /// Encodes what waits, as far as the output has room.
    /// - Parameter encode: Adds a delivery; false when its lease is over.
    func encodeDeliveries(
        into output: inout OutputBuffer, now: Int64, _ encode: (Notice, inout ByteWriter) throws -> Bool
    ) throws {
        var waiting = SlidingArray<Notice>()
        swap(&waiting, &deliveries)
        defer { swap(&waiting, &deliveries) }
        while !waiting.isEmpty && output.count < Self.outputBytes {
            try output.addDeliveries { writer in
                let start = writer.bytes.count
                var count = 0
                while count < Self.deliveriesPerFrame, writer.bytes.count - start < Self.outputBytes, !waiting.isEmpty {
                    let notice = waiting.removeFirst()
                    if try encode(notice, &writer) { count += 1 }
                }
                return count
            }
        }
        if !output.isEmpty { session.noteSent(now: now) }
    }
}

extension Request {
    /// How much memory the answer may take beside that of the request: pages of messages the most, one body a little.
    fileprivate var answerWeight: Int {
        switch self {
        case .peek, .deadList, .topicList, .fetch, .browse: 64
        case .pop: 1
        default: 0
        }
    }
}
