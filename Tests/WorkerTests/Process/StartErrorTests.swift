import Foundation
import TestSupport
import Testing

extension ProcessTests {
    /// Each start that must fail says why, where, and what to do, and ends with a code of its own.
    @Suite("Refused starts", .serialized)
    struct StartErrorTests {
        /// Runs the program to its end.
        private func run(
            _ arguments: [String], environment: [String: String] = [:]
        ) async throws -> (ending: ChildProcess.Ending, text: String) {
            let child = try ChildProcess([WorkerHouse.program("workerd")] + arguments, environment: environment)
            return (try await child.end(), child.text)
        }

        private static let roles =
            "expected ROLE-NUMBER with one of the roles email, inventory, payment, such as email-1"

        @Test(
            "A command line that cannot be read: 64",
            arguments: [
                ([], "--instance is missing, such as --instance email-1"),
                (["--instance"], "--instance needs a value"),
                (["--colour"], "unknown option --colour"),
                (["--instance", "email-1", "now"], "unexpected argument now"),
                (["--instance", "sms-1"], "instance sms-1: \(roles)"),
                (["--instance", "email"], "instance email: \(roles)"),
                (["--instance", "email-"], "instance email-: \(roles)"),
                (["--instance", "email-1,"], "instance : \(roles)"),
                (["--instance", "email-1,email-1", "--embedded", "/nowhere"], "the same name twice"),
                (["--instance", "email-1,payment-1"], "several instances need --embedded"),
                (
                    ["--instance", "email-1", "--broker", "localhost"],
                    "broker localhost: expected tcp://HOST:PORT or unix"
                ),
                (["--instance", "email-1", "--broker", "unix://relative"], "broker unix://relative: expected"),
                (["--instance", "email-1", "--embedded", "/nowhere", "--broker", "unix:///b"], "not both"),
            ])
        func usage(arguments: [String], text: String) async throws {
            let result = try await run(arguments)
            #expect(result.ending == .exited(64))
            #expect(result.text.contains(text) && result.text.contains("workerd: "), "\(result.text)")
        }

        @Test("A broker in BROKERD_URL that is none: 64, with the variable's value")
        func variable() async throws {
            let house = try WorkerHouse()
            let arguments = ["--instance", "email-1", "--config", house.path("workerd.conf")]
            let result = try await run(arguments, environment: ["BROKERD_URL": "http://broker"])
            #expect(result.ending == .exited(64))
            #expect(result.text.contains("broker http://broker: expected tcp://HOST:PORT or unix:///PATH"))
        }

        @Test(
            "A configuration that cannot be right: 78, with file and line",
            arguments: [
                ("slot = 4", ":6: unknown key slot in [worker]; known keys: attempt_timeout, broker"),
                ("slots = 0", ":6: slots = 0: expected a whole number from 1 to 1000"),
                ("\nlease = 5ms", ":7: lease = 5ms: expected a time span from 1s to 12h"),
                ("broker = localhost", ":6: broker = localhost: expected tcp://HOST:PORT or unix:///PATH"),
                ("log_level = loud", ":6: log_level = loud: expected one of critical"),
                ("[mail]\nfrom = x@y", ":7: unknown section [mail]; known sections: [worker]"),
                ("[email]\nfrom = nobody", ":7: from = nobody: expected an address"),
                ("[payment]\nledgers = x", ":7: unknown key ledgers in [payment]; known keys: database, ledger"),
                ("[inventory]\nreservation_ttl = 1", ":7: reservation_ttl = 1: expected a time span from 1s to 365d"),
            ])
        func configuration(settings: String, text: String) async throws {
            let house = try WorkerHouse(settings)
            let worker = try house.spawnWorker("email-1")
            #expect(try await worker.child.end() == .exited(78))
            #expect(worker.child.text.contains(house.path("workerd.conf") + text), "\(worker.child.text)")
            #expect(!FileManager.default.fileExists(atPath: house.path("state")))
        }

        @Test("A --config file that is missing, and a drop-in with a fault: 78")
        func files() async throws {
            let house = try WorkerHouse()
            let missing = try await run(["--instance", "email-1", "--config", house.path("nowhere.conf")])
            #expect(missing.ending == .exited(78))
            #expect(missing.text.contains("\(house.path("nowhere.conf")): ") && missing.text.contains("No such file"))
            let dropIns = house.path("workerd.conf.d")
            try FileManager.default.createDirectory(atPath: dropIns, withIntermediateDirectories: true)
            try house.write("workerd.conf.d/10-site.conf", "[worker]\nprefetch = many\n")
            let worker = try house.spawnWorker("email-1")
            #expect(try await worker.child.end() == .exited(78))
            #expect(worker.child.text.contains("workerd.conf.d/10-site.conf:2: prefetch = many: expected"))
            #expect(try await run(["--help"]).ending == .exited(0))
            #expect(try await run(["--version"]).ending == .exited(0))
        }

        @Test("A stock file that is none: 78, with what is wrong")
        func stock() async throws {
            let house = try WorkerHouse()
            try house.write("stock.json", "beans: 3")
            let worker = try house.spawnWorker("inventory-1")
            #expect(try await worker.child.end() == .exited(78))
            #expect(worker.child.text.contains("inventory-1 cannot start: stock file \(house.path("stock.json")): "))
        }

        @Test("A file in the way of the state directory: 73")
        func fileInTheWay() async throws {
            let house = try WorkerHouse()
            try house.write("state", "worth keeping")
            for instance in ["email-1", "payment-1", "inventory-1"] {
                let worker = try house.spawnWorker(instance)
                #expect(try await worker.child.end() == .exited(73))
                #expect(worker.child.text.contains(house.path("state")), "\(worker.child.text)")
            }
            #expect(try String(contentsOfFile: house.path("state"), encoding: .utf8) == "worth keeping")
        }

        @Test(
            "A state directory without rights: 77, and whose rights are missing",
            arguments: ["state", "state/deeper"], ["email-1", "payment-1"])
        func noRights(name: String, instance: String) async throws {
            let house = try WorkerHouse()
            let manager = FileManager.default
            let state = house.path("state")
            try manager.createDirectory(atPath: state, withIntermediateDirectories: true)
            try manager.setAttributes([.posixPermissions: 0o500], ofItemAtPath: state)
            try house.write("other.conf", "[worker]\nstate_dir = \(house.path(name))\n")
            // Root may do everything, so it gives its rights away.
            let isRoot = getuid() == 0
            let wrapper = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
            if isRoot { try manager.setAttributes([.ownerAccountID: 65534], ofItemAtPath: state) }
            let worker = try house.spawnWorker(
                instance, ["--config", house.path("other.conf"), "--broker", house.url],
                wrapper: isRoot ? wrapper : [])
            #expect(try await worker.child.end() == .exited(77))
            #expect(
                worker.child.text.contains("workerd's user must be able to write in the state directory"),
                "\(worker.child.text)")
            try manager.setAttributes([.posixPermissions: 0o700], ofItemAtPath: state)
        }
    }
}
