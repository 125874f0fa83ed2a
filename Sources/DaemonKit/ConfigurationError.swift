/// What is wrong in a configuration, where it stands, and what would be right.
package struct ConfigurationError: Error, Equatable, CustomStringConvertible {
    package let file: String
    /// Counted from 1; nil when the whole file is meant.
    package let line: Int?
    package let text: String

    package init(file: String, line: Int?, text: String) {
        self.file = file
        self.line = line
        self.text = text
    }

    /// For instance `/etc/brokerd/brokerd.conf:12: unknown key lsten; known keys: body_max, listen`.
    package var description: String {
        if let line { "\(file):\(line): \(text)" } else { "\(file): \(text)" }
    }
}
