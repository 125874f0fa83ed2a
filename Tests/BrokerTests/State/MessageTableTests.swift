import BrokerProtocol
import Testing

@testable import Broker

@Suite("The table of messages") struct MessageTableTests {
    private func entry(_ number: UInt64) -> MessageEntry {
        MessageEntry(
            position: number, publishedAt: WallTime(milliseconds: 0), offset: 0, bytes: 1,
            topic: TopicID(rawValue: 1), owed: 1, priority: 4, isInLane: true)
    }

    @Test(
        "It behaves as a dictionary, whatever the order, the gaps and the removals",
        arguments: 1...20 as ClosedRange<UInt64>)
    func dictionary(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        var table = MessageTable()
        var model: [UInt64: UInt64] = [:]
        var next: UInt64 = 1
        for step in 0..<20_000 as Range<UInt64> {
            switch UInt8.random(in: 0...9, using: &random) {
            case 0...4:
                let number = next
                next += 1
                table.insert(entry(step), as: id(number))
                model[number] = step
            case 5:
                // Found again behind younger ones.
                let number = UInt64.random(in: 1...next, using: &random)
                if model[number] == nil && number < next {
                    table.insert(entry(step), as: id(number))
                    model[number] = step
                }
            case 6 where step % 500 == 0: next += UInt64.random(in: 0...(1 << 28), using: &random)
            case 7:
                let number = UInt64.random(in: 0...next, using: &random)
                table.amend(id(number)) { $0.position += 1 }
                model[number]? += 1
            default:
                guard let number = model.keys.min() else { continue }
                let chosen = number + UInt64.random(in: 0...80, using: &random)
                #expect(table.remove(id(chosen))?.position == model.removeValue(forKey: chosen))
            }
        }
        #expect(table.count == model.count)
        for (number, position) in model { #expect(table[id(number)]?.position == position) }
        #expect(table[id(next + 5)] == nil)
    }

    @Test("Old stragglers do not keep the space of the messages between them")
    func stragglers() {
        var table = MessageTable()
        for number in 1...600_000 as ClosedRange<UInt64> { table.insert(entry(number), as: id(number)) }
        for number in 1...600_000 as ClosedRange<UInt64> where number % 1_000 != 0 { table.remove(id(number)) }
        #expect(table.count == 600)
        for number in stride(from: 1_000, through: 600_000, by: 1_000) {
            #expect(table[id(UInt64(number))]?.position == UInt64(number))
        }
    }

    @Test("A heap gives its smallest first, also after stale entries were dropped")
    func heap() {
        var random = SeededRandom(seed: 3)
        var heap = Heap<Int>()
        var numbers = (0..<5_000).map { _ in Int.random(in: 0...9_999, using: &random) }
        for number in numbers { heap.insert(number) }
        numbers.removeAll { $0 % 3 != 0 }
        heap.dropStale(liveCount: numbers.count) { $0 % 3 == 0 }
        #expect(heap.count == numbers.count)
        var sorted: [Int] = []
        while let first = heap.removeFirst() { sorted.append(first) }
        #expect(sorted == numbers.sorted())
    }

    @Test("A sliding array keeps its indices while its front is dropped")
    func slidingArray() {
        var array = SlidingArray<UInt64>(start: 7)
        for number in 7..<10_007 as Range<UInt64> { array.append(number) }
        for index in stride(from: 7, through: 10_007, by: 333) as StrideThrough<UInt64> {
            array.drop(before: index)
            #expect(array.start == index)
            #expect(array.end == 10_007)
            #expect(array.isEmpty || array[index] == index)
            #expect(Array(array.from(index + 1)) == Array(min(index + 1, 10_007)..<10_007))
        }
    }
}
