private import LinuxIO

/// How a program of this project ends; the numbers are those of `sysexits.h`, which systemd shows by name.
package enum ExitCode: Int32, Sendable {
    case success = 0
    /// The command line cannot be read.
    case usage = 64
    /// Input of the user, or data on disk, is damaged or has the wrong form.
    case data = 65
    /// An input file is missing or cannot be read.
    case noInput = 66
    /// The broker, or a service that the program needs, does not answer.
    case unavailable = 69
    /// A bug of ours.
    case software = 70
    /// The system refused something that it normally grants, such as a socket or a thread.
    case osError = 71
    /// A file or directory cannot be made.
    case cantCreate = 73
    /// A write or sync failed; what was not confirmed may be lost.
    case ioError = 74
    /// Trying again later can help, such as after a timeout.
    case tempFail = 75
    case noPermission = 77
    /// A configuration file has an unknown key or a bad value.
    case configuration = 78

    package func exit() -> Never { Process.exit(rawValue) }
}
