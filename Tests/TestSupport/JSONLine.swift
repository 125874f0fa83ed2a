import Foundation

/// A line of the log that is one JSON object with text members.
package struct JSONLine {
    package let members: [String: String]
    package var keys: Set<String> { Set(members.keys) }

    package init?(_ line: String) {
        guard let members = try? JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: String] else {
            return nil
        }
        self.members = members
    }
}
