private import Glibc

extension Clocks {
    /// Lets other threads run.
    package static func yield() { sched_yield() }
}
