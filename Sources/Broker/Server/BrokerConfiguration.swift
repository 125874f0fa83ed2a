public import BrokerProtocol
package import LinuxIO
import SegmentLog

/// Every setting of a broker with its default. Read once, passed down, never global.
public struct BrokerConfiguration: Equatable, Sendable {
    /// Where the log lives.
    public var dataDirectory: String
    /// Where clients connect; none for a broker that is used in-process only.
    package var listen: [Endpoint] = []
    /// Where Redis clients connect.
    package var redisListen: [Endpoint] = []
    /// How long a consumer of a Redis group has a delivery; 0 means until somebody acknowledges or claims it.
    public var redisLeaseMilliseconds: Int64 = 0

    public var connectionsMax = 10_000
    /// The `length` of a frame, 1 KiB to 11 MiB: what one frame commits must fit into one log record of 16 MiB, behind
    /// the definitions that may open a segment.
    public var frameBytesMax = 8 << 20
    public var bodyBytesMax = 1 << 20
    public var headersBytesMax = 16 << 10
    public var topicsMax = 10_000
    /// Of one topic.
    public var subscriptionsMax = 1_000
    /// Subscriptions of topic patterns.
    public var patternsMax = 100
    public var consumersPerConnectionMax = 1_000
    public var leasesPerConnectionMax = 10_000
    /// Publishes of one connection that wait for their confirmation.
    public var unconfirmedMax = 10_000
    /// In all topics.
    public var delayedMax = 1_000_000
    public var schedulesMax = 1_000
    /// Bytes that wait for one client; a connection with more is not read from until it has taken them.
    public var outputBytesMax = 16 << 20
    public var heartbeatMilliseconds: Int64 = 15_000
    /// How long a stop waits for verdicts.
    public var drainMilliseconds: Int64 = 30_000

    public var segmentBytes = 64 << 20
    /// How long the log is kept after nothing in it is needed, so that it can tell where messages went; 0: not at all.
    public var historyMilliseconds: Int64 = 0
    /// What is kept for that at most.
    public var historyBytesMax = 1 << 30
    /// Log space that only settles may use.
    public var reserveBytes = 64 << 20
    /// Publishes are refused while the file system has less.
    public var diskFreeBytesMin = 256 << 20

    /// What a new topic starts with.
    public var defaults = TopicSettings()
    /// Set at the start and at each reload. In the order of the file.
    public var topics: [NamedTopic] = []
    public var subscriptions: [NamedSubscription] = []

    public struct NamedTopic: Equatable, Sendable {
        public var name: TopicName
        public var settings: TopicSettings
    }

    public struct NamedSubscription: Equatable, Sendable {
        public var name: SubscriptionName
        public var settings: DeliverySettings
    }

    public init(dataDirectory: String) { self.dataDirectory = dataDirectory }

    var stateLimits: StateLimits {
        var limits = StateLimits(
            bodyBytesMax: bodyBytesMax, headersBytesMax: headersBytesMax, topicsMax: topicsMax,
            subscriptionsMax: subscriptionsMax, consumersPerConnectionMax: consumersPerConnectionMax,
            leasesPerConnectionMax: leasesPerConnectionMax, delayedMax: delayedMax, defaults: defaults)
        limits.schedulesMax = schedulesMax
        limits.patternsMax = patternsMax
        limits.groupLeaseMilliseconds = redisLeaseMilliseconds
        limits.replyBytesMax = outputBytesMax
        limits.frameBytesMax = frameBytesMax
        limits.historyMilliseconds = historyMilliseconds
        limits.historyBytesMax = UInt64(historyBytesMax)
        return limits
    }

    var protocolLimits: ProtocolLimits {
        var limits = ProtocolLimits()
        limits.frameBytesMax = UInt32(frameBytesMax)
        limits.bodyBytesMax = UInt32(bodyBytesMax)
        limits.headersBytesMax = UInt32(headersBytesMax)
        limits.leasesPerConnectionMax = UInt32(leasesPerConnectionMax)
        return limits
    }

    var logOptions: LogOptions {
        LogOptions(segmentBytes: segmentBytes, reserveBytes: reserveBytes, freeBytesMin: diskFreeBytesMin)
    }
}
