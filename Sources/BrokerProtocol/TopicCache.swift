/// Names of topics that a connection has written before. Most of its publishes name one of a few, and checking a name
/// costs more than finding it here. Small until it is used, and bounded; a name that is not found is only slower.
struct TopicCache: Sendable {
    private struct Entry {
        let bytes: [UInt8]
        let name: TopicName
    }

    /// By the hash of their bytes; a new name takes the place of another one when there can be no more places.
    private var places: [Entry?] = []

    private static let placesMin = 4
    private static let placesMax = 256

    /// FNV-1a.
    private func place(of bytes: [UInt8], _ range: Range<Int>) -> Int {
        var hash: UInt32 = 0x811C_9DC5
        for index in range { hash = (hash ^ UInt32(bytes[index])) &* 0x0100_0193 }
        return Int((hash ^ hash >> 16) & UInt32(places.count - 1))
    }

    func name(spelled bytes: [UInt8], _ range: Range<Int>) -> TopicName? {
        if places.isEmpty { return nil }
        guard let entry = places[place(of: bytes, range)], entry.bytes.count == range.count else { return nil }
        for index in 0..<range.count where entry.bytes[index] != bytes[range.lowerBound + index] { return nil }
        return entry.name
    }

    mutating func add(_ name: TopicName, spelled bytes: [UInt8], _ range: Range<Int>) {
        if places.isEmpty { places = [Entry?](repeating: nil, count: Self.placesMin) }
        while places[place(of: bytes, range)] != nil && places.count < Self.placesMax {
            let entries = places
            places = [Entry?](repeating: nil, count: entries.count * 2)
            for case let entry? in entries { places[place(of: entry.bytes, 0..<entry.bytes.count)] = entry }
        }
        places[place(of: bytes, range)] = Entry(bytes: Array(bytes[range]), name: name)
    }
}

extension ByteReader {
    mutating func topic(_ cache: inout TopicCache) throws(Malformed) -> TopicName {
        var ahead = self
        let count = Int(try ahead.u16("topic"))
        guard count <= ahead.remaining else { return try topic() }
        let range = ahead.position..<ahead.position + count
        if let name = cache.name(spelled: bytes, range) {
            position = range.upperBound
            return name
        }
        let name = try topic()
        cache.add(name, spelled: bytes, range)
        return name
    }
}
