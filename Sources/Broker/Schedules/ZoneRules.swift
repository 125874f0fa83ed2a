import BrokerProtocol

/// The local time of a zone: its offsets from UTC, from transition to transition, and a rule for the time after them.
///
/// `parsing` reads a TZif file, RFC 9636, of any version.
struct ZoneRules: Hashable {
    /// A stretch of time with one offset, in seconds since 1970-01-01 UTC.
    struct Period: Hashable {
        /// Seconds east of UTC.
        let offset: Int64
        let start: Int64
        /// Not part of it; the largest number means no end.
        let end: Int64
    }

    typealias Malformed = ByteReader.Malformed

    static let utc = ZoneRules(firstOffset: 0, transitions: [], footer: nil)
    /// More than any zone has; a file's counts are bounded by its size as well.
    static let bytesMax = 64 << 10
    /// Offsets are less than this; RFC 9636 allows -25 h to 26 h.
    static let offsetMax: Int64 = 27 * 3_600

    private struct Transition: Hashable {
        let at: Int64
        let offset: Int64
    }

    /// Before the first transition.
    private let firstOffset: Int64
    private let transitions: [Transition]
    private let footer: PosixZone?

    private init(firstOffset: Int64, transitions: [Transition], footer: PosixZone?) {
        self.firstOffset = firstOffset
        self.transitions = transitions
        self.footer = footer
    }

    /// - Throws: What is wrong and where, for every input that is no TZif file.
    init(parsing bytes: [UInt8]) throws(Malformed) {
        guard bytes.count <= Self.bytesMax else { throw Malformed(offset: 0, what: "\(bytes.count) bytes") }
        var reader = ByteReader(bytes)
        var header = try Header(reading: &reader)
        if header.version >= 2 {
            try reader.skip(header.dataBytes(timeBytes: 4))
            header = try Header(reading: &reader)
            (firstOffset, transitions) = try Self.data(header, timeBytes: 8, &reader)
            footer = try Self.footer(bytes[reader.offset...], at: reader.offset)
        } else {
            (firstOffset, transitions) = try Self.data(header, timeBytes: 4, &reader)
            footer = nil
        }
    }

    private struct Header {
        let version: UInt8
        let isUTCount: Int
        let isStandardCount: Int
        let leapCount: Int
        let timeCount: Int
        let typeCount: Int
        let charCount: Int

        init(reading reader: inout ByteReader) throws(Malformed) {
            let at = reader.offset
            guard try reader.u32("magic") == 0x545A_6966 else { throw Malformed(offset: at, what: "no TZif header") }
            let version = try reader.u8("version")
            self.version = version >= 0x32 ? version - 0x30 : 1
            try reader.skip(15)
            isUTCount = Int(try reader.u32("UT indicators"))
            isStandardCount = Int(try reader.u32("standard indicators"))
            leapCount = Int(try reader.u32("leap seconds"))
            timeCount = Int(try reader.u32("transitions"))
            typeCount = Int(try reader.u32("types"))
            charCount = Int(try reader.u32("characters"))
        }

        func dataBytes(timeBytes: Int) -> Int {
            timeCount * (timeBytes + 1) + typeCount * 6 + charCount + leapCount * (timeBytes + 4) + isStandardCount
                + isUTCount
        }
    }

    private static func data(
        _ header: Header, timeBytes: Int, _ reader: inout ByteReader
    ) throws(Malformed) -> (Int64, [Transition]) {
        let start = reader.offset
        guard header.leapCount == 0 else { throw Malformed(offset: start, what: "a zone that counts leap seconds") }
        guard header.typeCount > 0, header.dataBytes(timeBytes: timeBytes) <= reader.remaining else {
            throw Malformed(offset: start, what: "\(reader.remaining) bytes are left for the data")
        }
        var times: [Int64] = []
        for _ in 0..<header.timeCount {
            let at = reader.offset
            let time =
                timeBytes == 8
                ? try reader.i64("transition") : Int64(Int32(bitPattern: try reader.u32("transition")))
            if let last = times.last, time <= last { throw Malformed(offset: at, what: "transitions out of order") }
            times.append(time)
        }
        var types: [Int] = []
        for _ in 0..<header.timeCount {
            let at = reader.offset
            let type = Int(try reader.u8("type"))
            guard type < header.typeCount else { throw Malformed(offset: at, what: "there is no type \(type)") }
            types.append(type)
        }
        var offsets: [Int64] = []
        for _ in 0..<header.typeCount {
            let at = reader.offset
            let offset = Int64(Int32(bitPattern: try reader.u32("offset")))
            guard abs(offset) < offsetMax else { throw Malformed(offset: at, what: "an offset of \(offset) s") }
            try reader.skip(2)
            offsets.append(offset)
        }
        try reader.skip(header.charCount + header.isStandardCount + header.isUTCount)
        return (offsets[0], zip(times, types).map { Transition(at: $0, offset: offsets[$1]) })
    }

    /// A line end, the rule, a line end.
    private static func footer(_ bytes: ArraySlice<UInt8>, at offset: Int) throws(Malformed) -> PosixZone? {
        guard bytes.first == 0x0A, bytes.count >= 2, let end = bytes.dropFirst().firstIndex(of: 0x0A) else {
            throw Malformed(offset: offset, what: "no footer")
        }
        let text = String(decoding: bytes[(bytes.startIndex + 1)..<end], as: UTF8.self)
        if text.isEmpty { return nil }
        guard let zone = PosixZone(text) else { throw Malformed(offset: offset, what: "a footer `\(text)`") }
        return zone
    }

    // MARK: Time

    func period(at time: Int64) -> Period {
        var (low, high) = (0, transitions.count)
        while low < high {
            let middle = (low + high) / 2
            if transitions[middle].at <= time { low = middle + 1 } else { high = middle }
        }
        if low == transitions.count, let footer {
            let period = footer.period(at: time)
            let start = max(period.start, transitions.last?.at ?? .min)
            return Period(offset: period.offset, start: start, end: period.end)
        }
        return Period(
            offset: low == 0 ? firstOffset : transitions[low - 1].offset,
            start: low == 0 ? .min : transitions[low - 1].at,
            end: low == transitions.count ? .max : transitions[low].at)
    }

    /// The first moment at which the zone's clocks show this local time or a later one: for a time that a change leaves
    /// out the moment of the change, for one that comes twice the first.
    /// - Parameter local: Seconds of local time since 1970-01-01; far from the ends of its type.
    func moment(reaching local: Int64) -> Int64 {
        var period = period(at: local - Self.offsetMax)
        while true {
            let moment = max(period.start, local - period.offset)
            if moment < period.end || period.end == .max { return moment }
            period = self.period(at: period.end)
        }
    }
}
