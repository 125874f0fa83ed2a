/// Names that stand for many topics: `*` for one part between dots, a last `>` for one or more.
extension TopicName {
    /// Whether a part is exactly `*`, or the last one exactly `>`. Such a name is no topic's.
    public var isPattern: Bool {
        let parts = parts
        return parts.contains("*") || parts.last == ">"
    }

    private var parts: [Substring] { text.split(separator: ".", omittingEmptySubsequences: false) }

    /// Whether there can be a topic that both stand for.
    public func overlaps(_ other: TopicName) -> Bool {
        let (mine, others) = (parts, other.parts)
        for index in 0..<max(mine.count, others.count) {
            if index >= mine.count || index >= others.count { return false }
            let (left, right) = (mine[index], others[index])
            if left == ">" && index == mine.count - 1 || right == ">" && index == others.count - 1 { return true }
            if left != "*" && right != "*" && left != right { return false }
        }
        return true
    }

    /// Whether this pattern stands for the topic. A name without a wildcard stands for itself.
    public func matches(_ topic: TopicName) -> Bool {
        let (pattern, name) = (parts, topic.parts)
        for (index, part) in pattern.enumerated() {
            if index >= name.count { return false }
            if part == ">" && index == pattern.count - 1 { return true }
            if part != "*" && part != name[index] { return false }
        }
        return pattern.count == name.count
    }
}
