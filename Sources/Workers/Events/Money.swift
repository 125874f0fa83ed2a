/// The check and the writing of amounts. An amount is always an `Int` of minor units: cents, pence, whole yen.
package enum Money {
    /// ISO 4217 currencies whose minor unit is not a hundredth.
    private static let exponents: [String: Int] = [
        "BIF": 0, "CLP": 0, "DJF": 0, "GNF": 0, "ISK": 0, "JPY": 0, "KMF": 0, "KRW": 0, "PYG": 0, "RWF": 0, "UGX": 0,
        "UYI": 0, "VND": 0, "VUV": 0, "XAF": 0, "XOF": 0, "XPF": 0,
        "BHD": 3, "IQD": 3, "JOD": 3, "KWD": 3, "LYD": 3, "OMR": 3, "TND": 3,
        "CLF": 4, "UYW": 4,
    ]

    /// For instance `12.50 EUR`, `980 JPY`, `1.500 KWD`.
    package static func text(_ minorUnits: Int, _ currency: String) -> String {
        let exponent = exponents[currency] ?? 2
        let sign = minorUnits < 0 ? "-" : ""
        let digits = String(minorUnits.magnitude)
        if exponent == 0 { return "\(sign)\(digits) \(currency)" }
        let full = String(repeating: "0", count: max(0, exponent + 1 - digits.count)) + digits
        return "\(sign)\(full.dropLast(exponent)).\(full.suffix(exponent)) \(currency)"
    }

    /// Three capital letters; which of them are money today is not for us to say.
    package static func isCurrency(_ text: String) -> Bool {
        text.utf8.count == 3 && text.utf8.allSatisfy { (0x41...0x5A).contains($0) }
    }
}
