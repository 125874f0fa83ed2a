/// An error reply: a code in capitals, a space and a text, such as `ERR syntax error`.
///
/// Bytes, since Redis repeats the client's own bytes in some of its texts. Line ends are no danger: the encoder writes
/// them as spaces.
package struct RESPError: Error, Hashable, Sendable, ExpressibleByStringInterpolation, CustomStringConvertible {
    package var bytes: [UInt8]

    package init(bytes: [UInt8]) { self.bytes = bytes }
    package init(_ text: String) { bytes = Array(text.utf8) }
    package init(stringLiteral text: String) { self.init(text) }

    package var description: String { String(decoding: bytes, as: UTF8.self) }
}
