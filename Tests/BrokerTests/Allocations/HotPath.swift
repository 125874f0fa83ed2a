import BrokerProtocol
import LinuxIO
import SegmentLog
import TestSupport

@testable import Broker

/// Protocol, state and log without sockets: frames of publishes and acks in, confirmations and deliveries out, turn by
/// turn, as the loop does it.
final class HotPath {
    private let engine: Engine
    private let directory: TemporaryDirectory
    private let durable: Monitor<Int>
    private let session = SessionID(rawValue: 1)
    private let now = Now(monotonic: 5_000_000, wall: WallTime(milliseconds: 1_700_000_000_000))
    private let batch: Int
    private var decoder = FrameDecoder(side: .broker, frameBytesMax: 1 << 20)
    private let publishes: [UInt8]
    private var ack: [UInt8]
    private var notices: [Notice] = []
    private var output = ByteWriter()
    private(set) var confirmed = 0
    private(set) var delivered = 0
    private(set) var settled = 0

    /// - Parameter batch: Messages of one turn.
    init(batch: Int, bodyBytes: Int = 256) throws {
        self.batch = batch
        directory = try TemporaryDirectory()
        var configuration = BrokerConfiguration(dataDirectory: directory.path + "/data")
        configuration.segmentBytes = 16 << 20
        configuration.diskFreeBytesMin = 0
        let durable = Monitor(0)
        self.durable = durable
        (engine, _) = try Engine.recover(
            configuration, seed: 1, onDurable: { durable.update { $0 += 1 } }, progress: { _ in })
        let topic = TopicName("orders")!
        let message = OutgoingMessage(
            topic: topic, body: [UInt8](repeating: 7, count: bodyBytes), headers: [Header("kind", "order")])
        var writer = ByteWriter()
        for number in 0..<batch { Frame.request(UInt32(number), .publish([message])).encode(into: &writer) }
        publishes = writer.bytes
        let settlements = (0..<batch).map { Settlement(LeaseID(rawValue: 1 + UInt64($0)), .ack) }
        ack = Frame.request(1_000_000, .settle(settlements)).bytes
        engine.state.advance(now: now)
        engine.state.open(session, name: "shop")
        let subscribe = Request.subscribe(
            consumer: ConsumerID(rawValue: 1), subscription: SubscriptionName(topic: topic),
            credit: UInt32(2 * batch), start: .beginning, leaseMilliseconds: 60_000)
        decoder.append(Frame.request(2_000_000, subscribe).bytes)
        try turn()
    }

    /// Publishes a batch, and acknowledges the one that was delivered before.
    func turn() throws {
        output.bytes.removeAll(keepingCapacity: true)
        if let first = notices.first {
            patch(first.lease)
            notices.removeAll(keepingCapacity: true)
            decoder.append(ack)
        }
        if !confirmedNothingYet { decoder.append(publishes) }
        confirmedNothingYet = false
        while true {
            let isTaken = decoder.takePlain { plain in
                engine.state.publish(plain, from: Origin(session: session, correlation: plain.correlation), now: now)
            }
            if isTaken { continue }
            guard case .request(let correlation, let request)? = try decoder.next() else { break }
            engine.state.handle(request, from: Origin(session: session, correlation: correlation), now: now)
        }
        _ = try engine.endTurn(now: now)
        engine.log.flush(mayWait: true)
        durable.wait { [engine] _ in engine.unsyncedBytes == 0 ? () : nil }
        try engine.release(confirm: confirm) { (effect) throws(LogError) in perform(effect) }
        try encodeDeliveries()
    }

    private var confirmedNothingYet = true

    /// The leases of a batch follow each other: the frame's only run begins with the first one.
    private func patch(_ first: LeaseID) {
        for index in 0..<8 {
            ack[Frame.headerBytes + 4 + index] = UInt8(truncatingIfNeeded: first.rawValue >> UInt64(56 - 8 * index))
        }
    }

    private func confirm(_ confirmation: Confirmation) {
        Frame.encodeConfirmation(
            of: confirmation.message, to: confirmation.origin.correlation, into: &output)
        confirmed += 1
    }

    private func perform(_ effect: Effect) {
        switch effect {
        case .respond(_, .published(let results)): confirmed += results.count
        case .respond(_, .settled(let results)): settled += results.count { $0 == nil }
        case .deliver(_, let notice): notices.append(notice)
        default: break
        }
    }

    private func encodeDeliveries() throws {
        if notices.isEmpty { return }
        try Frame.encodeDeliveries(into: &output) { writer in
            for notice in notices where try engine.encode(notice, into: &writer) { delivered += 1 }
            return notices.count
        }
    }
}
