/// What all connections of a run have in common.
struct Plan {
    /// Makes the names of a run its own.
    let label: String
    let topics: Int
    /// Of each topic; more than one: every one gets every message.
    let subscriptions: Int
    let payload: Payload

    func topic(_ index: Int) -> String { "bench.\(label).\(index)" }
}

enum Role: Equatable {
    /// Makes topics and subscriptions, then is done.
    case declare
    /// Asks how many messages the topics hold.
    case depth
    /// Deletes topics and subscriptions.
    case remove
    case producer
    /// Holds at most `credit` deliveries and acknowledges each.
    case consumer(subscription: Int, credit: Int)
}

/// What one connection says and hears in one protocol: bytes in, bytes out, no socket.
protocol Dialect: AnyObject {
    /// True when publishes may be sent, the consumer is subscribed, or the task of the role is done.
    var isReady: Bool { get }
    /// The answer to ``Role/depth``.
    var depth: Int { get }

    /// Says what opens the connection.
    func open(_ output: inout [UInt8])

    /// Publishes one message. The answer is told by ``LoadConnection/confirm(_:)`` with the same `number`; those of a
    /// connection go up by one.
    func publish(_ label: Payload.Label, topic: Int, _ output: inout [UInt8])

    /// Acts on the whole answers that stand in `input` from `start` on, acknowledges deliveries.
    /// - Returns: Where the first answer begins that is not whole.
    func read(_ input: [UInt8], from start: Int, _ connection: LoadConnection, _ output: inout [UInt8]) throws -> Int
}

enum DialectName: String, CaseIterable {
    case native
    case redisList = "redis-list"
    case redisStream = "redis-stream"
    case beanstalkd
    case jetstream
    case amqpQuorum = "amqp-quorum"
    case amqpClassic = "amqp-classic"

    func make(_ plan: Plan, _ role: Role, index: Int) -> any Dialect {
        switch self {
        case .native: NativeDialect(plan, role)
        case .redisList: RedisListDialect(plan, role)
        case .redisStream: RedisStreamDialect(plan, role, index: index)
        case .beanstalkd: BeanstalkdDialect(plan, role)
        case .jetstream: JetStreamDialect(plan, role)
        case .amqpQuorum: AMQPDialect(plan, role, queueType: "quorum")
        case .amqpClassic: AMQPDialect(plan, role, queueType: "classic")
        }
    }
}
