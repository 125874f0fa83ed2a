import Synchronization

/// Counts how many entries of its containers an operation looks at, for the test of the costs: in debug builds, and in
/// the task that asks. A release build counts nothing.
enum Touches {
    final class Counter: Sendable {
        private let sum = Atomic(0)
        var count: Int { sum.load(ordering: .relaxed) }
        func add(_ count: Int) { sum.add(count, ordering: .relaxed) }
    }

    @TaskLocal static var counter: Counter?

    #if DEBUG
        static let areCounted = true
    #else
        static let areCounted = false
    #endif

    @inline(__always) static func note(_ count: Int = 1) {
        #if DEBUG
            counter?.add(count)
        #endif
    }
}
