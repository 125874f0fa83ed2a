/// A field of an event that breaks its rule, in words for the dead letter; starts with the field's JSON name.
public struct FieldViolation: Error, Hashable, Sendable, CustomStringConvertible {
    public let description: String

    init(_ field: String, _ rule: String) { description = "\(field): \(rule)" }
}

/// An event of the order flow: one order's, and checked before anything is done for it.
public protocol OrderEvent: Event {
    var orderID: String { get }
    /// - Throws: The first field that breaks its rule.
    func validate() throws(FieldViolation)
}

/// Who ordered. Travels through every event of the order, so that a mail needs no database.
public struct Customer: Hashable, Sendable, Codable {
    public var name: String
    public var email: String

    public init(name: String, email: String) {
        self.name = name
        self.email = email
    }

    func validate() throws(FieldViolation) {
        try FieldRule.text(name, "customer.name", bytesMax: 200)
        try FieldRule.email(email, "customer.email")
    }
}

/// One line of an order.
public struct OrderItem: Hashable, Sendable, Codable {
    public var sku: String
    public var name: String
    /// 1 to 1_000_000.
    public var quantity: Int
    /// Minor units of the order's currency; 0 for a gift.
    public var unitPrice: Int

    private enum CodingKeys: String, CodingKey {
        case sku, name, quantity
        case unitPrice = "unit_price"
    }

    public init(sku: String, name: String, quantity: Int, unitPrice: Int) {
        self.sku = sku
        self.name = name
        self.quantity = quantity
        self.unitPrice = unitPrice
    }

    /// - Returns: The price of the line, checked against overflow.
    func validate(_ place: String) throws(FieldViolation) -> Int {
        try FieldRule.text(sku, "\(place).sku", bytesMax: 100)
        try FieldRule.text(name, "\(place).name", bytesMax: 200)
        guard (1...1_000_000).contains(quantity) else {
            throw FieldViolation("\(place).quantity", "\(quantity) is not between 1 and 1000000")
        }
        guard unitPrice >= 0 else { throw FieldViolation("\(place).unit_price", "\(unitPrice) is negative") }
        let (price, overflow) = unitPrice.multipliedReportingOverflow(by: quantity)
        guard !overflow else { throw FieldViolation("\(place).unit_price", "\(unitPrice) is too large") }
        return price
    }
}

/// The rules that several events share.
enum FieldRule {
    static let itemsMax = 1000

    /// The order's id is part of keys, of mail headers and of file names: 1 to 64 visible ASCII characters.
    static func orderID(_ text: String) throws(FieldViolation) { try token(text, "order_id", bytesMax: 64) }

    /// Visible ASCII without space.
    static func token(_ text: String, _ field: String, bytesMax: Int) throws(FieldViolation) {
        guard (1...bytesMax).contains(text.utf8.count), text.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) else {
            throw FieldViolation(field, "not 1 to \(bytesMax) visible ASCII characters")
        }
    }

    /// One line of text; a line break in it could become a header of a mail.
    static func text(_ text: String, _ field: String, bytesMax: Int) throws(FieldViolation) {
        guard (1...bytesMax).contains(text.utf8.count) else {
            throw FieldViolation(field, "\(text.utf8.count) bytes, not 1 to \(bytesMax)")
        }
        let isLine = text.unicodeScalars.allSatisfy { scalar in
            switch scalar.properties.generalCategory {
            case .control, .lineSeparator, .paragraphSeparator: false
            default: true
            }
        }
        guard isLine else { throw FieldViolation(field, "contains a control character") }
    }

    /// `local@domain` as RFC 5322's dot-atoms in ASCII, at most 254 bytes; no quoted local part, no address literal.
    static func email(_ text: String, _ field: String) throws(FieldViolation) {
        let parts = text.split(separator: "@", omittingEmptySubsequences: false)
        guard parts.count == 2, text.utf8.count <= 254, isDotAtom(parts[0]), isDotAtom(parts[1]) else {
            throw FieldViolation(field, "not an address like name@example.org")
        }
    }

    private static func isDotAtom(_ text: Substring) -> Bool {
        text.split(separator: ".", omittingEmptySubsequences: false).allSatisfy { atom in
            !atom.isEmpty && atom.utf8.allSatisfy(isAtomByte)
        }
    }

    /// `atext` of RFC 5322.
    static func isAtomByte(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x30...0x39, 0x41...0x5A, 0x61...0x7A: true
        default: "!#$%&'*+-/=?^_`{|}~".utf8.contains(byte)
        }
    }

    static func currency(_ text: String) throws(FieldViolation) {
        guard Money.isCurrency(text) else {
            throw FieldViolation("currency", "not 3 capital letters, for instance EUR")
        }
    }

    /// Checks every line and that they add up to `total`, the amount in the field `field`.
    static func items(_ items: [OrderItem], addUpTo total: Int, _ field: String) throws(FieldViolation) {
        guard (1...itemsMax).contains(items.count) else {
            throw FieldViolation("items", "\(items.count) lines, not 1 to \(itemsMax)")
        }
        var sum = 0
        for (index, item) in items.enumerated() {
            let (next, overflow) = sum.addingReportingOverflow(try item.validate("items[\(index)]"))
            guard !overflow else { throw FieldViolation(field, "the items add up to more than an amount can hold") }
            sum = next
        }
        guard total == sum else { throw FieldViolation(field, "\(total), but the items add up to \(sum)") }
        guard total > 0 else { throw FieldViolation(field, "\(total), there is nothing to pay") }
    }
}
