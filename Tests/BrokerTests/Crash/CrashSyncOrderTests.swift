import BrokerProtocol
import Foundation
import LinuxIO
import TestSupport
import Testing

extension ProcessTests {
    /// What the kernel sees: no confirmation and no delivery leaves before the sync that covers its record returned.
    @Suite("Crash: sync before confirm", .serialized, .enabled(if: Tracer.isThere, Tracer.reason))
    struct CrashSyncOrderTests {
        private let topic = TopicName("order.created")!
        private let queue = SubscriptionName("order.created")!

        @Test("Publishes are synced before they are confirmed and before they are delivered")
        func publishes() async throws {
            let house = try ServiceHouse()
            let service = try await house.start()
            let url = service.url
            let trace = try await record(service, house.path) {
                let consumer = try Wire.open(url)
                _ = try consumer.ask(
                    .subscribe(
                        consumer: ConsumerID(rawValue: 1), subscription: queue, credit: 1_000, start: .beginning,
                        leaseMilliseconds: nil))
                let wires = try (0..<3).map { _ in try Wire.open(url) }
                // One at a time, then all at once.
                for number in 1...40 {
                    let wire = wires[number % 3]
                    try wire.send(.request(UInt32(number), .publish([message(number)])))
                    _ = try wire.answer(to: UInt32(number))
                }
                for number in 41...200 {
                    try wires[number % 3].send(.request(UInt32(number), .publish([message(number)])))
                }
                for number in 41...200 { _ = try wires[number % 3].answer(to: UInt32(number)) }
                var count = 0
                while count < 200, case .deliveries(let deliveries)? = try consumer.nextPush() {
                    count += deliveries.count
                }
            }
            var confirmed: Set<Int> = []
            var delivered: Set<Int> = []
            for (place, frame) in trace.sent {
                switch frame {
                case .response(let correlation, .published):
                    confirmed.insert(Int(correlation))
                    #expect(trace.isSynced(marker(Int(correlation)), before: place), "publish \(correlation)")
                case .push(.deliveries(let deliveries)):
                    for delivery in deliveries {
                        guard let number = Scene.number(in: delivery.body) else { continue }
                        delivered.insert(number)
                        #expect(trace.isSynced(marker(number), before: place), "delivery of \(number)")
                    }
                default: break
                }
            }
            #expect(confirmed == Set(1...200) && delivered == Set(1...200))
            try await service.kill()
        }

        @Test("Verdicts and commits are synced before they are confirmed")
        func verdicts() async throws {
            let house = try ServiceHouse()
            let service = try await house.start()
            let wire = try Wire.open(service.url)
            let leases = try await blocking { [queue] in
                _ = try wire.ask(.publish((1...60).map { message($0) }))
                var leases: [LeaseID] = []
                while case .popped(let delivery?) = try wire.ask(
                    .pop([queue], timeoutMilliseconds: 0, acknowledges: false))
                {
                    leases.append(delivery.lease)
                }
                return leases
            }
            #expect(leases.count == 60)
            let trace = try await record(service, house.path) {
                for (index, lease) in leases.enumerated() {
                    switch index % 4 {
                    case 0: _ = try wire.ask(.settle([Settlement(lease, .ack)]))
                    case 1: _ = try wire.ask(.settle([Settlement(lease, .reject(reason: "no use"))]))
                    case 2: _ = try wire.ask(.settle([Settlement(lease, .release(afterMilliseconds: 3_600_000))]))
                    default: _ = try wire.ask(.commit(publishes: [], settlements: [Settlement(lease, .ack)]))
                    }
                }
            }
            // One at a time: each answer has a write and a sync of its own before it.
            var last = -1
            var count = 0
            for (place, frame) in trace.sent {
                switch frame {
                case .response(_, .settled), .response(_, .committed):
                    #expect(trace.hasSync(after: last, before: place), "answer \(count)")
                    (last, count) = (place, count + 1)
                default: break
                }
            }
            #expect(count == leases.count)
            try await service.kill()
        }

        /// Runs the work while a tracer writes down each write and sync.
        private func record(
            _ service: Service, _ path: String, _ work: @escaping @Sendable () throws -> Void
        ) async throws -> Trace {
            let file = path + "/trace"
            let tracer = try ChildProcess(
                [
                    "strace", "-f", "-y", "-xx", "-s", "100000", "-e", "trace=write,pwrite64,fdatasync", "-o", file,
                    "-p", String(service.child.identifier),
                ])
            try await tracer.line(with: "attached")
            try await blocking(work)
            tracer.send(2)
            _ = try await tracer.end()
            return try Trace(try String(contentsOfFile: file, encoding: .utf8))
        }
    }
}

/// A body that can be found in what is written.
private func message(_ number: Int) -> OutgoingMessage {
    OutgoingMessage(topic: TopicName("order.created")!, body: Scene.body(number, bytes: 24))
}

private func marker(_ number: Int) -> [UInt8] { Scene.body(number, bytes: 24) }

/// The calls of strace's file, in the order in which the kernel saw them.
struct Trace {
    private struct LogWrite {
        /// Lines where it ended, and where a sync that began later ended.
        let end: Int
        var syncedAt: Int?
        let bytes: [UInt8]
    }

    /// Frames that went to clients, with the line where their write began.
    private(set) var sent: [(place: Int, frame: Frame)] = []
    private var writes: [LogWrite] = []

    private struct Call {
        let name: Substring
        let descriptor: Substring
        let begin: Int
        let bytes: [UInt8]
    }

    init(_ text: String) throws {
        var open: [Substring: Call] = [:]
        var decoders: [Substring: FrameDecoder] = [:]
        for (place, line) in text.split(separator: "\n").enumerated() {
            let words = line.split(separator: " ", maxSplits: 1, omittingEmptySubsequences: true)
            guard words.count == 2 else { continue }
            let (thread, rest) = (words[0], words[1].drop { $0 == " " })
            if rest.hasPrefix("<... ") {
                guard let call = open.removeValue(forKey: thread) else { continue }
                end(call, at: place)
            } else if let call = Self.call(rest, at: place) {
                if call.name == "write" {
                    var decoder = decoders[call.descriptor] ?? FrameDecoder(side: .client, frameBytesMax: 16 << 20)
                    decoder.append(call.bytes)
                    while let frame = try decoder.next() { sent.append((place, frame)) }
                    decoders[call.descriptor] = decoder
                }
                if line.hasSuffix("<unfinished ...>") { open[thread] = call } else { end(call, at: place) }
            }
        }
    }

    /// A write to a client, or what happens to a segment of the log, for instance
    /// `pwrite64(9</tmp/x/segment-000000000000>, "\x01\x02", 2, 4096) = 2`, the path in hexadecimal digits as well.
    private static func call(_ text: Substring, at place: Int) -> Call? {
        guard let parenthesis = text.firstIndex(of: "("), let angle = text.firstIndex(of: "<"),
            let close = text.firstIndex(of: ">")
        else { return nil }
        let name = text[..<parenthesis]
        let path = String(decoding: bytes(text[angle..<close]), as: UTF8.self)
        guard name == "write" ? path.hasPrefix("socket:") : path.contains("/segment-") else { return nil }
        let quoted = text[close...].split(separator: "\"", omittingEmptySubsequences: false)
        return Call(
            name: name, descriptor: text[parenthesis..<angle], begin: place,
            bytes: quoted.count > 1 ? bytes(quoted[1]) : [])
    }

    private static func bytes(_ text: Substring) -> [UInt8] {
        text.split(separator: "\\").compactMap { $0.hasPrefix("x") ? UInt8($0.dropFirst().prefix(2), radix: 16) : nil }
    }

    private mutating func end(_ call: Call, at place: Int) {
        switch call.name {
        case "pwrite64": writes.append(LogWrite(end: place, bytes: call.bytes))
        case "fdatasync":
            for index in writes.indices where writes[index].syncedAt == nil && writes[index].end < call.begin {
                writes[index].syncedAt = place
            }
        default: break
        }
    }

    /// Whether the bytes were written to the log, and synced after that, before the line.
    func isSynced(_ bytes: [UInt8], before place: Int) -> Bool {
        writes.contains { write in
            guard let syncedAt = write.syncedAt, syncedAt < place else { return false }
            return write.bytes.firstRange(of: bytes) != nil
        }
    }

    /// Whether a write to the log and its sync lie between the two lines.
    func hasSync(after first: Int, before last: Int) -> Bool {
        writes.contains { $0.end > first && ($0.syncedAt ?? .max) < last }
    }
}
