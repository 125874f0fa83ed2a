import BrokerProtocol
import Foundation
import LinuxIO
import TestSupport
import Testing

extension ProcessTests {
    /// Each start that must fail says why, where, and what to do, and ends with a code of its own.
    @Suite("Refused starts", .serialized)
    struct StartErrorTests {
        /// Runs the program to its end.
        private func run(
            _ arguments: [String], wrapper: [String] = []
        ) async throws -> (ending: ChildProcess.Ending, text: String) {
            let child = try ChildProcess(wrapper + [ServiceHouse.program] + arguments)
            return (try await child.end(), child.text)
        }

        @Test(
            "A command line that cannot be read: 64",
            arguments: [
                (["--colour"], "unknown option --colour"),
                (["--listen"], "--listen needs a value"),
                (["--listen", "localhost:7470"], "--listen localhost:7470: expected tcp://HOST:PORT or unix:///PATH"),
                (["--listen", "tcp://127.0.0.1:99999"], "expected tcp://HOST:PORT or unix:///PATH"),
                (["--listen", "unix:///" + String(repeating: "x", count: 107)], "expected tcp://HOST:PORT"),
                (["now"], "unexpected argument now"),
            ])
        func usage(arguments: [String], text: String) async throws {
            let result = try await run(arguments)
            #expect(result.ending == .exited(64))
            #expect(result.text.contains(text) && result.text.contains("brokerd: "), "\(result.text)")
        }

        @Test(
            "A configuration that cannot be right: 78, with file and line; --check says the same and starts nothing",
            arguments: [
                ("\nlsten = tcp://127.0.0.1:1", ":9: unknown key lsten in [broker]; known keys: body_max"),
                ("body_max = huge", ":8: body_max = huge: expected a size from 1 to"),
                ("connections_max = 0", ":8: connections_max = 0: expected"),
                ("heartbeat = 5", ":8: heartbeat = 5: expected a time span from 100ms"),
                ("listen = here", ":8: listen = here: expected tcp://HOST:PORT or unix:///PATH"),
                ("[topics]\nx = 1", ":9: unknown section [topics]; known sections: [broker]"),
                ("[topic a]\nattempts_max = 0", ":9: attempts_max is 1 to 1000"),
                ("[topic a@b]\nattempts_max = 1", ":9: unknown section"),
                ("[topic a]\nlease = 1h\nlease_total = 1m", ":10: lease_total is lease to 7d"),
                ("body_max = 400K\nheaders_max = 200K", ":9: body_max and headers_max must fit into frame_max"),
            ])
        func configuration(settings: String, text: String) async throws {
            let house = try ServiceHouse(settings)
            for check in [[], ["--check"]] {
                let result = try await run(["--config", house.path + "/brokerd.conf"] + check)
                #expect(result.ending == .exited(78))
                #expect(result.text.contains(house.path + "/brokerd.conf" + text), "\(result.text)")
            }
            #expect(!Directory.exists(house.data))
        }

        @Test("A drop-in's error names the drop-in")
        func dropIn() async throws {
            let house = try ServiceHouse()
            try house.directory.write("brokerd.conf.d/10-site.conf", "[broker]\nbody_max = 1X\n")
            let result = try await run(["--config", house.path + "/brokerd.conf"])
            #expect(result.ending == .exited(78))
            #expect(result.text.contains("brokerd.conf.d/10-site.conf:2: body_max = 1X"))
        }

        @Test("A --config file that is missing: 78; --check of a good one: 0")
        func missingFile() async throws {
            let house = try ServiceHouse()
            let result = try await run(["--config", house.path + "/nowhere.conf"])
            #expect(result.ending == .exited(78))
            #expect(result.text.contains("\(house.path)/nowhere.conf: ") && result.text.contains("No such file"))
            #expect(try await run(["--config", house.path + "/brokerd.conf", "--check"]).ending == .exited(0))
            #expect(try await run(["--help"]).ending == .exited(0))
            #expect(try await run(["--version"]).ending == .exited(0))
        }

        @Test("A port or a path that is in use: 69; a running daemon is not hurt")
        func inUse() async throws {
            let house = try ServiceHouse()
            let other = try ServiceHouse()
            let service = try await house.start(listen: ["tcp://127.0.0.1:0", "unix://\(house.socket)"])
            for url in [try await service.tcpURL(), service.url] {
                let second = try other.spawn(listen: [url])
                #expect(try await second.child.end() == .exited(69))
                #expect(second.child.text.contains("\(url) is in use: is another brokerd running?"))
            }
            try await service.connect().publish(OutgoingMessage(topic: TopicName("a")!, body: [1]))
            #expect(try await service.stop() == .exited(0))
        }

        @Test("A path to listen on that is no socket is refused and left alone: 73")
        func notASocket() async throws {
            let house = try ServiceHouse()
            try house.directory.write("orders.txt", "worth keeping")
            let service = try house.spawn(listen: ["unix://\(house.path)/orders.txt"])
            #expect(try await service.child.end() == .exited(73))
            #expect(service.child.text.contains("/orders.txt exists and is no socket"))
            #expect(try String(contentsOfFile: house.path + "/orders.txt", encoding: .utf8) == "worth keeping")
        }

        @Test("An address that this machine does not have: 71")
        func foreignAddress() async throws {
            let house = try ServiceHouse()
            let service = try house.spawn(listen: ["tcp://192.0.2.1:7470"])
            #expect(try await service.child.end() == .exited(71))
            #expect(service.child.text.contains("cannot listen on tcp://192.0.2.1:7470: "))
        }

        @Test("A second broker on the same directory: 75; the path that it opened is gone again")
        func secondBroker() async throws {
            let house = try ServiceHouse()
            let service = try await house.start()
            let second = try house.spawn(listen: ["unix://\(house.path)/second.sock"])
            #expect(try await second.child.end() == .exited(75))
            #expect(second.child.text.contains("\(house.data) is in use by another process"))
            #expect(!Directory.exists(house.path + "/second.sock"))
            try await service.connect().publish(OutgoingMessage(topic: TopicName("a")!, body: [1]))
            #expect(try await service.stop() == .exited(0))
        }

        @Test("Another segment_size than the log was made with: 78, with both numbers")
        func segmentSize() async throws {
            let house = try ServiceHouse()
            #expect(try await house.start().stop() == .exited(0))
            try house.configure("segment_size = 2M")
            let service = try house.spawn()
            #expect(try await service.child.end() == .exited(78))
            #expect(service.child.text.contains("segments of 1048576 bytes, the setting says 2097152"))
        }

        @Test("A damaged log: 65, with file, offset, and the command that inspects it; nothing is changed")
        func damaged() async throws {
            let house = try ServiceHouse()
            let first = try await house.start()
            let client = try await first.connect()
            for number in 1...3 {
                try await client.publish(
                    OutgoingMessage(topic: TopicName("a")!, body: [UInt8](repeating: UInt8(number), count: 5000)))
            }
            await client.close()
            #expect(try await first.stop() == .exited(0))
            let path = house.data + "/segment-000000000000"
            let before = try Data(contentsOf: URL(fileURLWithPath: path))
            var after = before
            after[after.firstRange(of: Data(repeating: 2, count: 1000))!.lowerBound + 500] ^= 1
            try after.write(to: URL(fileURLWithPath: path))
            let service = try house.spawn()
            #expect(try await service.child.end() == .exited(65))
            #expect(service.child.text.contains("\(path) at offset "))
            #expect(service.child.text.contains("brokerctl log verify \(house.data)"))
            #expect(try Data(contentsOf: URL(fileURLWithPath: path)) == after)
            try before.write(to: URL(fileURLWithPath: path))
            let again = try await house.start()
            #expect(try await again.connect().status().messages == 3)
            #expect(try await again.stop() == .exited(0))
        }

        @Test("A data directory that cannot be made because a file is in the way: 73")
        func fileInTheWay() async throws {
            let house = try ServiceHouse()
            try house.directory.write("data", "no directory")
            for data in [house.data, house.data + "/log"] {
                let service = try house.spawn(arguments: ["--data-dir", data])
                #expect(try await service.child.end() == .exited(73))
                #expect(service.child.text.contains("cannot make or open the data directory \(data)"))
            }
        }

        @Test("A data directory without rights: 77, and whose rights are missing", arguments: [0o000, 0o500])
        func noRights(permissions: Int) async throws {
            let house = try ServiceHouse()
            let manager = FileManager.default
            try manager.createDirectory(atPath: house.data, withIntermediateDirectories: true)
            try manager.setAttributes([.posixPermissions: permissions], ofItemAtPath: house.data)
            // Root may do everything, so it gives its rights away.
            let isRoot = getuid() == 0
            let wrapper = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
            if isRoot { try manager.setAttributes([.ownerAccountID: 65534], ofItemAtPath: house.data) }
            let service = try house.spawn(listen: ["tcp://127.0.0.1:0"], wrapper: isRoot ? wrapper : [])
            #expect(try await service.child.end() == .exited(77))
            #expect(
                service.child.text.contains(
                    "brokerd's user must own the data directory \(house.data) and be able to write in it"))
            try manager.setAttributes([.posixPermissions: 0o700], ofItemAtPath: house.data)
        }
    }
}
