/// Unsigned integers in byte arrays, the low byte first, as everything in the log's files.
extension [UInt8] {
    func littleEndian<Integer: FixedWidthInteger & UnsignedInteger>(
        _ type: Integer.Type, at offset: Int
    ) -> Integer {
        var value: Integer = 0
        for index in 0..<MemoryLayout<Integer>.size {
            value |= Integer(truncatingIfNeeded: self[offset + index]) << Integer(8 * index)
        }
        return value
    }

    mutating func store<Integer: FixedWidthInteger & UnsignedInteger>(littleEndian value: Integer, at offset: Int) {
        var span = mutableSpan
        span.store(littleEndian: value, at: offset)
    }
}

extension MutableSpan<UInt8> {
    mutating func store<Integer: FixedWidthInteger & UnsignedInteger>(littleEndian value: Integer, at offset: Int) {
        for index in 0..<MemoryLayout<Integer>.size {
            self[offset + index] = UInt8(truncatingIfNeeded: value >> Integer(8 * index))
        }
    }
}
