/// A queue whose elements keep the index that they got when they were appended, while the front is dropped.
struct SlidingArray<Element> {
    private var elements: [Element] = []
    private var head = 0
    private(set) var start: UInt64

    init(start: UInt64 = 0) { self.start = start }

    var end: UInt64 { start + UInt64(elements.count - head) }
    var isEmpty: Bool { head == elements.count }
    var count: Int { elements.count - head }

    subscript(index: UInt64) -> Element {
        get {
            precondition(index >= start)
            return elements[head + Int(index - start)]
        }
        set {
            precondition(index >= start)
            elements[head + Int(index - start)] = newValue
        }
        _modify {
            precondition(index >= start)
            yield &elements[head + Int(index - start)]
        }
    }

    /// Nil at the end.
    func element(at index: UInt64) -> Element? {
        precondition(index >= start)
        let place = head + Int(index - start)
        return place < elements.count ? elements[place] : nil
    }

    mutating func append(_ element: Element) { elements.append(element) }

    /// Appends what the array holds and leaves it empty. Both keep their memory.
    mutating func append(taking others: inout [Element]) {
        if isEmpty {
            swap(&elements, &others)
            head = 0
        } else {
            elements.append(contentsOf: others)
        }
        others.removeAll(keepingCapacity: others.capacity <= 4096)
    }

    /// Takes the first element out. The array is not empty.
    mutating func removeFirst() -> Element {
        let first = elements[head]
        drop(before: start + 1)
        return first
    }

    /// Drops the elements before `index`; memory is given back in large steps, so that dropping is cheap.
    mutating func drop(before index: UInt64) {
        precondition((start...end).contains(index))
        head += Int(index - start)
        start = index
        if head == elements.count {
            elements.removeAll(keepingCapacity: elements.capacity <= 4096)
            head = 0
        } else if head >= 1024 && head * 2 >= elements.count {
            elements.removeFirst(head)
            head = 0
        }
    }

    /// Elements from `index` on.
    func from(_ index: UInt64) -> ArraySlice<Element> { elements[(head + Int(max(index, start) - start))...] }
}
