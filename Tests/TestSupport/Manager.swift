import Glibc
import LinuxIO

/// The other end of `NOTIFY_SOCKET`: keeps what a service says, in order.
package final class Manager: Sendable {
    package struct Message: Sendable {
        package let text: String
        /// Monotonic milliseconds.
        package let at: Int64

        /// The value of one assignment.
        package subscript(name: String) -> String? {
            text.split(separator: "\n").first { $0.hasPrefix(name + "=") }.map { String($0.dropFirst(name.count + 1)) }
        }
    }

    private struct State {
        var messages: [Message] = []
        var hasEnded = false
    }

    package let path: String
    private let state = Monitor(State())
    private let end: Waker

    package init(path: String) throws {
        self.path = path
        end = try Waker()
        let type = Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue)
        let number = socket(AF_UNIX, type, 0)
        let family = UInt16(AF_UNIX)
        let address = [UInt8(family & 255), UInt8(family >> 8)] + Array(path.utf8) + [0]
        let code = unsafe address.withUnsafeBytes { bytes in
            unsafe bind(number, bytes.assumingMemoryBound(to: sockaddr.self).baseAddress, socklen_t(bytes.count))
        }
        guard code == 0 else { throw SystemError(call: "bind", subject: path, code: errno) }
        let (state, end) = (state, end)
        _ = SystemThread(name: "manager") {
            SystemThread.detachCurrent()
            try? Self.listen(Descriptor(owning: number), until: end, state)
        }
    }

    private static func listen(_ socket: consuming Descriptor, until end: Waker, _ state: Monitor<State>) throws {
        var poller = try Poller()
        try poller.add(socket.number, token: 1, interest: .read)
        try poller.add(end.number, token: 2, interest: .read)
        while true {
            let events = try poller.wait(milliseconds: -1)
            while true {
                var bytes: [UInt8] = []
                guard let count = try socket.read(into: &bytes, capacity: 4096), count > 0 else { break }
                let message = Message(
                    text: String(decoding: bytes, as: UTF8.self), at: Clocks.monotonicMilliseconds())
                state.update { $0.messages.append(message) }
            }
            if events.contains(where: { $0.token == 2 }) {
                state.update { $0.hasEnded = true }
                return
            }
        }
    }

    deinit { end.wake() }

    package var messages: [Message] { state.with { $0.messages } }

    /// The process has ended: what it said is read, then nobody waits for more.
    package func noteEnd() { end.wake() }

    /// Everything that a service which has ended said.
    package func all() async throws -> [Message] {
        try await blocking { [state] in
            let messages = state.wait(milliseconds: Late.milliseconds) { $0.hasEnded ? $0.messages : nil }
            guard let messages else { throw Late("the end of the service") }
            return messages
        }
    }

    /// Blocks until the condition has a value for the messages so far.
    package func waitUntil<Value>(_ what: String, _ condition: ([Message]) -> Value?) throws -> Value {
        let value = state.wait(milliseconds: Late.milliseconds) { state -> Value?? in
            if let value = condition(state.messages) { return .some(value) }
            return state.hasEnded ? .some(nil) : nil
        }
        guard let value, let value else {
            throw Late("\(what); the service said:\n\(messages.map(\.text).joined(separator: "\n"))")
        }
        return value
    }

    /// Waits for a message, from the given number on, that has the text.
    @discardableResult
    package func message(with part: String, from start: Int = 0) async throws -> Message {
        try await blocking {
            try self.waitUntil(part) { messages in messages.dropFirst(start).first { $0.text.contains(part) } }
        }
    }

    /// Waits for the `count`th message with the text.
    package func messages(_ count: Int, with part: String) async throws -> [Message] {
        try await blocking {
            try self.waitUntil("\(count) messages with \(part)") { messages in
                let found = messages.filter { $0.text.contains(part) }
                return found.count >= count ? Array(found.prefix(count)) : nil
            }
        }
    }
}
