import BrokerProtocol
import Foundation
import Testing
import Workers

/// A transport that hands the mails on to another one, and does something before and after each.
private struct FaultyTransport: MailTransport {
    let transport: any MailTransport
    var before: @Sendable () throws -> Void = {}
    var after: @Sendable () throws -> Void = {}

    func newName(at now: WallTime) -> String { transport.newName(at: now) }

    func deliver(_ message: [UInt8], as name: String, now: WallTime, isFirstTry: Bool) throws {
        try before()
        try transport.deliver(message, as: name, now: now, isFirstTry: isFirstTry)
        try after()
    }
}

@Suite struct OutboxTests {
    private struct Died: Error {}

    private let directory: ScratchDirectory
    private let maildir: MaildirTransport
    private static let order = Sample.order("A-1", [("beans", 2)])

    init() throws {
        directory = try ScratchDirectory()
        maildir = try Self.maildir(directory.path)
    }

    private static func maildir(_ path: String, host: String = "host", now: WallTime = Sample.now) throws
        -> MaildirTransport
    {
        try MaildirTransport(path: path + "/mail", host: host, process: 7, now: now) { .random(in: 0...(.max)) }
    }

    private static func send(_ path: String, _ transport: any MailTransport, _ order: OrderCreated = order) throws {
        let outbox = Outbox(try Outbox.open(path: path + "/email.sqlite"), transport: transport)
        try outbox.send(
            MailText(order, shop: "Kaffee"), about: order.orderID,
            from: try MailAddress(name: "Kaffee", email: "orders@shop.example"),
            to: try MailAddress(name: order.customer.name, email: order.customer.email), now: Sample.now)
    }

    private func files(_ part: String) throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: directory.file("mail/\(part)")).sorted()
    }

    private func expectOneMail() throws {
        #expect(try files("new").count == 1)
        #expect(try files("tmp").isEmpty)
        #expect(try files("cur").isEmpty)
    }

    @Test("A mail lies in new, under a Maildir name, with LF line ends, readable for its owner only")
    func delivers() throws {
        try Self.send(directory.path, maildir)
        try expectOneMail()
        let name = try #require(try files("new").first)
        #expect(name.wholeMatch(of: /1740821400\.M0P7R[0-9a-f]+\.host/) != nil)
        let file = directory.file("mail/new/\(name)")
        let text = try String(contentsOf: URL(filePath: file), encoding: .utf8)
        #expect(text.hasPrefix("Date: Sat, 01 Mar 2025 09:30:00 +0000\nFrom: \"Kaffee\" <orders@shop.example>\n"))
        #expect(!text.utf8.contains(0x0D))
        let mode = try FileManager.default.attributesOfItem(atPath: file)[.posixPermissions] as? Int
        #expect(mode.map { $0 & 0o077 } == 0)
    }

    @Test("A redelivery sends nothing")
    func redelivery() throws {
        for _ in 0..<3 { try Self.send(directory.path, maildir) }
        try expectOneMail()
    }

    @Test("A redelivery sends nothing after the reader has taken the mail away")
    func takenAway() throws {
        try Self.send(directory.path, maildir)
        try FileManager.default.removeItem(atPath: directory.file("mail/new/\(try files("new")[0])"))
        try Self.send(directory.path, maildir)
        #expect(try files("new").isEmpty)
    }

    @Test("A failure before or after the delivery, followed by redeliveries, leaves one mail")
    func failures() throws {
        let dyingBefore = FaultyTransport(transport: maildir, before: { throw Died() })
        let dyingAfter = FaultyTransport(transport: maildir, after: { throw Died() })
        for (index, deaths) in [[dyingBefore], [dyingAfter], [dyingBefore, dyingAfter], [dyingAfter, dyingAfter]]
            .enumerated()
        {
            let order = Sample.order("F-\(index)", [("beans", 1)])
            for transport in deaths {
                #expect(throws: Died.self) { try Self.send(directory.path, transport, order) }
            }
            try Self.send(directory.path, maildir, order)
            #expect(try files("new").count == index + 1)
        }
        #expect(try files("tmp").isEmpty)
    }

    @Test("A process that is killed between the mail and its mark does not send twice")
    func killedAfterDelivery() async throws {
        await #expect(processExitsWith: .signal(SIGKILL)) { [path = directory.path as String] in
            let dying = FaultyTransport(transport: try Self.maildir(path), after: { kill(getpid(), SIGKILL) })
            try Self.send(path, dying)
        }
        try expectOneMail()
        let before = try files("new")
        try Self.send(directory.path, maildir)
        #expect(try files("new") == before)
    }

    @Test("A process that is killed between the intent and the mail leaves the intent, and the mail is sent")
    func killedBeforeDelivery() async throws {
        await #expect(processExitsWith: .signal(SIGKILL)) { [path = directory.path as String] in
            let dying = FaultyTransport(transport: try Self.maildir(path), before: { kill(getpid(), SIGKILL) })
            try Self.send(path, dying)
        }
        #expect(try files("new").isEmpty)
        try Self.send(directory.path, maildir)
        try expectOneMail()
    }

    @Test("A mail that the reader moved to cur before the retry is not sent again")
    func movedToCur() throws {
        let dying = FaultyTransport(transport: maildir, after: { throw Died() })
        #expect(throws: Died.self) { try Self.send(directory.path, dying) }
        let name = try files("new")[0]
        try FileManager.default.moveItem(
            atPath: directory.file("mail/new/\(name)"), toPath: directory.file("mail/cur/\(name):2,S"))
        try Self.send(directory.path, maildir)
        #expect(try files("new").isEmpty)
        #expect(try files("cur") == ["\(name):2,S"])
    }

    @Test("Two processes with the same events at the same time send each mail once")
    func twoProcesses() async throws {
        let path = directory.path
        try await withThrowingTaskGroup(of: Void.self) { group in
            for process in 0..<2 {
                group.addTask {
                    let transport = try Self.maildir(path)
                    let thread = try await DatabaseThread(name: "email-\(process)") {
                        try Outbox.open(path: path + "/email.sqlite")
                    }
                    try await thread.run { database in
                        let from = try MailAddress(name: "Kaffee", email: "orders@shop.example")
                        let to = try MailAddress(name: "Zoë", email: "zoe@example.org")
                        for index in 0..<40 {
                            let order = Sample.order("O\(index)", [("beans", 1)])
                            try Outbox(database, transport: transport).send(
                                MailText(order, shop: "Kaffee"), about: order.orderID, from: from, to: to,
                                now: Sample.now)
                        }
                    }
                }
            }
            try await group.waitForAll()
        }
        #expect(try files("new").count == 40)
        #expect(try files("tmp").isEmpty)
    }

    @Test("What a dead delivery left in tmp goes after 36 hours, not before; other files stay")
    func staleFiles() throws {
        let seconds = Sample.now.milliseconds / 1000
        let fresh = "\(seconds - 36 * 3600).M0P1R1.host"
        let stale = "\(seconds - 36 * 3600 - 1).M0P1R2.host"
        for name in [fresh, stale, "notes.txt"] {
            try Data().write(to: URL(filePath: directory.file("mail/tmp/\(name)")))
        }
        _ = try Self.maildir(directory.path)
        #expect(try files("tmp") == [fresh, "notes.txt"])
    }

    @Test("A host name cannot leave the directory or look like flags")
    func hostName() throws {
        let transport = try Self.maildir(directory.path, host: "a/b:c")
        #expect(transport.newName(at: Sample.now).hasSuffix(".a\\057b\\072c"))
    }

    @Test("A mail that cannot be written is an error that names the file, and is sent when it can be again")
    func unwritable() throws {
        let new = directory.file("mail/new")
        try FileManager.default.removeItem(atPath: new)
        let error = #expect(throws: (any Error).self) { try Self.send(directory.path, maildir) }
        #expect(String(describing: error).contains(new))
        #expect(try files("tmp").isEmpty)
        try FileManager.default.createDirectory(atPath: new, withIntermediateDirectories: false)
        try Self.send(directory.path, maildir)
        try expectOneMail()
    }

    @Test("The role takes the four events that the customer hears of, and refuses a bad sender")
    func role() async throws {
        var configuration = EmailConfiguration(
            databasePath: directory.file("email.sqlite"), maildirPath: directory.file("mail"),
            fromAddress: "orders@shop.example", shopName: "Kaffee & Söhne")
        let role = try await EmailRole.make(configuration: configuration)
        #expect(
            role.subscriptions.map(\.description) == [
                "order.created@email", "order.paid@email", "order.rejected@email", "payment.failed@email",
            ])
        configuration.fromAddress = "orders"
        await #expect(throws: FieldViolation.self) { try await EmailRole.make(configuration: configuration) }
    }

    @Test("Every template says in both forms what the customer must know")
    func templates() {
        let order = Sample.order("A-1", [("beans", 2), ("filter", 1)])
        let cases: [(MailText, [String])] = [
            (MailText(order, shop: "K"), ["Zoë Čapek", "2 × The beans", "5.00 EUR", "7.50 EUR"]),
            (MailText(Sample.paid(order), shop: "K"), ["is paid", "ch_A-1", "7.50 EUR"]),
            (MailText(Sample.rejected(order), shop: "K"), ["Grinder", "3 ordered, 1 in stock", "charged nothing"]),
            (MailText(Sample.failed(order), shop: "K"), ["The card was declined.", "7.50 EUR", "charged nothing"]),
        ]
        for (text, words) in cases {
            #expect(text.subject.contains("A-1"))
            for word in words { #expect(text.plain.contains(word) && text.html.contains(word), "\(word)") }
        }
        #expect(Set(cases.map(\.0.template.rawValue)).count == 4)
    }
}
