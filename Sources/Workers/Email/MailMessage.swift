package import BrokerProtocol

/// A mail of RFC 5322 with two alternatives of the same text, plain and HTML. Equal values have equal bytes.
package struct MailMessage: Equatable, Sendable {
    package let id: MailID
    package let date: WallTime
    package let from: MailAddress
    package let to: MailAddress
    package let subject: String
    /// Lines end in LF.
    package let plain: String
    package let html: String

    package init(
        id: MailID, date: WallTime, from: MailAddress, to: MailAddress, subject: String, plain: String, html: String
    ) {
        self.id = id
        self.date = date
        self.from = from
        self.to = to
        self.subject = subject
        self.plain = plain
        self.html = html
    }

    /// Quoted-printable never holds `=_`, so no part can hold the boundary.
    private static let boundary = "=_alternative"

    /// The message with CRLF line ends, every line at most 998 bytes, ASCII only.
    package func bytes() -> [UInt8] {
        var head = ""
        head += "Date: \(CalendarTime(date).mailDate)\r\n"
        head += MailHeader.address("From", from)
        head += MailHeader.address("To", to)
        head += MailHeader.unstructured("Subject", subject)
        head += "Message-ID: \(id)\r\n"
        // RFC 3834: no vacation notice answers this.
        head += "Auto-Submitted: auto-generated\r\n"
        head += "MIME-Version: 1.0\r\n"
        head += "Content-Type: multipart/alternative; boundary=\"\(Self.boundary)\"\r\n\r\n"
        return Array(head.utf8) + part("plain", plain) + part("html", html) + Array("--\(Self.boundary)--\r\n".utf8)
    }

    private func part(_ subtype: String, _ text: String) -> [UInt8] {
        let head =
            "--\(Self.boundary)\r\nContent-Type: text/\(subtype); charset=utf-8\r\n"
            + "Content-Transfer-Encoding: quoted-printable\r\n\r\n"
        return Array(head.utf8) + QuotedPrintable.encode(text) + [0x0D, 0x0A]
    }
}

/// A mail's `Message-ID`: the same for the same template and order, whoever sends it and however often.
package struct MailID: Hashable, Sendable, CustomStringConvertible {
    /// With its angle brackets, for instance `<order.received.A=2E17@shop.example>`.
    package let description: String

    /// - Parameter domain: Of the sender's address.
    package init(template: MailTemplate, orderID: String, domain: some StringProtocol) {
        let hexDigits = Array("0123456789ABCDEF")
        let order = orderID.utf8.map { byte in
            switch byte {
            case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x5F: String(UnicodeScalar(byte))
            default: "=\(hexDigits[Int(byte >> 4)])\(hexDigits[Int(byte & 15)])"
            }
        }
        description = "<\(template.rawValue).\(order.joined())@\(domain)>"
    }
}
