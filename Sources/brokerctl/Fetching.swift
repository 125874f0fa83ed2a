import BrokerClient
import BrokerProtocol
import DaemonKit

extension Command {
    static let fetchCommand = Command(
        words: ["fetch"], operands: "TOPIC@NAME…", operandCount: 1...100,
        summary: "Take messages of the first subscription that has one",
        notes: """
            Without --ack the messages are shown and released again, which counts no attempt. With --ack they are
            acknowledged before they are shown.
            """,
        options: [
            Option("limit", short: "n", value: "N", help: "at most so many messages (default 10)"),
            Option("bytes", value: "SIZE", help: "at most so many bytes, such as 64K; one message always"),
            Option("wait", value: "TIME", help: "how long to wait for the first one, such as 5s (default 0)"),
            Option("ack", help: "take them for good"),
        ], hasJSON: true
    ) { invocation in
        let names = try invocation.input.operands.map { (text) throws(Failure) in
            guard let name = SubscriptionName(text) else {
                throw invocation.wrong("`\(text)` is no subscription: it is written TOPIC@NAME")
            }
            return name
        }
        var order = Fetch(names, messagesMax: try invocation.number("limit", default: 10))
        order.acknowledges = invocation.input.has("ack")
        if let text = invocation.input.value("bytes") {
            guard let bytes = SettingText.bytes(text).flatMap(UInt32.init(exactly:)), bytes > 0 else {
                throw invocation.wrong("--bytes \(text): expected a size such as 64K")
            }
            order.bytesMax = bytes
        }
        if let text = invocation.input.value("wait") {
            guard let wait = SettingText.milliseconds(text) else {
                throw invocation.wrong("--wait \(text): expected a time span such as 5s")
            }
            order.waitMilliseconds = wait
        }
        try await invocation.withBroker { client in
            let deliveries = try await client.fetch(order)
            for delivery in deliveries { try invocation.show(delivery) }
            if order.acknowledges || deliveries.isEmpty { return }
            _ = try await client.settle(deliveries.map { Settlement($0.lease, .release()) })
        }
    }
}
