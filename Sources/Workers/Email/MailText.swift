/// The kinds of mail that a customer gets; the texts are part of each mail's `Message-ID`.
package enum MailTemplate: String, Sendable {
    case orderReceived = "order.received"
    case orderPaid = "order.paid"
    case orderRejected = "order.rejected"
    case paymentFailed = "payment.failed"
}

/// What a mail says, once; ``plain`` and ``html`` are its two forms.
package struct MailText: Equatable, Sendable {
    package enum Block: Equatable, Sendable {
        case paragraph(String)
        /// A name and a value a row.
        case table([Row])
    }

    package struct Row: Equatable, Sendable {
        let name: String
        let value: String
    }

    package let template: MailTemplate
    package let subject: String
    package let blocks: [Block]

    package var plain: String {
        blocks.map { block in
            switch block {
            case .paragraph(let text): "\(text)\n"
            case .table(let rows): rows.map { "  \($0.name): \($0.value)\n" }.joined()
            }
        }.joined(separator: "\n")
    }

    package var html: String {
        let body = blocks.map { block in
            switch block {
            case .paragraph(let text): "<p>\(Self.escaped(text))</p>\n"
            case .table(let rows):
                "<table>\n"
                    + rows.map { "<tr><td>\(Self.escaped($0.name))</td><td>\(Self.escaped($0.value))</td></tr>\n" }
                    .joined() + "</table>\n"
            }
        }
        return "<!DOCTYPE html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\">"
            + "<title>\(Self.escaped(subject))</title></head>\n<body>\n\(body.joined())</body>\n</html>\n"
    }

    private static func escaped(_ text: String) -> String {
        text.replacing("&", with: "&amp;").replacing("<", with: "&lt;").replacing(">", with: "&gt;")
            .replacing("\"", with: "&quot;").replacing("'", with: "&#39;")
    }
}

extension MailText {
    package init(_ order: OrderCreated, shop: String) {
        template = .orderReceived
        subject = "We received your order \(order.orderID) – \(shop)"
        blocks = [
            .paragraph("Hello \(order.customer.name),"),
            .paragraph("thank you for your order \(order.orderID) at \(shop):"),
            .table(Self.rows(order.items, total: order.total, order.currency)),
            .paragraph("We are looking for the goods and for your payment now, and write again when both are there."),
        ]
    }

    package init(_ order: OrderPaid, shop: String) {
        template = .orderPaid
        subject = "Your order \(order.orderID) is paid – \(shop)"
        blocks = [
            .paragraph("Hello \(order.customer.name),"),
            .paragraph("your order \(order.orderID) is paid and on its way to you:"),
            .table(Self.rows(order.items, total: order.amount, order.currency)),
            .paragraph("Your payment's reference is \(order.chargeID)."),
        ]
    }

    package init(_ order: OrderRejected, shop: String) {
        template = .orderRejected
        subject = "We cannot serve your order \(order.orderID) – \(shop)"
        blocks = [
            .paragraph("Hello \(order.customer.name),"),
            .paragraph("we are sorry: we do not have all that you ordered with \(order.orderID)."),
            .table(
                order.missing.map {
                    Row(name: $0.name, value: "\($0.requested) ordered, \($0.available) in stock")
                }),
            .paragraph("We have charged nothing. You are welcome to order what is there."),
        ]
    }

    package init(_ payment: PaymentFailed, shop: String) {
        template = .paymentFailed
        subject = "The payment for your order \(payment.orderID) failed – \(shop)"
        blocks = [
            .paragraph("Hello \(payment.customer.name),"),
            .paragraph(
                "we could not charge \(Money.text(payment.amount, payment.currency)) for your order "
                    + "\(payment.orderID): \(payment.message)"),
            .paragraph(
                "We have charged nothing and keep nothing reserved. You are welcome to order again with another "
                    + "payment method."),
        ]
    }

    private static func rows(_ items: [OrderItem], total: Int, _ currency: String) -> [Row] {
        items.map {
            // Both checks of an event came before: the products and their sum fit.
            Row(name: "\($0.quantity) × \($0.name)", value: Money.text($0.quantity &* $0.unitPrice, currency))
        } + [Row(name: "Total", value: Money.text(total, currency))]
    }
}
