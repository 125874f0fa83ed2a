import LinuxIO

/// How often a second this disk makes 4 KiB durable: written into a written file, then fdatasync.
func syncsPerSecond(in directory: String, seconds: Double) throws -> Double {
    let path = directory + "/brokerbench-sync"
    defer { try? Directory.remove(path) }
    let file = try File(path: path, .openOrCreate)
    try file.write([UInt8](repeating: 1, count: 4 << 20), at: 0)
    try file.syncData()
    let page = [UInt8](repeating: 2, count: 4096)
    let start = Clocks.monotonicMicroseconds()
    let end = start + Int64(seconds * 1e6)
    var count = 0
    while Clocks.monotonicMicroseconds() < end {
        try file.write(page, at: count % 1024 * 4096)
        try file.syncData()
        count += 1
    }
    return Double(count) * 1e6 / Double(Clocks.monotonicMicroseconds() - start)
}
