import LinuxIO

/// What one run does.
struct Workload {
    var dialect = DialectName.native
    var endpoint = Endpoint.tcp(host: "127.0.0.1", port: 7470)
    var label = "run"
    var producers = 1
    /// Of each subscription.
    var consumers = 0
    /// Unconfirmed publishes of a producer, and deliveries that a consumer holds.
    var window = 1
    var topics = 1
    var subscriptions = 1
    var bodyBytes = 256
    /// Publishes a second over all producers, on schedule whatever the answers do; nil: as fast as the window lets.
    var rate: Int?
    /// Measured time; a fifth of it warms up before.
    var seconds = 2.0
    /// Publishes in all, or, without producers, deliveries that are waited for; then `seconds` is only the most that
    /// it may take, and nothing warms up.
    var messages: Int?
    /// Leaves what was published where it is.
    var keeps = false
    /// False for a server that only answers: it has nothing to declare, count or delete.
    var isStored = true
    var idleConnections = 0
    var disturbance = Disturbance.none

    var plan: Plan {
        Plan(label: label, topics: topics, subscriptions: subscriptions, payload: Payload(bytes: bodyBytes))
    }

    /// What else happens to the broker meanwhile.
    enum Disturbance: Equatable {
        case none
        /// A consumer with a large credit and a backlog that takes 4 KiB every 10 ms.
        case slowConsumer
        /// A producer of one body of this size each second.
        case largeBody(bytes: Int)
    }
}

/// What a run has shown, one line of JSON.
struct RunResult: Codable {
    struct Latencies: Codable {
        let count: UInt64
        let p50: Double
        let p99: Double
        let p999: Double

        init(_ histogram: LatencyHistogram) {
            count = histogram.total
            p50 = histogram.quantile(0.5)
            p99 = histogram.quantile(0.99)
            p999 = histogram.quantile(0.999)
        }
    }

    /// In the measured time: confirmed publishes, or deliveries when there are consumers (of one subscription).
    var messages = 0
    var seconds = 0.0
    var perSecond = 0.0
    var serverCPUSeconds = 0.0
    var serverCPUPerMillion = 0.0
    var serverPeakMiB = 0.0
    /// Of one core.
    var generatorCPUShare = 0.0
    /// Microseconds from when a publish was due to its confirmation, and to its delivery.
    var confirm: Latencies?
    var delivery: Latencies?
    /// In the whole run, warm-up and all.
    var published = 0
    var confirmed = 0
    var delivered = 0
    var duplicates = 0
    var damaged = 0
    /// Published and never delivered, over all subscriptions.
    var missing = 0
    /// What the server says it holds at the end; nil when there were consumers.
    var held: Int?
    /// Confirmations of the slowest producer as a share of the median's.
    var slowestShare: Double?
    /// From when the run began to connect.
    var firstDeliverySeconds: Double?
    /// What a connection that does nothing costs the server.
    var idleKiB: Double?
}
