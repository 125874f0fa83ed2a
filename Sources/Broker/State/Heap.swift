/// A binary heap: the smallest element comes out first.
struct Heap<Element: Comparable> {
    private var elements: [Element] = []

    var isEmpty: Bool { elements.isEmpty }
    var count: Int { elements.count }
    var first: Element? { elements.first }

    mutating func insert(_ element: Element) {
        elements.append(element)
        var child = elements.count - 1
        while child > 0 {
            Touches.note()
            let parent = (child - 1) / 2
            if elements[parent] <= elements[child] { return }
            elements.swapAt(parent, child)
            child = parent
        }
    }

    @discardableResult
    mutating func removeFirst() -> Element? {
        guard let first = elements.first else { return nil }
        let last = elements.removeLast()
        if elements.isEmpty { return first }
        elements[0] = last
        sink(0)
        return first
    }

    private mutating func sink(_ index: Int) {
        var parent = index
        while true {
            Touches.note()
            var smallest = parent
            for child in [2 * parent + 1, 2 * parent + 2] where child < elements.count {
                if elements[child] < elements[smallest] { smallest = child }
            }
            if smallest == parent { return }
            elements.swapAt(parent, smallest)
            parent = smallest
        }
    }

    /// Drops the entries that stand for nothing any more, once they are the most. Amortised O(1) per removed entry.
    /// - Parameter liveCount: How many entries still stand for something.
    mutating func dropStale(liveCount: Int, where isLive: (Element) -> Bool) {
        guard elements.count > 2 * liveCount + 1024 else { return }
        elements.removeAll { !isLive($0) }
        for index in stride(from: elements.count / 2, through: 0, by: -1) where index < elements.count { sink(index) }
    }
}
