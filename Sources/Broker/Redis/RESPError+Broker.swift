import BrokerProtocol

extension RESPError {
    /// The broker's refusal with the code that Redis clients know for its kind.
    init(_ error: BrokerError) {
        let code =
            switch error.code {
            case .topicFull: "OOM"
            case .diskFull: "MISCONF"
            // Clients take it for a server that is not there, and try again.
            case .shuttingDown: "LOADING"
            default: "ERR"
            }
        self.init(
            error.code == .leaseLost ? "LEASE_LOST \(error.message)" : "\(code) \(error.code.name): \(error.message)")
    }

    static let syntax: RESPError = "ERR syntax error"
    static let notAnInteger: RESPError = "ERR value is not an integer or out of range"
    static let notPositive: RESPError = "ERR value is out of range, must be positive"
    static let invalidStreamID: RESPError = "ERR Invalid stream ID specified as stream command argument"

    static func wrongArity(_ name: String) -> RESPError {
        RESPError("ERR wrong number of arguments for '\(name)' command")
    }

    /// The bytes of a client inside a text.
    init(_ before: String, _ bytes: some Collection<UInt8>, _ after: String = "") {
        self.init(bytes: Array(before.utf8) + bytes + Array(after.utf8))
    }
}
