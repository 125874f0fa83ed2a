import Broker
import BrokerProtocol
import Foundation
import Testing
import Workers

private struct OrderPlaced: Event {
    static let topic = TopicName("order.placed")!
    var number: Int
}

private struct OrderServed: Event {
    static let topic = TopicName("order.served")!
    var number: Int
}

private struct Kitchen: Worker {
    func handle(_ event: OrderPlaced, _ attempt: Attempt) async throws -> Outcome {
        .done(publishing: [try Publication(OrderServed(number: event.number))])
    }
}

/// The README's example of the library, word by word.
@Suite("As a library", .timeLimit(.minutes(1))) struct LibraryTests {
    @Test("The example of the README works") func example() async throws {
        let scratch = try ScratchDirectory()
        let directory = scratch.file("data")
        // README
        let broker = try await Broker.start(BrokerConfiguration(dataDirectory: directory))
        let shop = try broker.connect(instance: "shop")
        try await shop.publish(Publication(OrderPlaced(number: 1), key: "table 4", dedupID: "order 1"))
        try await shop.publish(Publication(OrderPlaced(number: 2), delay: .seconds(3600), priority: 9))

        var role = Role("kitchen")
        role.register(Kitchen())
        let runtime = WorkerRuntime(
            roles: [role], configuration: RuntimeConfiguration(instance: "kitchen-1"),
            connect: { () async throws(BrokerError) -> any MessageBroker in try broker.connect(instance: "kitchen-1") })
        async let work: Void = runtime.run()

        let served = try await shop.pop([SubscriptionName("order.served")!], timeoutMilliseconds: 10_000)
        if let served { try await shop.settle(served.lease, .ack) }
        var nightly = Schedule(ScheduleName("nightly")!, topic: TopicName("report.due")!, cron: "30 2 * * *")
        nightly.zone = "Europe/Berlin"
        try await shop.setSchedule(nightly)
        try await shop.pause(.topic(OrderPlaced.topic), .intake)

        runtime.drain()
        try await work
        await broker.stop()
        // End
        #expect(served.map { String(decoding: $0.body, as: UTF8.self) } == #"{"number":1}"#)
    }

    @Test("The README shows the code that is tested") func copied() throws {
        func lines(_ text: String) -> [Substring] {
            text.split(separator: "\n").map { $0.drop { $0 == " " } }.filter { !$0.isEmpty }
        }
        let source = try String(contentsOfFile: #filePath, encoding: .utf8)
        let parts = source.components(separatedBy: "        // README\n")
        let example = try #require(parts.dropFirst().first?.components(separatedBy: "        // End\n").first)
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("../../..")
        let readme = try String(contentsOf: root.appendingPathComponent("README.md"), encoding: .utf8)
        let blocks = readme.components(separatedBy: "```swift\n").dropFirst().compactMap {
            $0.components(separatedBy: "```").first
        }
        #expect(blocks.contains { lines($0) == lines(example) })
    }
}
