import BrokerProtocol
import DaemonKit
import LinuxIO
import SegmentLog

/// Why a command ends without having done its work: for the shell a code, for the person a sentence.
struct Failure: Error, Equatable {
    let code: ExitCode
    let message: String

    init(_ code: ExitCode, _ message: String) {
        self.code = code
        self.message = message
    }

    /// - Parameter help: The command line that shows how it is used.
    static func usage(_ message: String, help: String) -> Failure {
        Failure(.usage, "\(message)\nTry `\(help)`.")
    }

    init(_ error: any Error) {
        switch error {
        case let failure as Failure: self = failure
        case let error as BrokerError: self.init(Self.exitCode(of: error.code), error.description)
        case let error as LogError: self.init(Self.exitCode(of: error), error.description)
        case let error as SystemError: self.init(Self.exitCode(of: error), error.description)
        default: self.init(.software, "\(error)")
        }
    }

    static func exitCode(of code: BrokerError.Code) -> ExitCode {
        switch code {
        case .connectionLost, .connectionRefused, .heartbeatMissed, .versionUnsupported: .unavailable
        case .slowConsumer, .connectionLimit, .shuttingDown, .topicLimit, .subscriptionLimit, .leaseLimit,
            .unconfirmedLimit, .delayedLimit, .consumerLimit, .topicFull, .diskFull, .messageLeased, .topicPaused:
            .tempFail
        case .nameInvalid, .topicUnknown, .subscriptionUnknown, .messageUnknown, .settingInvalid, .topicExists,
            .subscriptionExists,
            .bodyTooLarge, .headersTooLarge, .batchTooLarge, .frameTooLarge, .recordTooLarge, .leaseLost:
            .data
        case .unauthorized: .noPermission
        case .malformedFrame, .helloExpected, .consumerUnknown, .consumerExists, .unsupported, .responseMalformed,
            .closed:
            .software
        }
    }

    private static func exitCode(of error: LogError) -> ExitCode {
        switch error {
        case .damaged, .foreign, .missingSegments, .versionUnknown, .segmentBytesDiffer, .noRecord, .recordTooLarge:
            .data
        case .locked: .tempFail
        case .notEmpty: .cantCreate
        case .full: .ioError
        case .closed: .software
        case .system(let error): exitCode(of: error)
        }
    }

    private static func exitCode(of error: SystemError) -> ExitCode {
        if error.isPermissionDenied { return .noPermission }
        return error.isNotFound ? .noInput : .ioError
    }
}
