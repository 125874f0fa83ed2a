/// A worker of the order flow: refuses an event that breaks a rule, names the field, and does `work` for the others.
package struct OrderWorker<Input: OrderEvent>: Worker {
    private let work: @Sendable (Input, Attempt) async throws -> Outcome

    package init(_ work: @escaping @Sendable (Input, Attempt) async throws -> Outcome) { self.work = work }

    package func handle(_ event: Input, _ attempt: Attempt) async throws -> Outcome {
        do {
            try event.validate()
        } catch {
            return .reject("invalid \(Input.topic): \(error)")
        }
        return try await work(event, attempt)
    }

    package func verdict(for error: any Error, _ attempt: Attempt) -> Outcome { .forStoreError(error) }
}

extension Publication {
    /// An answer of the order flow. An order's events keep their order, and its second event of the same kind is no
    /// other one than the first.
    package init<E: OrderEvent>(ofOrder event: E) throws {
        try self.init(event, key: event.orderID, dedupID: "\(E.topic):\(event.orderID)")
    }
}
