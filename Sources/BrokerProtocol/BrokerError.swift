/// What a broker refuses with: a stable code, and a sentence for the person who can act.
public struct BrokerError: Error, Hashable, Sendable, CustomStringConvertible {
    /// Stable numbers of the wire. 1–99 end the connection; the others refuse one request or one item of it.
    public enum Code: UInt16, Sendable, CaseIterable {
        case malformedFrame = 1
        case frameTooLarge = 2
        case versionUnsupported = 3
        case helloExpected = 4
        case heartbeatMissed = 5
        case slowConsumer = 6
        case connectionLimit = 7
        case shuttingDown = 8

        case nameInvalid = 100
        case topicUnknown = 101
        case subscriptionUnknown = 102
        case consumerUnknown = 103
        case consumerExists = 104
        case leaseLost = 105
        case messageUnknown = 106
        case settingInvalid = 107
        case unsupported = 108
        case unauthorized = 109
        case topicExists = 110
        case messageLeased = 111
        case subscriptionExists = 112

        case bodyTooLarge = 200
        case headersTooLarge = 201
        case topicLimit = 202
        case subscriptionLimit = 203
        case leaseLimit = 204
        case unconfirmedLimit = 205
        case delayedLimit = 206
        case consumerLimit = 207
        case batchTooLarge = 208
        case topicFull = 209
        case diskFull = 210
        case recordTooLarge = 211
        case topicPaused = 212

        /// The client's own findings; never sent by a broker.
        case connectionLost = 900
        case connectionRefused = 901
        case responseMalformed = 902
        case closed = 903

        /// Errors that end the connection.
        public var endsConnection: Bool { rawValue < 100 }
        /// The name in documents and logs, for instance `LEASE_LOST`.
        public var name: String {
            String(
                String(describing: self).flatMap { letter in
                    letter.isUppercase ? ["_", letter] : Array(String(letter).uppercased())
                })
        }
    }

    public let code: Code
    public let message: String

    public init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    /// The same, said of one item of several.
    package func about(_ item: String) -> BrokerError { BrokerError(code, "\(item): \(message)") }

    public var description: String { "\(code.name) (\(code.rawValue)): \(message)" }
}
