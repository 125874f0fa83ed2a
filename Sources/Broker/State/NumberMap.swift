import BrokerProtocol

/// A name that is a number, given out by this broker in growing order.
protocol NumberedID: Hashable {
    /// Never the highest number there is.
    var number: UInt64 { get }
    init(number: UInt64)
}

extension TopicID: NumberedID {
    var number: UInt64 { UInt64(rawValue) }
    init(number: UInt64) { self.init(rawValue: UInt32(truncatingIfNeeded: number)) }
}

extension SubscriptionID: NumberedID {
    var number: UInt64 { UInt64(rawValue) }
    init(number: UInt64) { self.init(rawValue: UInt32(truncatingIfNeeded: number)) }
}

extension SessionID: NumberedID {
    var number: UInt64 { rawValue }
    init(number: UInt64) { self.init(rawValue: number) }
}

extension MessageID: NumberedID {
    var number: UInt64 { rawValue }
    init(number: UInt64) { self.init(rawValue: number) }
}

extension LeaseID: NumberedID {
    var number: UInt64 { rawValue }
    init(number: UInt64) { self.init(rawValue: number) }
}

/// A dictionary for keys that the broker numbers itself. No client chooses them, so a multiplication is hash enough: a
/// lookup costs about a tenth of the standard dictionary's. Linear probing without tombstones; the order of the
/// elements means nothing.
///
/// Multiplicative hashing, and closing the gap at a removal: Knuth, "The Art of Computer Programming", vol. 3, 6.4.
struct NumberMap<Key: NumberedID, Value> {
    /// `vacant` marks a free place.
    private var numbers: [UInt64] = []
    private var places: [Value?] = []
    private(set) var count = 0
    /// 64 minus the bits of a place's index.
    private var shift: UInt64 = 64

    private static var vacant: UInt64 { .max }
    private static var smallest: Int { 8 }

    init() {}

    var isEmpty: Bool { count == 0 }

    private func home(of number: UInt64) -> Int { Int(truncatingIfNeeded: (number &* 0x9E37_79B9_7F4A_7C15) &>> shift) }

    private func index(of number: UInt64) -> Int? {
        if count == 0 || number == Self.vacant { return nil }
        let mask = numbers.count - 1
        var index = home(of: number)
        while true {
            Touches.note()
            let found = numbers[index]
            if found == number { return index }
            if found == Self.vacant { return nil }
            index = (index + 1) & mask
        }
    }

    func contains(_ key: Key) -> Bool { index(of: key.number) != nil }

    subscript(key: Key) -> Value? {
        get {
            guard let index = index(of: key.number) else { return nil }
            return places[index]
        }
        set {
            if let newValue { insert(newValue, key.number) } else { removeValue(forKey: key) }
        }
        _modify {
            if let index = index(of: key.number) {
                defer { if places[index] == nil { close(index) } }
                yield &places[index]
            } else {
                var value: Value?
                defer { if let value { insert(value, key.number) } }
                yield &value
            }
        }
    }

    subscript(key: Key, default standard: @autoclosure () -> Value) -> Value {
        get { self[key] ?? standard() }
        _modify {
            var value = self[key] ?? standard()
            defer { insert(value, key.number) }
            yield &value
        }
    }

    /// - Returns: Nil, and nothing done, when it is not there.
    mutating func change<Result>(_ key: Key, _ body: (inout Value) -> Result) -> Result? {
        guard let index = index(of: key.number), places[index] != nil else { return nil }
        return body(&places[index]!)
    }

    private mutating func insert(_ value: Value, _ number: UInt64) {
        precondition(number != Self.vacant, "the highest number is no id")
        if let index = index(of: number) {
            places[index] = value
            return
        }
        if (count + 1) * 4 > numbers.count * 3 { resize(Swift.max(Self.smallest, numbers.count * 2)) }
        put(value, number)
        count += 1
    }

    private mutating func put(_ value: Value?, _ number: UInt64) {
        let mask = numbers.count - 1
        var index = home(of: number)
        while numbers[index] != Self.vacant { index = (index + 1) & mask }
        numbers[index] = number
        places[index] = value
    }

    private mutating func resize(_ capacity: Int) {
        let (oldNumbers, oldPlaces) = (numbers, places)
        numbers = [UInt64](repeating: Self.vacant, count: capacity)
        places = [Value?](repeating: nil, count: capacity)
        shift = UInt64(capacity.leadingZeroBitCount + 1)
        for index in oldNumbers.indices where oldNumbers[index] != Self.vacant {
            put(oldPlaces[index], oldNumbers[index])
        }
    }

    @discardableResult
    mutating func removeValue(forKey key: Key) -> Value? {
        guard let index = index(of: key.number) else { return nil }
        let value = places[index]
        close(index)
        return value
    }

    /// Frees a place, and moves up who stands behind it only because it was taken.
    private mutating func close(_ index: Int) {
        count -= 1
        if count == 0 && numbers.count > 4096 {
            self = NumberMap()
            return
        }
        let mask = numbers.count - 1
        var gap = index
        var next = (gap + 1) & mask
        while numbers[next] != Self.vacant {
            let home = home(of: numbers[next])
            if (next &- home) & mask >= (next &- gap) & mask {
                numbers[gap] = numbers[next]
                places[gap] = places[next]
                gap = next
            }
            next = (next + 1) & mask
        }
        numbers[gap] = Self.vacant
        places[gap] = nil
    }

    var keys: [Key] {
        var keys: [Key] = []
        keys.reserveCapacity(count)
        Touches.note(count)
        for number in numbers where number != Self.vacant { keys.append(Key(number: number)) }
        return keys
    }

    var values: [Value] {
        Touches.note(count)
        return places.compactMap { $0 }
    }
}

extension NumberMap: Sequence {
    func makeIterator() -> IndexingIterator<[(key: Key, value: Value)]> {
        var pairs: [(key: Key, value: Value)] = []
        pairs.reserveCapacity(count)
        Touches.note(count)
        for index in numbers.indices {
            if let value = places[index] { pairs.append((Key(number: numbers[index]), value)) }
        }
        return pairs.makeIterator()
    }
}

extension NumberMap: ExpressibleByDictionaryLiteral {
    init(dictionaryLiteral elements: (Key, Value)...) { for (key, value) in elements { self[key] = value } }
}

/// A set of such keys.
struct NumberSet<Key: NumberedID> {
    private var map = NumberMap<Key, Void>()

    var isEmpty: Bool { map.isEmpty }
    var count: Int { map.count }

    func contains(_ key: Key) -> Bool { map.contains(key) }

    mutating func insert(_ key: Key) { map[key] = () }

    /// - Returns: Nil when it was not there.
    @discardableResult
    mutating func remove(_ key: Key) -> Key? { map.removeValue(forKey: key) == nil ? nil : key }
}

extension NumberSet: Sequence {
    func makeIterator() -> IndexingIterator<[Key]> { map.keys.makeIterator() }
}
