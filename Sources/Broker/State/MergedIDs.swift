import BrokerProtocol

/// Several sources of ids in order as one, each id once. An id costs O(log of the number of sources).
struct MergedIDs: Sequence, IteratorProtocol {
    private struct Source: Comparable {
        enum Rest {
            case lane(ArraySlice<MessageID>)
            case walk(OrderedIDs.Walk)
        }

        var head = MessageID(rawValue: 0)
        let isReversed: Bool
        var rest: Rest

        mutating func advance() -> Bool {
            var next: MessageID?
            switch rest {
            case .lane(var ids):
                next = isReversed ? ids.popLast() : ids.popFirst()
                rest = .lane(ids)
            case .walk(var walk):
                next = walk.next()
                rest = .walk(walk)
            }
            if let next { head = next }
            return next != nil
        }

        static func < (left: Self, right: Self) -> Bool {
            left.isReversed ? left.head > right.head : left.head < right.head
        }

        static func == (left: Self, right: Self) -> Bool { left.head == right.head }
    }

    private let first: MessageID
    private let last: MessageID
    private let isReversed: Bool
    private var sources = Heap<Source>()
    private var previous: MessageID?

    /// What lies between two ids, both included.
    init(
        from first: MessageID = MessageID(rawValue: 0), through last: MessageID = MessageID(rawValue: .max),
        isReversed: Bool = false
    ) {
        self.first = first
        self.last = last
        self.isReversed = isReversed
    }

    mutating func add(_ ids: OrderedIDs) {
        if ids.isEmpty { return }
        add(.walk(isReversed ? ids.reversed(from: last) : ids.from(first)))
    }

    /// - Parameter ids: In ascending order.
    mutating func add(lane ids: ArraySlice<MessageID>) {
        if ids.isEmpty { return }
        let start = ids.index(of: first)
        let end = last.rawValue == .max ? ids.endIndex : ids.index(of: MessageID(rawValue: last.rawValue + 1))
        if start < end { add(.lane(ids[start..<end])) }
    }

    private mutating func add(_ rest: Source.Rest) {
        var source = Source(isReversed: isReversed, rest: rest)
        if source.advance() { sources.insert(source) }
    }

    mutating func next() -> MessageID? {
        while var source = sources.removeFirst() {
            let id = source.head
            if isReversed ? id < first : id > last { continue }
            if source.advance() { sources.insert(source) }
            if id == previous { continue }
            previous = id
            return id
        }
        return nil
    }
}

extension ArraySlice<MessageID> {
    /// Where the first id stands that is not smaller; the ids are in order.
    func index(of id: MessageID) -> Int {
        var (low, high) = (startIndex, endIndex)
        while low < high {
            let middle = (low + high) / 2
            if self[middle] < id { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
