/// One unit of the wire.
///
///     byte  0        4         5      6         8              12
///           +--------+---------+------+---------+--------------+--------…
///           | length | version | kind | zero    | correlation  | fields
///           | u32    | u8 = 1  | u8   | u16 = 0 | u32          |
///           +--------+---------+------+---------+--------------+--------…
///
/// `length` counts what follows it, 8 to the frame limit. All numbers are big-endian. docs/PROTOCOL.md draws the fields
/// of each kind.
public enum Frame: Hashable, Sendable {
    /// From the client; the response carries the same correlation.
    case request(UInt32, Request)
    case response(UInt32, Response)
    case push(Push)
    /// Both ways; says only that the sender lives.
    case heartbeat

    public static let version: UInt8 = 1
    public static let lengthBytes = 4
    public static let headerBytes = 12
    static let kindOffset = 5
    static let correlationOffset = 8
    static let heartbeatKind: UInt8 = 0x7F

    /// What a broker sends without being asked.
    public enum Push: Hashable, Sendable {
        case deliveries([Delivery])
        /// The consumer is no more: drained (no error), or its subscription was deleted.
        case consumerEnded(ConsumerID, BrokerError?)
    }

    /// Adds the frame's bytes.
    public func encode(into writer: inout ByteWriter) {
        switch self {
        case .request(let correlation, let request):
            let start = Self.begin(request.kind, correlation, &writer)
            request.encodeFields(into: &writer)
            Self.end(start, &writer)
        case .response(let correlation, let response): Self.encode(response, to: correlation, into: &writer)
        case .push(let push):
            let start = Self.begin(push.kind, 0, &writer)
            push.encodeFields(into: &writer)
            Self.end(start, &writer)
        case .heartbeat: Self.end(Self.begin(Self.heartbeatKind, 0, &writer), &writer)
        }
    }

    /// Adds the bytes of a response's frame.
    package static func encode(_ response: Response, to correlation: UInt32, into writer: inout ByteWriter) {
        let start = begin(response.kind, correlation, &writer)
        response.encodeFields(into: &writer)
        end(start, &writer)
    }

    /// Adds the frame of a push of deliveries, one by one.
    /// - Parameter add: Adds them with ``ByteWriter/delivery(_:content:)``, and tells how many; with none there is no
    ///   frame.
    package static func encodeDeliveries(into writer: inout ByteWriter, _ add: (inout ByteWriter) throws -> Int) throws
    {
        let start = begin(Push.deliveriesKind, 0, &writer)
        writer.u32(0)
        var count = 0
        defer { if count == 0 { writer.bytes.removeLast(writer.bytes.count - start) } }
        count = try add(&writer)
        writer.patch(UInt32(count), at: start + headerBytes)
        end(start, &writer)
    }

    /// - Returns: Where the frame begins.
    static func begin(_ kind: UInt8, _ correlation: UInt32, _ writer: inout ByteWriter) -> Int {
        let start = writer.bytes.count
        writer.bytes.append(addingCapacity: headerBytes) { room in
            room.append(bigEndian: 0 as UInt32)
            room.append(version)
            room.append(kind)
            room.append(0)
            room.append(0)
            room.append(bigEndian: correlation)
        }
        return start
    }

    /// Fills in the length.
    static func end(_ start: Int, _ writer: inout ByteWriter) {
        writer.patch(UInt32(writer.bytes.count - start - lengthBytes), at: start)
    }

    public var bytes: [UInt8] {
        var writer = ByteWriter()
        encode(into: &writer)
        return writer.bytes
    }
}

/// Cuts a stream of bytes into frames.
public struct FrameDecoder: Sendable {
    /// Which side of a connection reads: each accepts only what the other may send.
    public enum Side: Sendable { case broker, client }

    /// The stream cannot be read on: answer with the error and close.
    public struct Failure: Error, Hashable, Sendable {
        /// Of the frame, when its header could be read; else 0.
        public let correlation: UInt32
        public let error: BrokerError
    }

    let side: Side
    /// Limit of a frame's `length` field.
    public var frameBytesMax: Int
    private(set) var buffer: [UInt8] = []
    /// Of the frame that is next.
    var start = 0
    var topics = TopicCache()
    private var isBorrowing = false

    public init(side: Side, frameBytesMax: Int) {
        self.side = side
        self.frameBytesMax = frameBytesMax
    }

    /// Bytes that wait for the rest of their frame.
    public var bufferedBytes: Int { buffer.count - start }

    /// Takes bytes from the peer through `read`, which appends to the array that it is given.
    public mutating func fill<Result, Failure: Error>(
        _ read: (inout [UInt8]) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        if start > 0 {
            if start == buffer.count {
                buffer.removeAll(keepingCapacity: buffer.capacity <= 1 << 17)
                start = 0
            } else if start >= 1 << 16 {
                buffer.removeFirst(start)
                start = 0
            }
        }
        return try read(&buffer)
    }

    /// Reads go into a buffer that many connections share one after another, so that one without input needs none.
    /// Call before ``fill(_:)``.
    /// - Parameter room: Empty.
    package mutating func borrow(_ room: inout [UInt8]) {
        // A long frame that comes in pieces is not copied for each of them.
        if bufferedBytes > Self.borrowedBytesMax { return }
        room.append(contentsOf: buffer[start...])
        swap(&room, &buffer)
        start = 0
        isBorrowing = true
    }

    /// Gives the buffer back, empty; what is left of a frame stays here. Call when the frames were taken.
    package mutating func giveBack(_ room: inout [UInt8]) {
        if isBorrowing {
            isBorrowing = false
            let rest = start == buffer.count ? [] : Array(buffer[start...])
            room = buffer
            buffer = rest
            start = 0
            room.removeAll(keepingCapacity: true)
        } else if start == buffer.count {
            buffer = []
            start = 0
        }
    }

    package static let borrowedBytesMax = 16 << 10

    public mutating func append(_ bytes: some Sequence<UInt8>) { fill { $0.append(contentsOf: bytes) } }

    /// - Returns: The next whole frame; nil when more bytes are needed.
    public mutating func next() throws(Failure) -> Frame? {
        guard bufferedBytes >= Frame.lengthBytes else { return nil }
        let length = Int(word(at: start))
        // The version is judged as soon as it is there: another protocol's first bytes are no length.
        if bufferedBytes > Frame.lengthBytes, buffer[start + 4] != Frame.version {
            throw fail(
                0, .versionUnsupported,
                "byte 4 of a frame is the protocol version, \(Frame.version) here, not \(buffer[start + 4])"
            )
        }
        guard length >= Frame.headerBytes - Frame.lengthBytes else {
            throw fail(0, .malformedFrame, "a frame's length is at least 8, not \(length)")
        }
        guard length <= frameBytesMax else {
            throw fail(0, .frameTooLarge, "a frame has at most \(frameBytesMax) bytes, not \(length)")
        }
        guard bufferedBytes >= Frame.lengthBytes + length else { return nil }
        let end = start + Frame.lengthBytes + length
        let kind = buffer[start + Frame.kindOffset]
        let correlation = word(at: start + 8)
        guard buffer[start + 6] == 0, buffer[start + 7] == 0 else {
            throw fail(correlation, .malformedFrame, "bytes 6 and 7 of a frame are zero")
        }
        var reader = ByteReader(buffer, start..<end)
        do throws(ByteReader.Malformed) {
            try reader.skip(Frame.headerBytes)
            let frame = try decode(kind, correlation, &reader)
            try reader.expectEnd()
            start = end
            return frame
        } catch {
            throw fail(correlation, .malformedFrame, "kind \(kind), byte \(error.offset): \(error.what)")
        }
    }

    /// Where the next frame stands in the buffer; nil when it is of another kind, not whole, or has a header that
    /// ``next()`` refuses.
    func wholeFrame(ofKind kind: UInt8) -> Range<Int>? {
        guard bufferedBytes >= Frame.headerBytes, buffer[start + Frame.kindOffset] == kind,
            buffer[start + 4] == Frame.version, buffer[start + 6] == 0, buffer[start + 7] == 0
        else { return nil }
        let length = Int(word(at: start))
        guard length >= Frame.headerBytes - Frame.lengthBytes, length <= frameBytesMax,
            bufferedBytes >= Frame.lengthBytes + length
        else { return nil }
        return start..<start + Frame.lengthBytes + length
    }

    private func word(at index: Int) -> UInt32 {
        UInt32(buffer[index + 3]) | UInt32(buffer[index + 2]) << 8 | UInt32(buffer[index + 1]) << 16
            | UInt32(buffer[index]) << 24
    }

    private func fail(_ correlation: UInt32, _ code: BrokerError.Code, _ text: String) -> Failure {
        Failure(correlation: correlation, error: BrokerError(code, text))
    }

    private mutating func decode(
        _ kind: UInt8, _ correlation: UInt32, _ reader: inout ByteReader
    ) throws(ByteReader.Malformed) -> Frame {
        if kind == Frame.heartbeatKind { return .heartbeat }
        switch side {
        case .broker:
            guard kind < 0x60 else { break }
            if kind == Request.publishKind { return .request(correlation, .publish(try reader.messages(&topics))) }
            return .request(correlation, try Request(kind: kind, reading: &reader))
        case .client:
            if kind >= 0x80 { return .response(correlation, try Response(kind: kind, reading: &reader)) }
            if kind >= 0x60 { return .push(try Frame.Push(kind: kind, reading: &reader)) }
        }
        throw ByteReader.Malformed(
            offset: Frame.kindOffset, what: "the \(side) does not read frames of this kind")
    }
}
