import BrokerProtocol
import Testing

/// Valid frames, damaged in every way that a seed finds.
@Suite("Damaged frames") struct MutationTests {
    static let seeds: [UInt64] = [3, 11, 1_999, UInt64.random(in: .min ... .max)]

    @Test(
        "7,000 damaged frames per seed and side are read or refused, and never grow beyond the limit", arguments: seeds)
    func mutations(seed: UInt64) throws {
        for direction in [ProtocolPage.Direction.client, .broker] {
            let side: FrameDecoder.Side = direction == .client ? .broker : .client
            var frames = RandomFrames(seed: seed)
            var outcomes = (frames: 0, failures: 0, waits: 0)
            for round in 0..<7_000 {
                let bytes = damaged(&frames, direction)
                var decoder = FrameDecoder(side: side, frameBytesMax: 1 << 16)
                decoder.append(bytes)
                do throws(FrameDecoder.Failure) {
                    while let frame = try decoder.next() {
                        outcomes.frames += 1
                        #expect(items(of: frame) <= 10_000 + bytes.count, "seed \(seed), round \(round)")
                        if items(of: frame) < 1_000 { expectStable(frame, side, "seed \(seed), round \(round)") }
                    }
                    outcomes.waits += 1
                } catch {
                    outcomes.failures += 1
                    #expect(error.error.code.endsConnection, "seed \(seed), round \(round)")
                    #expect(!error.error.message.isEmpty && error.error.message.utf8.count < 300)
                }
            }
            #expect(outcomes.frames > 500 && outcomes.failures > 500 && outcomes.waits > 500, "\(outcomes)")
        }
    }

    /// What was read can be written, and is then read as the same.
    private func expectStable(_ frame: Frame, _ side: FrameDecoder.Side, _ comment: Comment) {
        var decoder = FrameDecoder(side: side, frameBytesMax: 8 << 20)
        decoder.append(frame.bytes)
        do throws(FrameDecoder.Failure) {
            let again = try decoder.next()
            #expect(again == frame, comment)
        } catch {
            Issue.record("\(comment): \(error.error)")
        }
    }

    private func damaged(_ frames: inout RandomFrames, _ direction: ProtocolPage.Direction) -> [UInt8] {
        var bytes = frames.frame(from: direction).bytes
        for _ in 0..<frames.number(1...3) {
            let at = frames.number(0...(bytes.count - 1))
            switch frames.number(0...7) {
            case 0: bytes[at] ^= 1 << UInt8(frames.number(0...7))
            case 1: bytes[at] = UInt8(frames.number(0...255))
            case 2: bytes.removeLast(min(frames.number(1...bytes.count), bytes.count - 1))
            case 3: for index in at..<min(at + 4, bytes.count) { bytes[index] = 0xFF }
            case 4:
                bytes.insert(contentsOf: (0..<frames.number(1...9)).map { _ in UInt8(frames.number(0...255)) }, at: at)
            case 5: bytes.removeSubrange(at..<min(at + frames.number(1...8), bytes.count - 1 + (at == 0 ? 0 : 1)))
            case 6: bytes = Array(bytes[..<at]) + frames.frame(from: direction).bytes
            default: bytes = [0, 0, 0, 0, 1, UInt8(frames.number(0...255)), 0, 0] + noise(&frames)
            }
            if bytes.isEmpty { bytes = [0] }
        }
        // Mostly with a length that fits, so that the damage reaches the fields.
        if frames.number(0...4) > 0, bytes.count >= 12, bytes.count - 4 <= 1 << 16 {
            let length = bytes.count - 4
            bytes.replaceSubrange(
                0..<5, with: [0, UInt8(length >> 16), UInt8(length >> 8 & 255), UInt8(length & 255), 1])
            if frames.flip() { bytes.replaceSubrange(6..<8, with: [0, 0]) }
        }
        return bytes
    }

    private func noise(_ frames: inout RandomFrames) -> [UInt8] {
        let isSmall = frames.flip()
        return (0..<frames.number(4...80)).map { _ in UInt8(frames.number(0...(isSmall ? 3 : 255))) }
    }

    /// Elements of the lists that a frame was spread out into.
    private func items(of frame: Frame) -> Int {
        switch frame {
        case .heartbeat: 0
        case .push(.deliveries(let deliveries)): deliveries.count
        case .push(.consumerEnded): 1
        case .request(_, let request): items(of: request)
        case .response(_, let response): items(of: response)
        }
    }

    private func items(of request: Request) -> Int {
        switch request {
        case .hello(let versions, _, _, _): versions.count
        case .publish(let messages): messages.count
        case .commit(let publishes, let settlements): publishes.count + settlements.count
        case .settle(let settlements): settlements.count
        case .extend(let leases, _): leases.count
        case .pop(let subscriptions, _, _): subscriptions.count
        case .deadRedrive(_, let selection, _), .deadPurge(_, let selection):
            selection.ids.count + selection.headers.count
        case .browse(_, let query): query.headers.count
        case .delete(_, let ids): ids.count
        default: 1
        }
    }

    private func items(of response: Response) -> Int {
        switch response {
        case .published(let results): results.count
        case .committed(let receipts): receipts.count
        case .settled(let results): results.count
        case .topics(let topics): topics.count
        case .messages(let messages): messages.count
        case .deadLetters(let letters): letters.count
        case .browsed(let page): page.messages.count
        case .deadJobs(let jobs): jobs.count
        default: 1
        }
    }

    @Test("The largest thing that 100 bytes can ask for is 10,000 leases") func largestGrowth() throws {
        for verdict in [Verdict.ack, .fail(error: "a text that all of them share"), .reject(reason: "no")] {
            var decoder = FrameDecoder(side: .broker, frameBytesMax: 100)
            let most = (0..<10_000).map { Settlement(LeaseID(rawValue: 1 + $0), verdict) }
            let bytes = Frame.request(1, .settle(most)).bytes
            #expect(bytes.count <= 100)
            decoder.append(bytes)
            #expect(try decoder.next() == .request(1, .settle(most)))
        }
        #expect(MemoryLayout<Settlement>.stride * 10_000 <= 8 << 20)
        #expect(MemoryLayout<BrokerError?>.stride * 10_000 <= 8 << 20)
        var decoder = FrameDecoder(side: .broker, frameBytesMax: 100)
        decoder.append(
            Frame.request(1, .extend((0..<100_001).map { LeaseID(rawValue: 1 + $0) }, milliseconds: 1)).bytes)
        #expect(throws: FrameDecoder.Failure.self) { try decoder.next() }
    }
}
