import BrokerProtocol
import Testing

@testable import Broker

@Suite("Ids in order") struct OrderedIDsTests {
    private func numbers(_ ids: some Sequence<MessageID>) -> [UInt64] { ids.map(\.rawValue) }

    /// Insertions and removals in one of several patterns, compared with a sorted array.
    @Test("It behaves as a sorted array, whatever the order and the gaps", arguments: 1...12 as ClosedRange<UInt64>)
    func sortedArray(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        var ids = OrderedIDs()
        var model: Set<UInt64> = []
        let span: UInt64 = [40, 3_000, 100_000, 1 << 40][Int(seed % 4)]
        let removals = UInt8(seed % 3 + 3)
        for _ in 0..<40_000 {
            let number = UInt64.random(in: 0...span, using: &random)
            if UInt8.random(in: 0...9, using: &random) < removals {
                let removed = seed % 2 == 0 ? number : ids.next(after: id(number))?.rawValue ?? number
                #expect(ids.remove(id(removed)) == (model.remove(removed) != nil))
            } else {
                #expect(ids.insert(id(number)) == model.insert(number).inserted)
            }
            if model.count % 512 == 0 { #expect(ids.first?.rawValue == model.min()) }
        }
        let sorted = model.sorted()
        compare(ids, sorted, span, &random)
        for number in sorted.shuffled(using: &random).prefix(sorted.count * 95 / 100) {
            #expect(ids.remove(id(number)) == true)
            model.remove(number)
        }
        compare(ids, model.sorted(), span, &random)
        for number in model { ids.remove(id(number)) }
        compare(ids, [], span, &random)
    }

    private func compare(_ ids: OrderedIDs, _ sorted: [UInt64], _ span: UInt64, _ random: inout SeededRandom) {
        #expect(ids.count == sorted.count)
        #expect(ids.isEmpty == sorted.isEmpty)
        #expect(ids.first?.rawValue == sorted.first)
        #expect(ids.last?.rawValue == sorted.last)
        #expect(numbers(ids.from()) == sorted)
        #expect(numbers(ids.reversed()) == sorted.reversed())
        for _ in 0..<50 {
            let number = UInt64.random(in: 0...span, using: &random)
            let index = sorted.firstIndex { $0 >= number } ?? sorted.count
            #expect(ids.rank(of: id(number)) == index)
            #expect(ids.contains(id(number)) == (index < sorted.count && sorted[index] == number))
            #expect(ids.next(after: id(number))?.rawValue == sorted[index...].first { $0 > number })
            #expect(numbers(ids.from(id(number)).prefix(40)) == Array(sorted[index...].prefix(40)))
            let before = sorted.prefix { $0 <= number }.suffix(40).reversed()
            #expect(numbers(ids.reversed(from: id(number)).prefix(40)) == Array(before))
        }
    }

    @Test("Growing at the end, in the middle and at the front, and shrinking from each of them, keeps the order")
    func directions() {
        for step in [1, 16, 40] as [UInt64] {
            let rising = (0..<60_000 as Range<UInt64>).map { $0 * step }
            for order in [rising, rising.reversed(), Array(rising[30_000...] + rising[..<30_000])] {
                var ids = OrderedIDs()
                for number in order { ids.insert(id(number)) }
                #expect(numbers(ids.from()) == rising)
                for number in order[..<59_000] { #expect(ids.remove(id(number)) == true) }
                #expect(numbers(ids.from()) == order[59_000...].sorted())
                for number in order[..<30_000] { ids.insert(id(number)) }
                #expect(ids.count == 31_000)
                #expect(ids.rank(of: id(.max)) == 31_000)
            }
        }
    }

    @Test("An empty set and ids that can never be there are no trouble")
    func bounds() {
        var ids = OrderedIDs()
        #expect(ids.first == nil && ids.last == nil && ids.next(after: id(0)) == nil)
        #expect(ids.remove(id(7)) == false)
        ids.insert(id(OrderedIDs.idMax))
        ids.insert(id(0))
        #expect(ids.contains(id(.max)) == false)
        #expect(ids.remove(id(1 << 52)) == false)
        #expect(ids.next(after: id(.max)) == nil)
        #expect(ids.next(after: id(OrderedIDs.idMax)) == nil)
        #expect(numbers(ids.from(id(.max))) == [])
        #expect(numbers(ids.reversed(from: id(.max))) == [OrderedIDs.idMax, 0])
        #expect(ids.rank(of: id(.max)) == 2)
    }

    @Test("A walk goes through the set as it was when it began")
    func snapshot() {
        var ids = OrderedIDs()
        for number in 1...500 as ClosedRange<UInt64> { ids.insert(id(number * 20)) }
        var seen: [UInt64] = []
        for id in ids.from() {
            ids.remove(id)
            seen.append(id.rawValue)
        }
        #expect(seen == (1...500).map { $0 * 20 })
        #expect(ids.isEmpty)
    }

    @Test("The nodes that an operation touches do not grow with the set", arguments: [1_000, 100_000, 1_000_000])
    func nodes(count: Int) {
        var ids = OrderedIDs()
        for number in 0..<UInt64(count) { ids.insert(id(number * 16)) }
        let filled = ids.nodesTouched
        #expect(filled <= count * 2 + count / 16)
        var random = SeededRandom(seed: 5)
        for _ in 0..<1_000 {
            let number = UInt64.random(in: 0..<UInt64(count), using: &random) * 16
            ids.remove(id(number))
            ids.insert(id(number + 1))
        }
        #expect(ids.nodesTouched - filled <= 2_000 * 4)
        var walk = ids.from(id(UInt64(count) * 8))
        for _ in 0..<256 { _ = walk.next() }
        #expect(walk.nodesTouched <= 8)
        walk = ids.reversed(from: id(UInt64(count) * 8))
        for _ in 0..<256 { _ = walk.next() }
        #expect(walk.nodesTouched <= 8)
    }

    @Test("Sources merge in both directions, between two ids, each id once")
    func merged() {
        var (even, third) = (OrderedIDs(), OrderedIDs())
        for number in 0...300 as ClosedRange<UInt64> where number % 2 == 0 { even.insert(id(number)) }
        for number in 0...300 as ClosedRange<UInt64> where number % 3 == 0 { third.insert(id(number)) }
        let lane = (100...110 as ClosedRange<UInt64>).map { id($0) }
        for isReversed in [false, true] {
            var all = MergedIDs(from: id(97), through: id(121), isReversed: isReversed)
            all.add(even)
            all.add(third)
            all.add(lane: lane[...])
            all.add(OrderedIDs())
            let wanted = (97...121 as ClosedRange<UInt64>).filter {
                $0 % 2 == 0 || $0 % 3 == 0 || (100...110).contains($0)
            }
            #expect(numbers(all) == (isReversed ? wanted.reversed() : wanted))
        }
    }
}
