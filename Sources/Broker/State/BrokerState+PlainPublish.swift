import BrokerProtocol

/// The way of nearly all publishes.
extension BrokerState {
    /// Publishes a plain message to a plain topic: from the bytes of its frame straight into the log, without anything
    /// made on the way. Log, state and answer are as if ``publish(_:now:)`` had done it.
    /// - Returns: False, with nothing done, when the general way has to do it or to refuse it.
    func publish(_ plain: PlainPublish, from origin: Origin, now: Now) -> Bool {
        let journal = journal
        guard let topic = topicsByName[plain.topic], topic.isPlain, sessions.contains(origin.session),
            plain.priority < Topic.priorities, plain.bodyBytes <= limits.bodyBytesMax
        else { return false }
        let headerBytes = plain.headerTextBytes + 4 * plain.headerCount
        let owed = topic.subscriptions.count
        let reserved = plain.bodyBytes + headerBytes + 512 + (owedCount + owed) * Self.settleBytes
        guard owed > 0, headerBytes <= limits.headersBytesMax, reserved <= journal.publishBytesFree, transaction == nil,
            !isDraining, !definitionsAreDue, clock.due == nil
        else { return false }
        let id = MessageID(rawValue: nextMessage)
        guard let position = write(plain, as: id, in: topic.id, at: now.wall) else { return false }
        requiredEnd = journal.end
        let content = plain.bodyBytes + headerBytes
        let entry = MessageEntry(
            position: position, publishedAt: now.wall, offset: 0,
            bytes: UInt32(content + MessageEntry.overheadBytes), topic: topic.id, owed: UInt16(owed),
            priority: plain.priority, isInLane: true)
        apply(entry, as: id, in: topic)
        confirmations.append(Confirmation(requires: requiredEnd, origin: origin, message: id))
        return true
    }

    /// - Returns: The position of the record; nil when the general way has to say why not, or to open a segment.
    private func write(
        _ plain: PlainPublish, as id: MessageID, in topic: TopicID, at time: WallTime
    ) -> UInt64? {
        do throws(BrokerError) {
            return try journal.append { FactCodec.encode(plain, as: id, in: topic, at: time, into: &$0) }
        } catch {
            return nil
        }
    }

    /// What ``apply(_:at:)`` does for a new message that waits in its topic's lane.
    private func apply(_ entry: MessageEntry, as id: MessageID, in topic: Topic) {
        nextMessage = id.rawValue + 1
        topic.published += 1
        topic.newest = StreamPosition(time: entry.publishedAt, message: id)
        totals.published += 1
        index(entry, as: id, in: topic)
        for subscription in topic.subscriptions {
            subscription.addFresh()
            markDirty(subscription)
        }
    }
}
