/// What became of each message: delivered to each subscription once, again, or damaged.
final class Ledger {
    /// Bits of the numbers seen, by subscription and producer.
    private var seen: [[[UInt64]]]
    private(set) var delivered = 0
    private(set) var duplicates = 0
    private(set) var damaged = 0
    /// When the first delivery came, in microseconds.
    private(set) var firstAt: Int64?

    init(subscriptions: Int) { seen = [[[UInt64]]](repeating: [], count: max(subscriptions, 1)) }

    /// Different messages, over all subscriptions.
    var unique: Int { delivered - duplicates - damaged }

    func add(_ label: Payload.Label?, subscription: Int, now: Int64) {
        delivered += 1
        if firstAt == nil { firstAt = now }
        guard let label, label.producer < 1 << 16, label.number < 1 << 32 else {
            damaged += 1
            return
        }
        while seen[subscription].count <= label.producer { seen[subscription].append([]) }
        let (word, bit) = (label.number / 64, UInt64(1) << UInt64(label.number % 64))
        let count = seen[subscription][label.producer].count
        if word >= count {
            seen[subscription][label.producer] += [UInt64](repeating: 0, count: max(word + 1 - count, count))
        }
        if seen[subscription][label.producer][word] & bit != 0 { duplicates += 1 }
        seen[subscription][label.producer][word] |= bit
    }
}
