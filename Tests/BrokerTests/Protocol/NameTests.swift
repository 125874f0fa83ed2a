import BrokerProtocol
import Testing

@Suite("Names") struct NameTests {
    @Test(
        "A topic's name is 1 to 255 bytes of printable UTF-8",
        arguments: [
            "a", "order.created", "A-b_c/d:e;f", "café", "Ж", "漢字", "🫖", "{}[]()<>", "#$%&*+,!?'\"\\|~^`=",
            "default", "-", "0", String(repeating: "x", count: 255), String(repeating: "é", count: 127) + "x",
        ])
    func goodTopics(text: String) { #expect(TopicName(text)?.text == text) }

    @Test(
        "Space, @, control, format, private and unassigned characters, and wrong lengths are refused",
        arguments: [
            "", " ", "a b", " a", "a ", "@", "a@b", "a@", "\t", "a\n", "a\r", "a\u{0}b", "\u{1}", "\u{1F}", "\u{7F}",
            "\u{80}", "\u{9F}", "\u{A0}", "\u{AD}", "\u{200B}", "\u{200E}", "\u{202E}", "\u{2028}", "\u{2029}",
            "\u{2003}",
            "\u{3000}", "\u{FEFF}", "\u{E000}", "\u{10FFFF}", "\u{FFFF}", "\u{E0041}", "a\u{200D}b",
            String(repeating: "x", count: 256), String(repeating: "é", count: 128), String(repeating: "🫖", count: 64),
        ])
    func badTopics(text: String) { #expect(TopicName(text) == nil) }

    @Test("No control character of ASCII or Latin-1 may stand in a name") func controls() throws {
        for value in Array(0x00...0x20) + Array(0x7F...0xA0) {
            let scalar = try #require(Unicode.Scalar(UInt32(value)))
            #expect(TopicName("a\(Character(scalar))b") == nil, "U+\(String(value, radix: 16))")
        }
    }

    @Test(
        "A subscription is topic@name; a bare topic means default",
        arguments: [
            ("a@b", "a", "b"), ("order.created@email", "order.created", "email"), ("a", "a", "default"),
            ("a@default", "a", "default"), ("é@漢", "é", "漢"),
        ])
    func goodSubscriptions(text: String, topic: String, name: String) {
        #expect(SubscriptionName(text)?.topic.text == topic)
        #expect(SubscriptionName(text)?.name == name)
    }

    @Test(
        "A subscription needs a topic and a name and one @",
        arguments: [
            "", "@", "a@", "@b", "a@b@c", "a@@b", "a b@c", "a@b c", "a@\n", "a@" + String(repeating: "x", count: 256),
            String(repeating: "x", count: 256) + "@a",
        ])
    func badSubscriptions(text: String) { #expect(SubscriptionName(text) == nil) }

    @Test("What a subscription is called is read back as the same") func description() throws {
        for text in ["a", "a@b", "a@default"] {
            let name = try #require(SubscriptionName(text))
            #expect(SubscriptionName(name.description) == name)
        }
        #expect(SubscriptionName("a@default")?.description == "a")
        #expect(SubscriptionName("a")?.isDefault == true)
        #expect(SubscriptionName("a@b")?.isDefault == false)
    }

    @Test("Two spellings of one character are one name; upper and lower case are two") func equivalence() {
        #expect(TopicName("caf\u{E9}") == TopicName("cafe\u{301}"))
        #expect(TopicName("Order") != TopicName("order"))
    }

    @Test("Ids and times keep their order, and a time does not wrap around") func order() {
        #expect(MessageID(rawValue: 9) < MessageID(rawValue: 10))
        #expect(LeaseID(rawValue: 1 << 40) > LeaseID(rawValue: 5))
        #expect(WallTime(milliseconds: 5).adding(milliseconds: 7) == WallTime(milliseconds: 12))
        #expect(WallTime(milliseconds: .max - 1).adding(milliseconds: 7) == WallTime(milliseconds: .max))
    }

    @Test("Codes below 100 end the connection, names are the ones of the documents") func codes() {
        #expect(BrokerError.Code.leaseLost.name == "LEASE_LOST")
        #expect(BrokerError.Code.closed.name == "CLOSED")
        #expect(BrokerError.Code.allCases.filter(\.endsConnection).map(\.rawValue) == Array(1...8))
        #expect(BrokerError(.diskFull, "no space").description == "DISK_FULL (210): no space")
    }
}
