private import Foundation

/// Header fields of RFC 5322 with the encoded words of RFC 2047. No text can break out of its field: a control
/// character, line ends among them, becomes a space.
package enum MailHeader {
    /// RFC 2047 section 2: a line with an encoded word.
    private static let lineColumnsMax = 76
    /// RFC 2047 section 2: one encoded word.
    private static let wordColumnsMax = 75
    private static let wordStart = "=?UTF-8?B?"
    private static let wordEnd = "?="

    /// `Name: text` and CRLF. ASCII that fits the line stands as it is, everything else as encoded words.
    package static func unstructured(_ name: String, _ text: String) -> String {
        let text = singleLine(text)
        let prefix = name + ": "
        let isPlain = prefix.utf8.count + text.utf8.count <= lineColumnsMax && isASCII(text) && !text.contains("=?")
        return prefix + (isPlain ? text : encodedWords(text, after: prefix)) + "\r\n"
    }

    /// `Name: "Display name" <local@domain>` and CRLF.
    package static func address(_ name: String, _ address: MailAddress) -> String {
        let display = singleLine(address.name)
        let prefix = name + ": "
        let quoted = "\"" + display.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"") + "\""
        let isPlain =
            prefix.utf8.count + quoted.utf8.count <= lineColumnsMax && isASCII(display) && !display.contains("=?")
        let shown = isPlain ? quoted : encodedWords(display, after: prefix)
        let columnCount = (prefix + shown).split(separator: "\r\n").last?.utf8.count ?? 0
        let fold = columnCount + address.email.utf8.count + 3 > lineColumnsMax ? "\r\n " : " "
        return prefix + shown + fold + "<\(address.email)>\r\n"
    }

    /// Encoded words, one a line. Each holds whole characters; one that is too long for a word is cut between its
    /// Unicode scalars, never inside one.
    private static func encodedWords(_ text: String, after prefix: String) -> String {
        var words: [String] = []
        var bytes: [UInt8] = []
        var bytesMax = wordBytesMax(columns: lineColumnsMax - prefix.utf8.count)
        func endWord() {
            words.append(wordStart + Data(bytes).base64EncodedString() + wordEnd)
            bytes = []
            bytesMax = wordBytesMax(columns: wordColumnsMax)
        }
        for character in text {
            let size = character.utf8.count
            if !bytes.isEmpty && bytes.count + size > bytesMax { endWord() }
            for scalar in character.unicodeScalars {
                let scalarBytes = Array(String(scalar).utf8)
                if !bytes.isEmpty && bytes.count + scalarBytes.count > bytesMax { endWord() }
                bytes += scalarBytes
            }
        }
        if !bytes.isEmpty { endWord() }
        return words.joined(separator: "\r\n ")
    }

    /// Base64 makes 4 columns of 3 bytes.
    private static func wordBytesMax(columns: Int) -> Int {
        (min(columns, wordColumnsMax) - wordStart.utf8.count - wordEnd.utf8.count) / 4 * 3
    }

    private static func isASCII(_ text: String) -> Bool { text.utf8.allSatisfy { $0 < 0x80 } }

    private static func singleLine(_ text: String) -> String {
        var line = ""
        for scalar in text.unicodeScalars {
            switch scalar.properties.generalCategory {
            case .control, .lineSeparator, .paragraphSeparator: line.unicodeScalars.append(" ")
            default: line.unicodeScalars.append(scalar)
            }
        }
        return line
    }
}

/// A person or a role with a mailbox; only with an address that can stand in a header.
package struct MailAddress: Hashable, Sendable {
    package let name: String
    package let email: String

    /// - Throws: The rule that the address breaks.
    package init(name: String, email: String) throws(FieldViolation) {
        try FieldRule.email(email, "email")
        self.name = name
        self.email = email
    }

    package var domain: Substring { email.split(separator: "@").last ?? "" }
}
