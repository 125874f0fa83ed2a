private import CLinux
private import Glibc

/// Waits until registered descriptors are ready (epoll, level-triggered).
package struct Poller: ~Copyable {
    package struct Interest: OptionSet, Sendable {
        package let rawValue: UInt32
        package init(rawValue: UInt32) { self.rawValue = rawValue }
        package init(read: Bool, write: Bool) {
            rawValue = (read ? EPOLLIN.rawValue : 0) | (write ? EPOLLOUT.rawValue : 0)
        }
        package static let read = Interest(rawValue: EPOLLIN.rawValue)
        package static let write = Interest(rawValue: EPOLLOUT.rawValue)
    }

    package struct Event: Sendable {
        package let token: UInt64
        package let isReadable: Bool
        package let isWritable: Bool
    }

    private let descriptor: Descriptor
    private var tokens = [UInt64](repeating: 0, count: 256)
    private var masks = [UInt32](repeating: 0, count: 256)

    package init() throws(SystemError) {
        descriptor = Descriptor(owning: try check("epoll_create1") { clinux_epoll_create() })
    }

    /// - Parameter token: Comes back with each event; a caller that reuses slots puts a generation into it.
    package func add(_ number: Int32, token: UInt64, interest: Interest) throws(SystemError) {
        let epoll = descriptor.number
        try check("epoll_ctl add") { clinux_epoll_control(epoll, EPOLL_CTL_ADD, number, interest.rawValue, token) }
    }

    package func modify(_ number: Int32, token: UInt64, interest: Interest) throws(SystemError) {
        let epoll = descriptor.number
        try check("epoll_ctl modify") { clinux_epoll_control(epoll, EPOLL_CTL_MOD, number, interest.rawValue, token) }
    }

    package func remove(_ number: Int32) {
        _ = clinux_epoll_control(descriptor.number, EPOLL_CTL_DEL, number, 0, 0)
    }

    /// Waits at most `milliseconds` (-1: for ever). An interrupting signal ends the wait with no events.
    /// Errors and hang-ups count as readable and writable: the next read or write tells what happened.
    package mutating func wait(milliseconds: Int32) throws(SystemError) -> [Event] {
        var events: [Event] = []
        try wait(milliseconds: milliseconds, &events)
        return events
    }

    /// The same into an array that many waits share.
    /// - Parameter events: Are replaced.
    package mutating func wait(milliseconds: Int32, _ events: inout [Event]) throws(SystemError) {
        events.removeAll(keepingCapacity: true)
        let count = unsafe clinux_epoll_wait(descriptor.number, &tokens, &masks, 256, milliseconds)
        if count < 0 {
            let code = errno
            if code == EINTR { return }
            throw SystemError(call: "epoll_wait", subject: "", code: code)
        }
        let broken = EPOLLERR.rawValue | EPOLLHUP.rawValue
        for index in 0..<Int(count) {
            events.append(
                Event(
                    token: tokens[index],
                    isReadable: masks[index] & (EPOLLIN.rawValue | broken) != 0,
                    isWritable: masks[index] & (EPOLLOUT.rawValue | broken) != 0))
        }
    }
}

/// Wakes a ``Poller`` from any thread (eventfd).
package final class Waker: Sendable {
    private let descriptor: Descriptor

    package init() throws(SystemError) {
        descriptor = Descriptor(owning: try check("eventfd") { clinux_eventfd() })
    }

    package var number: Int32 { descriptor.number }

    package func wake() { _ = eventfd_write(descriptor.number, 1) }

    /// Forgets earlier wakes.
    package func clear() {
        var count: eventfd_t = 0
        _ = unsafe eventfd_read(descriptor.number, &count)
    }
}
