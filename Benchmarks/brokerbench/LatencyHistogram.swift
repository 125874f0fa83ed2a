/// Counts of latencies in buckets that are at most 1/16 wide, after HdrHistogram's idea.
struct LatencyHistogram {
    private var counts = [UInt64](repeating: 0, count: 16 * 40)
    private(set) var total: UInt64 = 0

    private static func bucket(_ value: Int64) -> Int {
        let value = UInt64(max(value, 1))
        let exponent = 63 - value.leadingZeroBitCount
        let fraction = exponent >= 4 ? Int(value >> UInt64(exponent - 4)) & 15 : Int(value << UInt64(4 - exponent)) & 15
        return min(exponent * 16 + fraction, 16 * 40 - 1)
    }

    mutating func add(_ microseconds: Int64) {
        counts[Self.bucket(microseconds)] += 1
        total += 1
    }

    mutating func merge(_ other: LatencyHistogram) {
        for index in counts.indices { counts[index] += other.counts[index] }
        total += other.total
    }

    /// Upper end of the bucket that holds the quantile, in microseconds.
    func quantile(_ quantile: Double) -> Double {
        let wanted = UInt64((Double(total) * quantile).rounded(.up))
        var seen: UInt64 = 0
        for (index, count) in counts.enumerated() where count > 0 {
            seen += count
            if seen >= wanted {
                let exponent = index / 16
                let base = Double(UInt64(1) << UInt64(exponent))
                return base * (1 + Double(index % 16 + 1) / 16)
            }
        }
        return 0
    }
}
