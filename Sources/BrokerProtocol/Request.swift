/// What a client asks. The numbers on the wire stand in RequestCodec.swift.
public enum Request: Hashable, Sendable {
    /// First on every connection. `versions` are the protocol versions the client speaks.
    case hello(versions: [UInt8], client: String, instance: String, heartbeatMilliseconds: UInt32)
    case ping
    /// One result per message.
    case publish([OutgoingMessage])
    /// All or nothing: refused as a whole when one lease is lost or one publish is refused.
    case commit(publishes: [OutgoingMessage], settlements: [Settlement])
    /// Asks for deliveries; at most `credit` are unsettled at a time. Makes the subscription when it is new.
    /// - Parameter weight: 1 to 100; among several consumers, how much of the deliveries it gets.
    case subscribe(
        consumer: ConsumerID, subscription: SubscriptionName, credit: UInt32, start: StartPosition,
        leaseMilliseconds: Int64?, weight: UInt8 = 1)
    /// Sets the credit of a consumer; 0 pauses it.
    case credit(consumer: ConsumerID, credit: UInt32)
    /// Ends a consumer; its leases stay until they are settled or run out.
    case unsubscribe(consumer: ConsumerID)
    /// One result per settlement.
    case settle([Settlement])
    /// Sets the deadline of each lease to now + `milliseconds`; one result per lease.
    case extend([LeaseID], milliseconds: Int64)
    /// The first message of the first subscription that has one, waiting up to the timeout (-1: for ever).
    /// With `acknowledges` the message is settled before it is handed over: a consumer that dies loses it.
    case pop([SubscriptionName], timeoutMilliseconds: Int64, acknowledges: Bool)
    /// Up to so many messages of the first subscription that has one.
    case fetch(Fetch)

    case topicCreate(TopicName, TopicSettings)
    case topicSet(TopicName, TopicSettings)
    case topicDelete(TopicName)
    case topicList
    /// The filter: pairs of header and value, all of which a message must have.
    case subscriptionCreate(SubscriptionName, StartPosition, filter: [Header] = [])
    /// Nil: the subscription follows its topic again.
    /// The subscription owes again what the topic holds from there on; answers how many messages.
    case rewind(SubscriptionName, StartPosition)
    case subscriptionSet(SubscriptionName, DeliverySettings?)
    case subscriptionDelete(SubscriptionName)
    case status
    /// Messages of a topic in publish order from `from` on, without delivering them.
    case peek(TopicName, from: MessageID, limit: UInt32)
    case deadList(SubscriptionName, from: MessageID, limit: UInt32)
    /// With a rate (messages in a second) it is a job that goes on by itself, answered with that job.
    case deadRedrive(SubscriptionName, DeadSelection, rate: UInt32 = 0)
    case deadPurge(SubscriptionName, DeadSelection)
    case deadJobs
    case deadJobCancel(UInt64)
    case browse(SubscriptionName, BrowseQuery)
    /// One result per id.
    case delete(SubscriptionName, [MessageID])

    /// One result per id.
    case cancel([MessageID])
    case reschedule([MessageID], WallTime)
    case scheduleSet(Schedule)
    case scheduleDelete(ScheduleName)
    case scheduleList
    case schedulePause(ScheduleName)
    case scheduleResume(ScheduleName)
    /// Nil: until it is resumed.
    case pause(PauseTarget, PauseScope, until: WallTime?)
    case resume(PauseTarget, PauseScope)
    /// Ordering keys that a message holds or parks, by their text, from the first one behind `after` on.
    case keyList(SubscriptionName, after: String, limit: UInt32, parkedOnly: Bool)
    /// An empty list of keys means all that are parked.
    case keyRelease(SubscriptionName, [String])
    /// Where messages went.
    case history(HistoryQuery, limit: UInt32)
}

/// What a broker answers. A refused request is answered with `.refused`.
public enum Response: Hashable, Sendable {
    case refused(BrokerError)
    case hello(version: UInt8, broker: String, identity: UInt64, heartbeatMilliseconds: UInt32, limits: ProtocolLimits)
    case done
    case published([Result<PublishReceipt, BrokerError>])
    case committed([PublishReceipt])
    /// One entry per lease: nil means settled or extended.
    case settled([BrokerError?])
    /// Nil: the timeout passed.
    case popped(Delivery?)
    /// Of one subscription, at least one; none when the wait is over.
    case fetched([Delivery])
    case topics([TopicStatus])
    case status(BrokerStatus)
    case messages([Delivery])
    case deadLetters([DeadLetter])
    /// How many messages an operation moved or removed.
    case count(UInt64)
    case schedules([ScheduleStatus])
    case keys([KeyStatus])
    case history(MessageHistory)
    case browsed(BrowsePage)
    case deadJobs([DeadJob])
}

/// The limits that a client must keep, told in HELLO.
public struct ProtocolLimits: Hashable, Sendable {
    /// Payload bytes of one frame.
    public var frameBytesMax: UInt32 = 8 << 20
    public var bodyBytesMax: UInt32 = 1 << 20
    public var headersBytesMax: UInt32 = 16 << 10
    public var leasesPerConnectionMax: UInt32 = 10_000
    public init() {}
}
