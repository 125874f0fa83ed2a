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
    static let heartbeatKind: UInt8 = 0x7F

    /// What a broker sends without being asked.
    public enum Push: Hashable, Sendable {
        case deliveries([Delivery])
        /// The consumer is no more: drained (no error), or its subscription was deleted.
        case consumerEnded(ConsumerID, BrokerError?)
    }

    /// Adds the frame's bytes.
    public func encode(into writer: inout ByteWriter) {
        let start = writer.bytes.count
        func header(_ kind: UInt8, _ correlation: UInt32) {
            writer.u32(0)
            writer.u8(Self.version)
            writer.u8(kind)
            writer.u16(0)
            writer.u32(correlation)
        }
        switch self {
        case .request(let correlation, let request):
            header(request.kind, correlation)
            request.encodeFields(into: &writer)
        case .response(let correlation, let response):
            header(response.kind, correlation)
            response.encodeFields(into: &writer)
        case .push(let push):
            header(push.kind, 0)
            push.encodeFields(into: &writer)
        case .heartbeat: header(Self.heartbeatKind, 0)
        }
        writer.patch(UInt32(writer.bytes.count - start - Self.lengthBytes), at: start)
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

    private let side: Side
    /// Limit of a frame's `length` field.
    public var frameBytesMax: Int
    private var buffer: [UInt8] = []
    private var start = 0

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

    public mutating func append(_ bytes: some Sequence<UInt8>) { fill { $0.append(contentsOf: bytes) } }

    /// - Returns: The next whole frame; nil when more bytes are needed.
    public mutating func next() throws(Failure) -> Frame? {
        guard bufferedBytes >= Frame.lengthBytes else { return nil }
        let length = (0..<4).reduce(0) { $0 << 8 | Int(buffer[start + $1]) }
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
        let correlation = (8..<12).reduce(UInt32(0)) { $0 << 8 | UInt32(buffer[start + $1]) }
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

    private func fail(_ correlation: UInt32, _ code: BrokerError.Code, _ text: String) -> Failure {
        Failure(correlation: correlation, error: BrokerError(code, text))
    }

    private func decode(
        _ kind: UInt8, _ correlation: UInt32, _ reader: inout ByteReader
    ) throws(ByteReader.Malformed) -> Frame {
        if kind == Frame.heartbeatKind { return .heartbeat }
        switch side {
        case .broker:
            guard kind < 0x60 else { break }
            return .request(correlation, try Request(kind: kind, reading: &reader))
        case .client:
            if kind >= 0x80 { return .response(correlation, try Response(kind: kind, reading: &reader)) }
            if kind >= 0x60 { return .push(try Frame.Push(kind: kind, reading: &reader)) }
        }
        throw ByteReader.Malformed(
            offset: Frame.kindOffset, what: "the \(side) does not read frames of this kind")
    }
}
