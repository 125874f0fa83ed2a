extension TopicSettings {
    /// Whether a publish has to look at what the topic holds.
    package var isLimited: Bool { messagesMax > 0 || bytesMax > 0 }
}

extension OutgoingMessage {
    /// Bytes of body and headers; a header has four bytes more, as on the wire.
    package var contentBytes: Int { headers.reduce(body.count) { $0 + $1.key.utf8.count + $1.value.utf8.count + 4 } }
}
