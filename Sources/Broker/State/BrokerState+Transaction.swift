import BrokerProtocol

/// Facts that are applied one by one and become one record: all of them are replayed, or none.
struct Transaction {
    /// Of the record that they will be.
    let position: UInt64
    let bytesMax: Int
    var payload: [UInt8] = []
    var isAwaited = false
    /// What leaves when the record is durable.
    var effects: [Effect] = []
}

extension BrokerState {
    /// The longest record of a transaction: the log takes it, and it fits into half a segment.
    var transactionBytesMax: Int { min(15 << 20, Int(segmentBytes / 2) - 8_192) }

    /// Gathers what follows into one record. The place of that record is settled here, because facts are applied with
    /// their address before it is written: it is never the first of a segment.
    /// - Parameters:
    ///   - bytesMax: More than all facts will take.
    ///   - publishes: Whether more than settles will come, which may use the space that is reserved for them.
    /// - Throws: `RECORD_TOO_LARGE` or `DISK_FULL`; nothing has begun then.
    func beginTransaction(bytesMax: Int, publishes: Bool) throws(BrokerError) {
        guard bytesMax <= transactionBytesMax else {
            throw BrokerError(
                .recordTooLarge,
                "a transaction has at most \(transactionBytesMax) bytes in the log, this one may take \(bytesMax)")
        }
        if publishes { try demandSpace(bytes: bytesMax) }
        if definitionsAreDue || journal.startsSegment(payloadBytes: bytesMax) { try openSegment(for: bytesMax) }
        transaction = Transaction(position: journal.end, bytesMax: bytesMax)
    }

    /// Writes definitions behind which a record of this size has room. They change nothing, however often they stand
    /// in the log.
    private func openSegment(for bytesMax: Int) throws(BrokerError) {
        var payload = FactCodec.encode(definitions()).payload
        if journal.startsSegment(payloadBytes: bytesMax) {
            let counters = FactCodec.encode([counters()]).payload
            while payload.count < bytesMax { payload += counters }
        }
        _ = try journal.append(payload)
        definitionsAreDue = false
        guard !journal.startsSegment(payloadBytes: bytesMax) else {
            throw BrokerError(.recordTooLarge, "a transaction of \(bytesMax) bytes finds no room in a segment")
        }
    }

    private func counters() -> Fact {
        .counted(
            nextMessage: MessageID(rawValue: nextMessage), nextTopic: TopicID(rawValue: nextTopic),
            nextSubscription: SubscriptionID(rawValue: nextSubscription))
    }

    func gather(_ facts: [Fact], isAwaited: Bool) throws(BrokerError) {
        guard let (position, start, bytesMax) = transaction.map({ ($0.position, $0.payload.count, $0.bytesMax) }) else {
            return
        }
        let (payload, offsets) = FactCodec.encode(facts)
        guard start + payload.count <= bytesMax else {
            throw BrokerError(.recordTooLarge, "the transaction has reached \(bytesMax) bytes")
        }
        transaction?.payload += payload
        if isAwaited { transaction?.isAwaited = true }
        for (fact, offset) in zip(facts, offsets) {
            apply(fact, at: RecordAddress(position: position, offset: start + offset))
        }
    }

    /// Writes the record. When the log does not take it, which was checked before, this state is of no use any more:
    /// ``failure`` says so.
    func endTransaction() {
        guard let transaction else { return }
        self.transaction = nil
        if !transaction.payload.isEmpty {
            do throws(BrokerError) {
                let position = try journal.append(transaction.payload)
                precondition(position == transaction.position, "a transaction's record stands where it was announced")
            } catch {
                failure = error
                return
            }
            if transaction.isAwaited { requiredEnd = journal.end }
        }
        for effect in transaction.effects { emit(effect) }
    }

    /// A message from the log, or from the record that is being gathered.
    func message(at address: RecordAddress) throws(BrokerError) -> PublishedMessage {
        guard let transaction, address.position == transaction.position else { return try readMessage(address) }
        do throws(FactCodec.Malformed) {
            return try FactCodec.message(in: transaction.payload, at: address.offset)
        } catch {
            throw BrokerError(.unsupported, "the gathered record cannot be read: \(error.what)")
        }
    }
}
