import BrokerProtocol

extension ProtocolLimits {
    /// How many settlements or leases one frame names at most; docs/PROTOCOL.md, limits.
    private static let settlementsPerFrameMax = 100_000

    /// The frame of a request that the broker will accept for its size.
    /// - Throws: `BODY_TOO_LARGE` or `BATCH_TOO_LARGE`. A larger frame would end the connection and its leases.
    func frame(of request: Request) throws(BrokerError) -> [UInt8] {
        let (messages, settlementCount) = Self.contents(of: request)
        // Summed before the frame is built, so that a mistake costs no memory.
        let bodyBytes = messages.reduce(0) { $0 + $1.body.count }
        if settlementCount > Self.settlementsPerFrameMax {
            throw BrokerError(
                .batchTooLarge,
                "\(settlementCount) leases in one request, the limit is \(Self.settlementsPerFrameMax)")
        }
        if bodyBytes <= Int(frameBytesMax) {
            let bytes = Frame.request(0, request).bytes
            if bytes.count - Frame.lengthBytes <= Int(frameBytesMax) { return bytes }
        }
        if let large = messages.first(where: { $0.body.count > Int(bodyBytesMax) }) {
            throw BrokerError(
                .bodyTooLarge,
                "a body for \(large.topic) has \(large.body.count) bytes, the broker's limit is \(bodyBytesMax)")
        }
        throw BrokerError(
            .batchTooLarge,
            "the request is larger than the broker's frame limit of \(frameBytesMax) bytes; send fewer items at a time")
    }

    private static func contents(of request: Request) -> (messages: [OutgoingMessage], settlementCount: Int) {
        switch request {
        case .publish(let messages): (messages, 0)
        case .commit(let messages, let settlements): (messages, settlements.count)
        case .settle(let settlements): ([], settlements.count)
        case .extend(let leases, _): ([], leases.count)
        default: ([], 0)
        }
    }
}
