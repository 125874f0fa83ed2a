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

    /// Gives each frame's action to `perform`, until one ends the connection, or enough is done for one turn.
    func drainDecoder(_ perform: (NativeSession.Action) -> Void) {
        isPaused = false
        var allowance = Self.answersPerTurn
        do throws(FrameDecoder.Failure) {
            while true {
                if allowance <= 0 {
                    isPaused = true
                    return
                }
                guard let frame = try decoder.next() else { return }
                if case .request(_, let request) = frame { allowance -= request.answerWeight }
                let action = session.receive(frame)
                if session.isOpen { decoder.frameBytesMax = frameBytesMax }
                perform(action)
                if case .end = action { return }
            }
        } catch {
            perform(.end(.response(error.correlation, .refused(error.error))))
        }
    }

    func noteSent(_ frame: Frame, now: Int64) {
        if case .response(let correlation, _) = frame { session.noteAnswered(correlation) }
        session.noteSent(now: now)
    }

    func deliver(_ notice: Notice) { deliveries.append(notice) }

    var hasDeliveries: Bool { !deliveries.isEmpty }

    /// The next frame of deliveries.
    /// - Parameters:
    ///   - outputBytes: What waits for the client already.
    ///   - read: Gives the body; nil for a delivery whose lease is over.
    /// - Returns: Nil when there is none, or no room.
    func nextDeliveries(
        outputBytes: Int, _ read: (Notice) throws(any Error) -> Delivery?
    ) throws -> Frame? {
        while !deliveries.isEmpty && outputBytes < Self.outputBytes {
            var batch: [Delivery] = []
            var bytes = 0
            while batch.count < Self.deliveriesPerFrame, bytes < Self.outputBytes, !deliveries.isEmpty {
                let notice = deliveries[deliveries.start]
                deliveries.drop(before: deliveries.start + 1)
                guard let delivery = try read(notice) else { continue }
                bytes += delivery.body.count
                batch.append(delivery)
            }
            if !batch.isEmpty { return .push(.deliveries(batch)) }
        }
        return nil
    }
}

extension Request {
    /// How much memory the answer may take beside that of the request: pages of messages the most, one body a little.
    fileprivate var answerWeight: Int {
        switch self {
        case .peek, .deadList, .topicList: 64
        case .pop: 1
        default: 0
        }
    }
}
