import BrokerProtocol
import Foundation
import LinuxIO
import Testing

@testable import BrokerClient

@Suite("Connecting") struct ConnectTests {
    @Test("HELLO tells who the broker is and what it takes") func hello() async throws {
        var limits = ProtocolLimits()
        limits.bodyBytesMax = 77
        try await ScriptedBroker.run { [limits] in
            try $0.greet(limits: limits)
            #expect(try $0.nextRequest() == nil)
        } client: { client in
            #expect(client.brokerVersion == "scripted 1.0")
            #expect(client.identity == 7)
            #expect(client.limits.bodyBytesMax == 77)
            #expect(client.url == "unix:///scripted")
        }
    }

    @Test("The broker's refusal of HELLO is thrown as it is") func refused() async throws {
        let refusal = BrokerError(.connectionLimit, "512 connections are the limit")
        try await ScriptedBroker.run {
            try $0.send(.response(try $0.expect().correlation, .refused(refusal)))
        } connecting: { connect in
            await #expect(throws: refusal) { _ = try await connect() }
        }
    }

    @Test("A broker that answers in another version is refused") func version() async throws {
        try await ScriptedBroker.run {
            let hello = Response.hello(
                version: 2, broker: "b", identity: 1, heartbeatMilliseconds: 0, limits: ProtocolLimits())
            try $0.send(.response(try $0.expect().correlation, hello))
            #expect(try $0.nextRequest() == nil)
        } connecting: { connect in
            #expect(await code { _ = try await connect() } == .versionUnsupported)
        }
    }

    @Test("Another kind of server is told from a broker") func notABroker() async throws {
        try await ScriptedBroker.run {
            _ = try $0.expect()
            try $0.send(Array("HTTP/1.1 400 Bad Request\r\n\r\n".utf8))
        } connecting: { connect in
            await #expect {
                _ = try await connect()
            } throws: {
                "\($0)".contains("is it a brokerd?")
            }
        }
    }

    @Test("A connection that is closed instead of answered is lost") func closedAtOnce() async throws {
        try await ScriptedBroker.run { _ in
        } connecting: { connect in
            #expect(await code { _ = try await connect() } == .connectionLost)
        }
    }

    @Test("Nobody there: the error names the URL and what to do", arguments: ["unix:///nonexistent/b.sock"])
    func refusedConnection(url: String) async throws {
        await #expect {
            _ = try await BrokerClient.connect(to: url, client: "test", instance: "test-1")
        } throws: {
            guard let error = $0 as? BrokerError else { return false }
            return error.code == .connectionRefused && error.message.contains(url)
                && error.message.contains("systemctl status brokerd")
        }
    }

    @Test("A URL of another form is refused with the forms there are", arguments: ["", "localhost:7470", "tcp://x"])
    func badURL(url: String) async throws {
        await #expect {
            _ = try await BrokerClient.connect(to: url, client: "test", instance: "test-1")
        } throws: {
            ($0 as? BrokerError)?.code == .settingInvalid && "\($0)".contains("unix:///path")
        }
    }

    @Test("It connects over TCP and over a Unix socket", arguments: [true, false])
    func transports(isTCP: Bool) async throws {
        let path = FileManager.default.temporaryDirectory.path + "/client-\(UUID().uuidString.prefix(8)).sock"
        defer { try? FileManager.default.removeItem(atPath: path) }
        let listener = try Socket.listen(on: isTCP ? .tcp(host: "127.0.0.1", port: 0) : .unix(path: path))
        let url = isTCP ? "tcp://127.0.0.1:\(Socket.localPort(of: listener) ?? 0)" : "unix://\(path)"
        _ = SystemThread(name: "listener") {
            SystemThread.detachCurrent()
            try? Self.greetOne(listener)
        }
        let client = try await BrokerClient.connect(to: url, client: "test", instance: "test-1")
        #expect(client.url == url)
        await client.close()
    }

    @Test("A listener that takes nobody in is given up") func fullBacklog() throws {
        let path = FileManager.default.temporaryDirectory.path + "/client-\(UUID().uuidString.prefix(8)).sock"
        defer { try? FileManager.default.removeItem(atPath: path) }
        let listener = try Socket.listen(on: .unix(path: path), backlog: 0)
        let waiting = try Socket.connect(to: .unix(path: path), timeoutMilliseconds: 1000)
        #expect {
            _ = try Socket.connect(to: .unix(path: path), timeoutMilliseconds: 20)
        } throws: {
            "\($0)".contains("timed out")
        }
        _ = (listener.number, waiting.number)
    }

    private static func greetOne(_ listener: borrowing Descriptor) throws {
        var poller = try Poller()
        try poller.add(listener.number, token: 1, interest: .read)
        _ = try poller.wait(milliseconds: -1)
        guard let connection = try Socket.accept(from: listener) else { return }
        try poller.add(connection.number, token: 2, interest: .read)
        var bytes: [UInt8] = []
        while try connection.read(into: &bytes, capacity: 4096) == nil { _ = try poller.wait(milliseconds: -1) }
        try connection.writeAll(Frame.response(1, ScriptedBroker.hello()).bytes)
    }
}

@Suite("Requests over a connection") struct RequestTests {
    @Test("Answers out of order reach their tasks") func outOfOrder() async throws {
        try await ScriptedBroker.run {
            try $0.greet()
            var asked: [(UInt32, Request)] = []
            for _ in 0..<3 { asked.append(try $0.expect()) }
            for (correlation, request) in asked.reversed() {
                guard case .deadPurge(_, let selection) = request else { continue }
                try $0.send(.response(correlation, .count(selection.ids[0].rawValue)))
            }
            _ = try $0.nextRequest()
        } client: { client in
            try await withThrowingTaskGroup(of: (UInt64, UInt64).self) { group in
                for number in UInt64(1)...3 {
                    group.addTask {
                        (number, try await client.count(.deadPurge(.mail, [MessageID(rawValue: number)])))
                    }
                }
                for try await (asked, answered) in group { #expect(asked == answered) }
            }
        }
    }

    @Test("Twenty thousand pipelined requests are all answered") func pipelining() async throws {
        try await ScriptedBroker.run { broker in
            try broker.greet()
            var answers: [Frame] = []
            for count in 1...20_000 {
                let (correlation, request) = try broker.expect()
                guard case .publish(let messages) = request else { continue }
                let id = UInt64(String(decoding: messages[0].body, as: UTF8.self)) ?? 0
                answers.append(
                    .response(correlation, .published([.success(PublishReceipt(id: MessageID(rawValue: id)))])))
                if answers.count == 40 || count == 20_000 {
                    try broker.send(answers.reversed().flatMap(\.bytes))
                    answers = []
                }
            }
            _ = try broker.nextRequest()
        } client: { client in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for number in UInt64(0)..<20_000 {
                    group.addTask {
                        let message = OutgoingMessage(topic: .orders, body: Array("\(number)".utf8))
                        let receipt = try await client.publish(message)
                        #expect(receipt.id.rawValue == number)
                    }
                }
                try await group.waitForAll()
            }
        }
    }

    @Test("A request larger than the broker's frames is refused here, and the connection lives on")
    func tooLarge() async throws {
        var limits = ProtocolLimits()
        limits.frameBytesMax = 1000
        limits.bodyBytesMax = 600
        try await ScriptedBroker.run { [limits] in
            try $0.greet(limits: limits)
            let (correlation, request) = try $0.expect()
            #expect(request == .ping)
            try $0.send(.response(correlation, .done))
            _ = try $0.nextRequest()
        } client: { client in
            func publish(_ sizes: [Int]) async -> BrokerError.Code? {
                await code {
                    _ = try await client.publish(
                        sizes.map { OutgoingMessage(topic: .orders, body: [UInt8](repeating: 1, count: $0)) })
                }
            }
            #expect(await publish([1001]) == .bodyTooLarge)
            #expect(await publish([980, 600]) == .bodyTooLarge)
            #expect(await publish([600, 600]) == .batchTooLarge)
            #expect(await publish([500, 490]) == .batchTooLarge)
            let leases = (0...100_000).map { Settlement(LeaseID(UInt64($0)), .ack) }
            #expect(await code { _ = try await client.settle(leases) } == .batchTooLarge)
            #expect(
                await code {
                    _ = try await client.perform(
                        .hello(
                            versions: [1], client: "", instance: "", heartbeatMilliseconds: 0))
                } == .unsupported)
            try await client.administer(.ping)
        }
    }

    @Test("A cut in the middle of a frame loses the connection for everybody") func cut() async throws {
        try await ScriptedBroker.run {
            try $0.greet()
            let (correlation, _) = try $0.expect("subscribe")
            try $0.send(.response(correlation, .done), .push(.deliveries([Delivery(1)])))
            let frame = Frame.response(try $0.expect("status").correlation, .status(BrokerStatus())).bytes
            try $0.send(Array(frame.dropLast(5)))
        } client: { client in
            let stream = try await client.deliveries(
                of: .mail, credit: 5, start: .beginning, leaseMilliseconds: nil)
            var deliveries = stream.makeAsyncIterator()
            #expect(try await deliveries.next()?.lease == LeaseID(1))
            #expect(await code { _ = try await client.status() } == .connectionLost)
            #expect(await code { _ = try await deliveries.next() } == .connectionLost)
            #expect(await code { _ = try await client.status() } == .connectionLost)
            let late = try? await client.deliveries(of: .mail, credit: 5, start: .now, leaseMilliseconds: nil)
            #expect(late == nil)
        }
    }

    @Test("The error of a lost connection says what the broker said last") func lastWords() async throws {
        try await ScriptedBroker.run {
            try $0.greet()
            _ = try $0.expect()
            try $0.send(.response(0, .refused(BrokerError(.slowConsumer, "read faster"))))
        } client: { client in
            await #expect {
                _ = try await client.status()
            } throws: {
                ($0 as? BrokerError)?.code == .connectionLost && "\($0)".contains("SLOW_CONSUMER (6): read faster")
            }
        }
    }

    @Test("A broker that falls silent is lost") func silence() async throws {
        try await ScriptedBroker.run {
            try $0.greet(heartbeatMilliseconds: 200)
            while try $0.nextFrame() != nil {}
        } client: { client in
            await #expect {
                _ = try await client.pop([.mail], timeoutMilliseconds: -1)
            } throws: {
                ($0 as? BrokerError)?.code == .connectionLost && "\($0)".contains("nothing for 400 ms")
            }
        }
    }

    @Test("A client with nothing to say sends heartbeats") func heartbeat() async throws {
        let isHeard = Moment()
        try await ScriptedBroker.run { broker in
            try broker.greet(heartbeatMilliseconds: 1500)
            #expect(try broker.nextFrame() == .heartbeat)
            isHeard.happen()
            while try broker.nextFrame() != nil {}
        } client: { _ in
            await isHeard.wait()
        }
    }

    @Test("Lease extensions need no task, and name the leases that were lost") func extensions() async throws {
        try await ScriptedBroker.run {
            try $0.greet()
            let (correlation, request) = try $0.expect()
            #expect(request == .extend([LeaseID(1), LeaseID(2), LeaseID(3)], milliseconds: 5000))
            try $0.send(.response(correlation, .settled([nil, BrokerError(.leaseLost, "late"), nil])))
            _ = try $0.nextRequest()
        } client: { client in
            let lost = await withCheckedContinuation { continuation in
                client.extendLeases([LeaseID(1), LeaseID(2), LeaseID(3)], milliseconds: 5000) {
                    continuation.resume(returning: $0)
                }
            }
            #expect(lost == [LeaseID(2)])
        }
    }

    @Test("A mailbox that is full lets requests in when bytes were written") func backPressure() async throws {
        let mailbox = try Mailbox()
        let frame = [UInt8](repeating: 0, count: Mailbox.unwrittenBytesMax)
        #expect(mailbox.post(.request(frame: frame, nil, unsubscribes: nil)) == nil)
        #expect(!mailbox.hasRoom)
        let waiting = Task { await mailbox.waitForRoom() }
        #expect(mailbox.take().count == 1)
        #expect(!mailbox.hasRoom)
        mailbox.note(unwrittenBytes: frame.count - 1)
        await waiting.value
        #expect(mailbox.hasRoom)
    }

    @Test("A slow broker gets every byte of many large requests") func slowBroker() async throws {
        try await ScriptedBroker.run { broker in
            try broker.greet()
            for _ in 0..<20 {
                let (correlation, request) = try broker.expect()
                guard case .publish(let messages) = request else { continue }
                #expect(messages[0].body.count == 1 << 20)
                try broker.send(
                    .response(correlation, .published([.success(PublishReceipt(id: MessageID(rawValue: 1)))])))
            }
            _ = try broker.nextRequest()
        } client: { client in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<20 {
                    group.addTask {
                        try await client.publish(
                            OutgoingMessage(topic: .orders, body: [UInt8](repeating: 7, count: 1 << 20)))
                    }
                }
                try await group.waitForAll()
            }
        }
    }
}
