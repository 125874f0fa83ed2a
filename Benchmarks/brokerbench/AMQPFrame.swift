/// Writes AMQP 0-9-1 method frames.
struct AMQPMethod {
    private var payload: [UInt8] = []

    init(_ classNumber: UInt16, _ method: UInt16) {
        payload.append(big: classNumber)
        payload.append(big: method)
    }

    func u8(_ value: UInt8) -> Self { with { $0.append(value) } }
    func u16(_ value: UInt16) -> Self { with { $0.append(big: value) } }
    func u32(_ value: UInt32) -> Self { with { $0.append(big: value) } }
    func u64(_ value: UInt64) -> Self { with { $0.append(big: value) } }

    func short(_ text: String) -> Self {
        with { payload in
            payload.append(UInt8(text.utf8.count))
            payload += text.utf8
        }
    }

    func long(_ text: String) -> Self {
        with { payload in
            payload.append(big: UInt32(text.utf8.count))
            payload += text.utf8
        }
    }

    /// A table of texts.
    func table(_ fields: [(String, String)]) -> Self {
        var table: [UInt8] = []
        for (name, value) in fields {
            table.append(UInt8(name.utf8.count))
            table += name.utf8
            table.append(UInt8(ascii: "S"))
            table.append(big: UInt32(value.utf8.count))
            table += value.utf8
        }
        return with { payload in
            payload.append(big: UInt32(table.count))
            payload += table
        }
    }

    private func with(_ change: (inout [UInt8]) -> Void) -> Self {
        var copy = self
        change(&copy.payload)
        return copy
    }

    func frame(channel: UInt16) -> [UInt8] { AMQPFrame.bytes(type: 1, channel: channel, payload) }
}

enum AMQPFrame {
    static let end: UInt8 = 0xCE

    static func bytes(type: UInt8, channel: UInt16, _ payload: [UInt8]) -> [UInt8] {
        var frame = [type]
        frame.append(big: channel)
        frame.append(big: UInt32(payload.count))
        return frame + payload + [end]
    }

    /// All of a publish of a persistent message but its body and the last octet.
    static func publishHead(exchange: String, key: String, bodyBytes: Int) -> [UInt8] {
        var header: [UInt8] = []
        header.append(big: UInt16(60))
        header.append(big: UInt16(0))
        header.append(big: UInt64(bodyBytes))
        header.append(big: UInt16(0x1000))  // delivery mode, and it is 2: persistent
        header.append(2)
        let method = AMQPMethod(60, 40).u16(0).short(exchange).short(key).u8(0).frame(channel: 1)
        var body: [UInt8] = [3]
        body.append(big: UInt16(1))
        body.append(big: UInt32(bodyBytes))
        return method + bytes(type: 2, channel: 1, header) + body
    }
}
