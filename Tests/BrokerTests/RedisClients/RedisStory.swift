import Foundation

/// What `conformance/clients/crash_driver.py` tells, as a history for the checker.
struct RedisStory {
    private struct Line: Decodable {
        enum Event: String, Decodable { case invoked, answered, delivered, disconnected, failed }
        enum Kind: String, Decodable { case publish, settle, commit, take }
        enum Answer: String, Decodable { case published, settled, committed, taken, refused }

        struct Publish: Decodable {
            let number: Int
            let topic: String
            let fingerprint: UInt64
            let dedupID: String?
        }

        struct Settle: Decodable {
            let lease: UInt64
            let verdict: String
        }

        struct Receipt: Decodable {
            let id: UInt64?
            let isDuplicate: Bool?
        }

        struct Delivery: Decodable {
            let connection: Int
            let subscription: String
            let lease: UInt64
            let id: UInt64
            let attempt: UInt32
            let number: Int
            let fingerprint: UInt64
        }

        let event: Event
        let kind: Kind?
        let connection: Int?
        let publishes: [Publish]?
        let settles: [Settle]?
        let take: String?
        let operation: Int?
        let answer: Answer?
        let receipts: [Receipt]?
        let results: [Bool]?
        let delivery: Delivery?
        let text: String?
    }

    struct Unreadable: Error, CustomStringConvertible {
        let description: String
    }

    /// Adds one life's lines.
    static func add(_ lines: [String], to history: inout History) throws {
        let decoder = JSONDecoder()
        // The driver counts its operations from zero in each life.
        let first = history.operationCount
        for line in lines {
            guard let line = try? decoder.decode(Line.self, from: Data(line.utf8)) else {
                throw Unreadable(description: "the driver wrote: \(lines.suffix(30).joined(separator: "\n"))")
            }
            switch line.event {
            case .invoked: _ = history.invoke(try operation(line))
            case .answered: history.events.append(.answered(first + (line.operation ?? 0), try answer(line)))
            case .delivered:
                guard let delivery = line.delivery else { throw Unreadable(description: "a delivery of nothing") }
                history.events.append(.delivered(seen(delivery)))
            case .disconnected: history.events.append(.disconnected(line.connection ?? 0))
            case .failed: throw Unreadable(description: "the driver failed: \(line.text ?? "")")
            }
        }
    }

    private static func operation(_ line: Line) throws -> History.Operation {
        let kind: History.Operation.Kind
        switch line.kind {
        case .publish?: kind = .publish
        case .settle?: kind = .settle
        case .commit?: kind = .commit
        case .take?: kind = .take(line.take ?? "")
        case nil: throw Unreadable(description: "an operation of no kind")
        }
        return History.Operation(
            kind: kind, connection: line.connection ?? 0,
            publishes: (line.publishes ?? []).map {
                History.Publish(
                    number: $0.number, topic: $0.topic, fingerprint: $0.fingerprint, dedupID: $0.dedupID)
            }, settles: try (line.settles ?? []).map { .init(lease: $0.lease, verdict: try verdict($0.verdict)) })
    }

    private static func verdict(_ text: String) throws -> History.Verdict {
        switch text {
        case "ack": .ack
        case "fail": .fail
        case "release": .release
        case "reject": .reject
        default: throw Unreadable(description: "the verdict \(text)")
        }
    }

    private static func answer(_ line: Line) throws -> History.Answer {
        let receipts = (line.receipts ?? []).map {
            History.Receipt(id: $0.id, isDuplicate: $0.isDuplicate ?? false)
        }
        return switch line.answer {
        case .published?: .published(receipts)
        case .settled?: .settled(line.results ?? [])
        case .committed?: .committed(receipts)
        case .taken?: .taken(line.delivery.map(seen))
        case .refused?: .refused
        case nil: throw Unreadable(description: "an answer of no kind")
        }
    }

    private static func seen(_ delivery: Line.Delivery) -> History.Delivery {
        History.Delivery(
            connection: delivery.connection, subscription: delivery.subscription, lease: delivery.lease,
            id: delivery.id, attempt: delivery.attempt, number: delivery.number, fingerprint: delivery.fingerprint)
    }
}
