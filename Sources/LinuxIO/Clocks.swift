private import Glibc

/// Where time comes in. Everything below the entry points takes time as a value.
package enum Clocks {
    private static func nanoseconds(_ clock: clockid_t) -> Int64 {
        var time = timespec()
        unsafe clock_gettime(clock, &time)
        return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }

    /// Milliseconds since the machine started, never stepped. For leases and timeouts.
    package static func monotonicMilliseconds() -> Int64 { nanoseconds(CLOCK_MONOTONIC) / 1_000_000 }
    package static func monotonicMicroseconds() -> Int64 { nanoseconds(CLOCK_MONOTONIC) / 1_000 }
    /// Milliseconds since 1970-01-01 UTC. For deliver-at and expiry.
    package static func wallMilliseconds() -> Int64 { nanoseconds(CLOCK_REALTIME) / 1_000_000 }
    /// CPU time of the process.
    package static func processMicroseconds() -> Int64 { nanoseconds(CLOCK_PROCESS_CPUTIME_ID) / 1_000 }
}

/// Random bits from the kernel, for seeds and identities.
package enum Entropy {
    package static func word() -> UInt64 {
        var generator = SystemRandomNumberGenerator()
        return generator.next()
    }
}
