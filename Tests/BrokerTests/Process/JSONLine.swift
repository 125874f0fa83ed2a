import Foundation

/// A line of the log that is one JSON object with text members.
struct JSONLine {
    let members: [String: String]
    var keys: Set<String> { Set(members.keys) }

    init?(_ line: String) {
        guard let members = try? JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: String] else {
            return nil
        }
        self.members = members
    }
}
