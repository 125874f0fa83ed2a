import BrokerProtocol
import Foundation
import Testing
import Workers

@Suite struct MailTests {
    private static func message(subject: String, name: String, text: MailText? = nil) throws -> MailMessage {
        let text = text ?? MailText(Sample.order("A-1", [("beans", 2)]), shop: "Kaffee & Söhne")
        return MailMessage(
            id: MailID(template: .orderReceived, orderID: "A-1", domain: "shop.example"), date: Sample.now,
            from: try MailAddress(name: "Kaffee & Söhne", email: "orders@shop.example"),
            to: try MailAddress(name: name, email: "zoe@example.org"), subject: subject, plain: text.plain,
            html: text.html)
    }

    @Test(
        "Subjects are plain when they can be, encoded words otherwise",
        arguments: [
            ("Hello", "Subject: Hello\r\n"),
            ("Zoë", "Subject: =?UTF-8?B?Wm/Dqw==?=\r\n"),
            ("=?UTF-8?Q?fake?=", "Subject: =?UTF-8?B?PT9VVEYtOD9RP2Zha2U/PQ==?=\r\n"),
            ("A\r\nBcc: all@example.org", "Subject: A  Bcc: all@example.org\r\n"),
            ("A\u{0}\u{1B}B", "Subject: A  B\r\n"),
            ("", "Subject: \r\n"),
            (String(repeating: "x", count: 67), "Subject: " + String(repeating: "x", count: 67) + "\r\n"),
            (
                String(repeating: "x", count: 68),
                "Subject: =?UTF-8?B?eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4?=\r\n"
                    + " =?UTF-8?B?eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHg=?=\r\n"
            ),
        ])
    func subjects(_ text: String, _ field: String) {
        #expect(MailHeader.unstructured("Subject", text) == field)
    }

    @Test(
        "Display names are quoted or encoded, and the address stays one",
        arguments: [
            ("Zoe", "To: \"Zoe\" <zoe@example.org>\r\n"),
            ("O\"Neil\\, Pat", "To: \"O\\\"Neil\\\\, Pat\" <zoe@example.org>\r\n"),
            ("Zoë", "To: =?UTF-8?B?Wm/Dqw==?= <zoe@example.org>\r\n"),
            ("a>\r\nBcc: <b", "To: \"a>  Bcc: <b\" <zoe@example.org>\r\n"),
            (
                String(repeating: "n", count: 60),
                "To: \"" + String(repeating: "n", count: 60) + "\"\r\n <zoe@example.org>\r\n"
            ),
        ])
    func names(_ name: String, _ field: String) throws {
        #expect(MailHeader.address("To", try MailAddress(name: name, email: "zoe@example.org")) == field)
    }

    @Test(
        "Encoded words have at most 75 columns, their lines at most 76, and never cut a character",
        arguments: ["ë", "日本語", "👩🏽‍🌾", "🇪🇺x", "e\u{301}\u{302}\u{303}", "👨‍👩‍👧‍👦👨‍👩‍👧‍👦👨‍👩‍👧‍👦"])
    func folding(_ unit: String) throws {
        for count in 1...40 {
            let text = String(repeating: unit, count: count)
            let field = MailHeader.unstructured("Subject", text)
            #expect(field.hasSuffix("\r\n"))
            let lines = field.dropLast(1).components(separatedBy: "\r\n")
            #expect(lines.dropFirst().allSatisfy { $0.hasPrefix(" ") })
            var decoded = ""
            for line in lines {
                #expect(line.utf8.count <= 76)
                let word = try #require(line.split(separator: " ").last)
                #expect(word.utf8.count <= 75 && word.hasPrefix("=?UTF-8?B?") && word.hasSuffix("?="))
                let bytes = try #require(Data(base64Encoded: String(word.dropFirst(10).dropLast(2))))
                let part = try #require(String(data: bytes, encoding: .utf8))
                #expect(text.contains(part))
                decoded += part
            }
            #expect(Array(decoded.utf8) == Array(text.utf8))
        }
    }

    @Test("A character that is longer than an encoded word is cut between its scalars")
    func longCharacter() throws {
        let text = "a" + String(repeating: "\u{301}", count: 100)
        #expect(text.count == 1)
        let words = MailHeader.unstructured("Subject", text).split(separator: "\r\n")
        #expect(words.count > 3)
        for word in words {
            #expect(word.utf8.count <= 76)
            let base64 = word.split(separator: "?")[3]
            #expect(String(data: try #require(Data(base64Encoded: String(base64))), encoding: .utf8) != nil)
        }
    }

    @Test(
        "Quoted-printable follows RFC 2045",
        arguments: [
            ("", ""), ("a\n", "a\r\n"), ("a\r\nb", "a\r\nb\r\n"), ("\n\n", "\r\n\r\n"), ("a=b", "a=3Db\r\n"),
            ("Zoë", "Zo=C3=AB\r\n"), ("end \n", "end=20\r\n"), ("tab\t", "tab=09\r\n"), ("a b", "a b\r\n"),
            ("\u{0}\u{7F}", "=00=7F\r\n"), ("lone\rcr", "lone=0Dcr\r\n"),
            (String(repeating: "x", count: 76), String(repeating: "x", count: 76) + "\r\n"),
            (String(repeating: "x", count: 77), String(repeating: "x", count: 75) + "=\r\nxx\r\n"),
            (
                String(repeating: "x", count: 74) + "ë",
                String(repeating: "x", count: 74) + "=\r\n=C3=AB\r\n"
            ),
        ])
    func quotedPrintable(_ text: String, _ encoded: String) {
        #expect(String(decoding: QuotedPrintable.encode(text), as: UTF8.self) == encoded)
    }

    @Test(
        "A Message-ID holds the template and the order, and different orders have different ones",
        arguments: [
            ("A-1_x", "<order.paid.A-1_x@shop.example>"), ("A.1", "<order.paid.A=2E1@shop.example>"),
            ("a@b>", "<order.paid.a=40b=3E@shop.example>"), ("A=2E1", "<order.paid.A=3D2E1@shop.example>"),
        ])
    func messageID(_ order: String, _ text: String) {
        #expect(MailID(template: .orderPaid, orderID: order, domain: "shop.example").description == text)
    }

    @Test("A mail is this, byte for byte")
    func golden() throws {
        let order = OrderPaid(
            orderID: "A-1", chargeID: "ch_1", amount: 1960, currency: "JPY",
            customer: Customer(name: "Zoë", email: "zoe@example.org"),
            items: [OrderItem(sku: "b", name: "Beans <1 kg>", quantity: 2, unitPrice: 980)])
        let text = MailText(order, shop: "Kaffee")
        let message = MailMessage(
            id: MailID(template: text.template, orderID: "A-1", domain: "shop.example"), date: Sample.now,
            from: try MailAddress(name: "Kaffee", email: "orders@shop.example"),
            to: try MailAddress(name: "Zoë", email: "zoe@example.org"), subject: text.subject, plain: text.plain,
            html: text.html)
        let expected = """
            Date: Sat, 01 Mar 2025 09:30:00 +0000
            From: "Kaffee" <orders@shop.example>
            To: =?UTF-8?B?Wm/Dqw==?= <zoe@example.org>
            Subject: =?UTF-8?B?WW91ciBvcmRlciBBLTEgaXMgcGFpZCDigJMgS2FmZmVl?=
            Message-ID: <order.paid.A-1@shop.example>
            Auto-Submitted: auto-generated
            MIME-Version: 1.0
            Content-Type: multipart/alternative; boundary="=_alternative"

            --=_alternative
            Content-Type: text/plain; charset=utf-8
            Content-Transfer-Encoding: quoted-printable

            Hello Zo=C3=AB,

            your order A-1 is paid and on its way to you:

              2 =C3=97 Beans <1 kg>: 1960 JPY
              Total: 1960 JPY

            Your payment's reference is ch_1.

            --=_alternative
            Content-Type: text/html; charset=utf-8
            Content-Transfer-Encoding: quoted-printable

            <!DOCTYPE html>
            <html lang=3D"en">
            <head><meta charset=3D"utf-8"><title>Your order A-1 is paid =E2=80=93 Kaffe=
            e</title></head>
            <body>
            <p>Hello Zo=C3=AB,</p>
            <p>your order A-1 is paid and on its way to you:</p>
            <table>
            <tr><td>2 =C3=97 Beans &lt;1 kg&gt;</td><td>1960 JPY</td></tr>
            <tr><td>Total</td><td>1960 JPY</td></tr>
            </table>
            <p>Your payment&#39;s reference is ch_1.</p>
            </body>
            </html>

            --=_alternative--

            """
        let bytes = String(decoding: message.bytes(), as: UTF8.self)
        #expect(bytes == expected.replacing("\n", with: "\r\n"))
    }

    @Test("No customer, item or refusal can add a header, markup or a long line")
    func injection() throws {
        var order = Sample.order("A\"<b>", [("beans", 2)])
        order.customer.name = String(repeating: "<script>&'\"", count: 15)
        order.items[0].name = "--=_alternative" + String(repeating: "ä", count: 90)
        try order.validate()
        let text = MailText(order, shop: "S")
        #expect(!text.html.contains("<script>") && !text.html.contains("<b>"))
        let message = try Self.message(subject: "x\r\n\r\nbody", name: "y\nBcc: z", text: text)
        let lines = String(decoding: message.bytes(), as: UTF8.self).components(separatedBy: "\r\n")
        #expect(lines.allSatisfy { $0.utf8.count <= 78 && !$0.contains("\n") && !$0.contains("\r") })
        #expect(message.bytes().allSatisfy { $0 < 0x80 })
        #expect(lines.filter { $0 == "--=_alternative" }.count == 2)
        #expect(!lines.contains { $0.hasPrefix("Bcc") || $0 == "body" })
    }

    @Test("A sender that is no address is refused")
    func sender() {
        for email in ["", "a", "a@", "@b", "a b@c", "a@b\r\nBcc: c@d", "<a@b>", "ä@b"] {
            #expect(throws: FieldViolation.self) { try MailAddress(name: "n", email: email) }
        }
    }

    private static let python = ["/usr/bin/python3", "/usr/local/bin/python3"]
        .first { FileManager.default.isExecutableFile(atPath: $0) }

    @Test("Another program's mail parser reads what was written", .enabled(if: python != nil, "needs python3"))
    func otherParser() throws {
        let names = ["Zoe", "Zoë \"Z\" Čapek", "山田 太郎, 株式会社", "👩🏽‍🌾 " + String(repeating: "long name ", count: 18)]
        for name in names {
            let subject = "Your order – \(name) = \(name)"
            let message = try Self.message(subject: subject, name: name)
            let parsed = try Self.parse(message.bytes())
            #expect(parsed["subject"] == subject)
            #expect(parsed["to_name"] == name)
            #expect(parsed["to_address"] == "zoe@example.org")
            #expect(parsed["from_name"] == "Kaffee & Söhne")
            #expect(parsed["message_id"] == "<order.received.A-1@shop.example>")
            #expect(parsed["date"] == "2025-03-01T09:30:00+00:00")
            #expect(parsed["type"] == "multipart/alternative")
            #expect(parsed["parts"] == "text/plain text/html")
            #expect(parsed["plain"] == message.plain)
            #expect(parsed["html"] == message.html)
            #expect(parsed["defects"] == "[]")
        }
    }

    private static func parse(_ message: [UInt8]) throws -> [String: String] {
        let script = """
            import sys, json
            from email import message_from_bytes, policy
            from email.header import decode_header, make_header
            from email.utils import parseaddr
            raw = sys.stdin.buffer.read()
            m = message_from_bytes(raw, policy=policy.default)
            sender = m["From"].addresses[0]
            # The default policy puts a space between the encoded words of a name; the older door joins them.
            name, address = parseaddr(message_from_bytes(raw)["To"])
            plain, html = m.iter_parts()
            defects = [str(d) for p in m.walk() for d in p.defects]
            defects += [str(d) for v in m.values() for d in v.defects]
            print(json.dumps({
                "subject": m["Subject"], "to_name": str(make_header(decode_header(name))), "to_address": address,
                "from_name": sender.display_name, "message_id": m["Message-ID"],
                "date": m["Date"].datetime.isoformat(), "type": m.get_content_type(),
                "parts": plain.get_content_type() + " " + html.get_content_type(),
                "plain": plain.get_content().replace("\\r\\n", "\\n"),
                "html": html.get_content().replace("\\r\\n", "\\n"),
                "defects": str(defects)}))
            """
        let child = Process()
        child.executableURL = URL(filePath: try #require(python))
        child.arguments = ["-c", script]
        let input = Pipe()
        let output = Pipe()
        child.standardInput = input
        child.standardOutput = output
        try child.run()
        input.fileHandleForWriting.write(Data(message))
        try input.fileHandleForWriting.close()
        let json = output.fileHandleForReading.readDataToEndOfFile()
        child.waitUntilExit()
        return try JSONDecoder().decode([String: String].self, from: json)
    }
}
