package import LinuxIO

/// The listeners that systemd opened for us (socket activation); they stay open while the daemon restarts.
package enum InheritedSockets {
    package enum Failure: Error, Equatable, CustomStringConvertible {
        /// `LISTEN_FDS` or its companions cannot be read.
        case unreadable(code: Int32)
        /// The passed descriptor is no listening stream socket.
        case notListening(name: String, number: Int32)
        case system(SystemError)

        package var description: String {
            switch self {
            case .unreadable(let code): "the sockets from systemd cannot be taken over (errno \(code))"
            case .notListening(let name, let number):
                "descriptor \(number) (\(name)) from systemd is no listening stream socket; use ListenStream="
            case .system(let error): "a socket from systemd cannot be used: \(error)"
            }
        }
    }

    /// Hands every inherited listener, non-blocking and close-on-exec, to `take` with its `FileDescriptorName=`.
    /// Call once, before other threads start: it also removes `LISTEN_PID`, `LISTEN_FDS` and `LISTEN_FDNAMES`.
    /// - Returns: How many there were; 0 without socket activation.
    @discardableResult
    package static func claim(
        _ take: (_ name: String, _ listener: consuming Descriptor) -> Void
    ) throws(Failure) -> Int {
        let sockets = try Systemd.inheritedDescriptors()
        for (name, number) in sockets where !Systemd.isStreamListener(number) {
            throw Failure.notListening(name: name, number: number)
        }
        for (name, number) in sockets {
            let listener = Descriptor(owning: number)
            do throws(SystemError) {
                try listener.setNonBlocking()
                try listener.setCloseOnExec()
            } catch {
                throw .system(error)
            }
            take(name, listener)
        }
        return sockets.count
    }
}
