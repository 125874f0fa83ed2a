import Testing

@testable import BrokerProtocol

@Suite("Topic patterns") struct TopicPatternTests {
    @Test(
        "A part that is * and a last part that is > make a pattern, and nothing else does",
        arguments: [
            ("*", true), (">", true), ("order.*", true), ("*.created", true), ("order.>", true), ("a.*.>", true),
            ("order", false), ("a*b", false), ("order.a*", false), (">.order", false), ("a.>.b", false), ("a>", false),
            ("**", false), (".", false),
        ])
    func isPattern(text: String, expected: Bool) throws {
        #expect(try #require(TopicName(text)).isPattern == expected)
    }

    @Test(
        "A pattern stands for the topics of the table",
        arguments: [
            ("order.*", "order.created", true), ("order.*", "order", false), ("order.*", "order.eu.created", false),
            ("order.*", "payment.created", false), ("order.>", "order.created", true),
            ("order.>", "order.eu.created", true), ("order.>", "order", false), ("*.created", "order.created", true),
            ("*.created", "order.deleted", false), ("*", "order", true), ("*", "a.b", false), (">", "a.b", true),
            ("a.*.c", "a.b.c", true), ("a.*.c", "a..c", true), ("a.*.>", "a.b", false), ("a.*.>", "a.b.c.d", true),
            ("order", "order", true), ("a.>.b", "a.>.b", true), ("a.>.b", "a.x.b", false),
        ])
    func matches(pattern: String, topic: String, expected: Bool) throws {
        #expect(try #require(TopicName(pattern)).matches(try #require(TopicName(topic))) == expected)
    }

    /// The definition word for word.
    private func naive(_ pattern: ArraySlice<String>, _ topic: ArraySlice<String>) -> Bool {
        guard let first = pattern.first else { return topic.isEmpty }
        guard let part = topic.first else { return false }
        if first == ">" && pattern.count == 1 { return true }
        return (first == "*" || first == part) && naive(pattern.dropFirst(), topic.dropFirst())
    }

    @Test("All short patterns and topics of a few parts agree with the definition word for word")
    func comparison() throws {
        func names(_ parts: [String], _ length: Int) -> [[String]] {
            length == 0 ? [[]] : names(parts, length - 1).flatMap { front in parts.map { front + [$0] } }
        }
        let patterns = (1...4).flatMap { names(["a", "b", "*", ">"], $0) }
        let topics = (1...4).flatMap { names(["a", "b"], $0) }
        var count = 0
        for pattern in patterns {
            let name = try #require(TopicName(pattern.joined(separator: ".")))
            for topic in topics {
                let matches = name.matches(try #require(TopicName(topic.joined(separator: "."))))
                if matches { count += 1 }
                if matches != naive(pattern[...], topic[...]) { Issue.record("\(pattern) and \(topic)") }
            }
        }
        #expect(count > 100)
    }

    @Test("Two patterns overlap when there is a topic that both stand for, and only then")
    func overlaps() throws {
        func names(_ parts: [String], _ length: Int) -> [[String]] {
            length == 0 ? [[]] : names(parts, length - 1).flatMap { front in parts.map { front + [$0] } }
        }
        let patterns = try (1...3).flatMap { names(["a", "b", "*", ">"], $0) }.map {
            try #require(TopicName($0.joined(separator: ".")))
        }.filter(\.isPattern)
        let topics = try (1...4).flatMap { names(["a", "b", ">", "x"], $0) }.map {
            try #require(TopicName($0.joined(separator: ".")))
        }.filter { !$0.isPattern }
        for left in patterns {
            let matched = topics.filter { left.matches($0) }
            for right in patterns where left.overlaps(right) != matched.contains(where: { right.matches($0) }) {
                Issue.record("\(left) and \(right): \(left.overlaps(right))")
            }
        }
    }
}
