import BrokerProtocol
import LinuxIO

/// One client's socket with its buffers. Confined to the loop.
final class Connection {
    let id: SessionID
    let token: UInt64
    let descriptor: Descriptor
    private(set) var session: NativeSession
    private var decoder: FrameDecoder
    private let frameBytesMax: Int
    private var output = OutputBuffer()
    private let outputBytesMax: Int
    /// Deliveries that are encoded when the output has room: a slow client costs no bodies.
    private var deliveries = SlidingArray<Notice>()
    /// Nothing more is read; it closes when the output is gone.
    private(set) var isEnding = false
    /// When the output last moved, or became non-empty.
    private var outputMovedAt: Int64
    var interest = Poller.Interest.read
    /// Frames are left in the decoder: their answers could be many times as large as they are.
    private(set) var isPaused = false
    /// The loop will flush it at the end of the turn.
    var isTouched = false

    private static let readBytes = 64 << 10
    /// Weights of answers that one turn brings about at most; see ``Request/answerWeight``.
    private static let answersPerTurn = 64
    /// Deliveries are encoded while less than this waits.
    private static let deliveryOutputBytes = 512 << 10
    private static let deliveriesPerFrame = 256
    /// A client that takes nothing for this long is gone.
    static let stallMilliseconds: Int64 = 30_000

    init(
        id: SessionID, token: UInt64, descriptor: consuming Descriptor, greeting: NativeSession.Greeting,
        outputBytesMax: Int, now: Int64
    ) {
        self.id = id
        self.token = token
        self.descriptor = descriptor
        self.outputBytesMax = outputBytesMax
        frameBytesMax = Int(greeting.limits.frameBytesMax)
        session = NativeSession(greeting, now: now)
        decoder = FrameDecoder(side: .broker, frameBytesMax: NativeSession.greetingBytesMax)
        outputMovedAt = now
    }

    // MARK: Input

    /// Reads once and gives each frame's action to `perform`.
    /// - Returns: False when the peer has closed its side.
    func read(now: Int64, _ perform: (NativeSession.Action) -> Void) throws(SystemError) -> Bool {
        let count = try decoder.fill { (buffer: inout [UInt8]) throws(SystemError) -> Int? in
            try descriptor.read(into: &buffer, capacity: Self.readBytes)
        }
        guard let count else { return true }
        if count == 0 { return false }
        session.noteReceived(now: now)
        drainDecoder(perform)
        return true
    }

    /// Goes on with the frames that a pause left.
    func resume(_ perform: (NativeSession.Action) -> Void) {
        isPaused = false
        drainDecoder(perform)
    }

    private func drainDecoder(_ perform: (NativeSession.Action) -> Void) {
        var allowance = Self.answersPerTurn
        do throws(FrameDecoder.Failure) {
            while !isEnding {
                if allowance <= 0 {
                    isPaused = true
                    return
                }
                guard let frame = try decoder.next() else { return }
                if case .request(_, let request) = frame { allowance -= request.answerWeight }
                let action = session.receive(frame)
                if session.isOpen { decoder.frameBytesMax = frameBytesMax }
                if case .end = action { isEnding = true }
                perform(action)
            }
        } catch {
            isEnding = true
            perform(.end(.response(error.correlation, .refused(error.error))))
        }
    }

    // MARK: Output

    func send(_ frame: Frame, now: Int64) {
        if output.isEmpty { outputMovedAt = now }
        if case .response(let correlation, _) = frame { session.noteAnswered(correlation) }
        output.add(frame)
        session.noteSent(now: now)
    }

    func deliver(_ notice: Notice) { deliveries.append(notice) }

    func end() { isEnding = true }

    /// Encodes deliveries and writes what the socket takes.
    /// - Parameter read: Gives the body; nil for a delivery whose lease is over.
    func flush(now: Int64, _ read: (Notice) throws(any Error) -> Delivery?) throws {
        repeat {
            try encodeDeliveries(now: now, read)
            if try output.flush(to: descriptor) > 0 { outputMovedAt = now }
        } while output.isEmpty && !deliveries.isEmpty
    }

    private func encodeDeliveries(now: Int64, _ read: (Notice) throws(any Error) -> Delivery?) throws {
        while !deliveries.isEmpty && output.count < Self.deliveryOutputBytes {
            var batch: [Delivery] = []
            var bytes = 0
            while batch.count < Self.deliveriesPerFrame, bytes < Self.deliveryOutputBytes, !deliveries.isEmpty {
                let notice = deliveries[deliveries.start]
                deliveries.drop(before: deliveries.start + 1)
                guard let delivery = try read(notice) else { continue }
                bytes += delivery.body.count
                batch.append(delivery)
            }
            if !batch.isEmpty { send(.push(.deliveries(batch)), now: now) }
        }
    }

    var isFlushed: Bool { output.isEmpty && deliveries.isEmpty }
    var hasRoom: Bool { output.count < outputBytesMax }
    var wantsInput: Bool { !isEnding && !isPaused && hasRoom }
    var wantsOutput: Bool { !output.isEmpty || !deliveries.isEmpty }

    func tick(now: Int64) -> NativeSession.Tick {
        if !output.isEmpty && now - outputMovedAt > Self.stallMilliseconds {
            return .lost(BrokerError(.slowConsumer, "the client took nothing for \(now - outputMovedAt) ms"))
        }
        // While we do not read, because of the disk or the client's output, its silence means nothing.
        if !interest.contains(.read) { session.noteReceived(now: now) }
        return isEnding ? .nothing : session.tick(now: now)
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
