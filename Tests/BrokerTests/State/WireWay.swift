import BrokerProtocol

@testable import Broker

extension BrokerState {
    /// Handles a request as the server does: a publish is read from its frame where it stands, when it can be.
    func handleAsOnTheWire(_ request: Request, from origin: Origin, now: Now) {
        if case .publish = request {
            var decoder = FrameDecoder(side: .broker, frameBytesMax: .max)
            decoder.append(Frame.request(origin.correlation, request).bytes)
            if decoder.takePlain({ publish($0, from: origin, now: now) }) { return }
        }
        handle(request, from: origin, now: now)
    }
}

extension BrokerState {
    /// All effects, the plain ones said in general; there are none afterwards.
    func takeEffects() -> [PendingEffect] {
        defer {
            effects = []
            confirmations = []
        }
        return confirmations.map {
            PendingEffect(
                requires: $0.requires,
                effect: .respond($0.origin, .published([.success(PublishReceipt(id: $0.message))])))
        } + effects
    }
}
