import DaemonKit
import LinuxIO
import Testing

/// Each test runs in a process of its own, for it changes environment, descriptors and signals.
@Suite("Service and manager")
struct ServiceProcessTests {
    @Test("Without a notification socket nothing happens; with one, each message arrives in systemd's words")
    func notifications() async {
        await #expect(processExitsWith: .success) {
            let silent = ServiceNotifier()
            silent.ready(status: "nobody hears")
            let socket = try NotifySocket()
            defer { socket.remove() }
            let notifier = ServiceNotifier()
            notifier.ready(status: "serving\nREADY=0")
            #expect(socket.receive() == "READY=1\nSTATUS=serving READY=0")
            notifier.status("3 ready, 1 leased")
            #expect(socket.receive() == "STATUS=3 ready, 1 leased")
            notifier.extendTimeout(microseconds: 5_000_000)
            #expect(socket.receive() == "EXTEND_TIMEOUT_USEC=5000000")
            let before = Clocks.monotonicMicroseconds()
            notifier.reloading()
            let words = socket.receive().split(separator: "\n")
            #expect(words.first == "RELOADING=1")
            let stamp = try #require(words.last?.split(separator: "=").last.flatMap { Int64($0) })
            #expect((before...Clocks.monotonicMicroseconds()).contains(stamp))
            notifier.watchdogPing()
            #expect(socket.receive() == "WATCHDOG=1")
            notifier.stopping(status: "draining")
            #expect(socket.receive() == "STOPPING=1\nSTATUS=draining")
        }
    }

    @Test("The watchdog interval is read only when it is meant for this process")
    func watchdogInterval() async {
        await #expect(processExitsWith: .success) {
            #expect(ServiceNotifier.watchdogMilliseconds() == nil)
            TestProcess.setEnvironment("WATCHDOG_USEC", "30000000")
            #expect(ServiceNotifier.watchdogMilliseconds() == 30_000)
            TestProcess.setEnvironment("WATCHDOG_PID", "1")
            #expect(ServiceNotifier.watchdogMilliseconds() == nil)
            TestProcess.setEnvironment("WATCHDOG_PID", "\(Process.identifier)")
            #expect(ServiceNotifier.watchdogMilliseconds() == 30_000)
        }
    }

    @Test("Signals reach the reader although the main thread of the process sleeps with none blocked")
    func signals() async {
        await #expect(processExitsWith: .success) {
            let reader = try SignalReader()
            #expect(reader.next() == nil)
            for signal in [SignalReader.Signal.hangup, .terminate, .interrupt] {
                TestProcess.sendToSelf(signal.rawValue)
                var poller = try Poller()
                try poller.add(reader.number, token: 1, interest: .read)
                #expect(try poller.wait(milliseconds: 10_000).count == 1)
                #expect(reader.next() == signal)
                #expect(reader.next() == nil)
            }
            #expect(throws: SystemError.self) { try SignalReader() }
        }
    }

    @Test("Without socket activation there are no sockets; damaged variables are refused")
    func noSockets() async {
        await #expect(processExitsWith: .success) {
            let count = try InheritedSockets.claim { _, _ in }
            #expect(count == 0)
            TestProcess.setEnvironment("LISTEN_PID", "\(Process.identifier)")
            TestProcess.setEnvironment("LISTEN_FDS", "many")
            #expect(throws: InheritedSockets.Failure.self) { try InheritedSockets.claim { _, _ in } }
        }
    }
}
