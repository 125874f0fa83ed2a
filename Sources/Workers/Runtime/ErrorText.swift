/// Errors as text for the broker and the log.
enum ErrorText {
    static let bytesMax = 1024

    /// At most ``bytesMax`` bytes; a longer text ends in `…`.
    static func bounded(_ text: String) -> String {
        if text.utf8.count <= bytesMax { return text }
        var result = ""
        var count = 0
        for character in text {
            count += character.utf8.count
            if count > bytesMax - 3 { break }
            result.append(character)
        }
        return result + "…"
    }

    static func describe(_ error: any Error) -> String {
        guard let error = error as? DecodingError else { return bounded(String(describing: error)) }
        return bounded(describe(error))
    }

    private static func describe(_ error: DecodingError) -> String {
        switch error {
        case .keyNotFound(let key, let context):
            "\(key.stringValue) is missing\(place(context.codingPath))"
        case .typeMismatch(let type, let context):
            "expected \(type)\(place(context.codingPath))"
        case .valueNotFound(let type, let context):
            "expected \(type), found null\(place(context.codingPath))"
        case .dataCorrupted(let context):
            "\(context.debugDescription)\(place(context.codingPath))"
        @unknown default:
            String(describing: error)
        }
    }

    private static func place(_ path: [any CodingKey]) -> String {
        if path.isEmpty { return "" }
        return " at " + path.map { $0.intValue.map { "[\($0)]" } ?? $0.stringValue }.joined(separator: ".")
    }
}
