import BrokerProtocol

extension RuntimeState {
    /// A delivery in hand, from its arrival to the answer to its settlement.
    struct Held {
        enum Stage: Hashable {
            case waiting
            case running(deadline: Duration)
            /// The handler's task is cancelled; its slot is written off at this time.
            case cancelled(Cause, until: Duration)
            /// The broker was asked to pause the subscription; what follows is in the answer.
            case pausing(until: WallTime, reason: String)
            case settling(Settling)
            /// The broker's disk was full: settled again at this time.
            case refused(Settling, again: Duration)
        }

        enum Cause: Hashable { case timeout, leaseLost, drain }

        /// Apart, because the deliveries in hand are moved and copied at each event.
        private final class Content: Sendable {
            let delivery: Delivery
            init(_ delivery: Delivery) { self.delivery = delivery }
        }

        let ticket: Ticket
        private let content: Content
        let generation: Int
        var stage: Stage
        var startedAt: Duration
        init(ticket: Ticket, _ delivery: Delivery, generation: Int) {
            self.ticket = ticket
            content = Content(delivery)
            self.generation = generation
            stage = .waiting
            startedAt = .zero
        }

        var delivery: Delivery { content.delivery }

        /// When its stage ends by itself.
        var deadline: Duration? {
            switch stage {
            case .running(let deadline): deadline
            case .cancelled(_, let until): until
            case .refused(_, let again): again
            case .waiting, .pausing, .settling: nil
            }
        }

        /// A handler was started and has not returned.
        var isInHandler: Bool {
            switch stage {
            case .waiting, .pausing, .settling, .refused: false
            case .running, .cancelled: true
            }
        }
    }
}
