import BrokerProtocol
import Testing

@testable import Broker

@Suite("A map of numbered keys") struct NumberMapTests {
    private func id(_ number: UInt64) -> MessageID { MessageID(rawValue: number) }

    @Test("It holds what a dictionary holds, whatever was put in, changed and taken out")
    func asADictionary() {
        var random = SeededRandom(seed: 11)
        for range in [0...40, 0...5_000, (UInt64.max - 60)...(UInt64.max - 1)] as [ClosedRange<UInt64>] {
            var map = NumberMap<MessageID, Int>()
            var model: [MessageID: Int] = [:]
            for step in 0..<20_000 {
                let key = id(UInt64.random(in: range, using: &random))
                switch UInt64.random(in: 0...5, using: &random) {
                case 0, 1:
                    map[key] = step
                    model[key] = step
                case 2:
                    map[key]? += 1
                    model[key]? += 1
                case 3: #expect(map.removeValue(forKey: key) == model.removeValue(forKey: key))
                case 4:
                    map[key] = nil
                    model[key] = nil
                default: #expect(map[key] == model[key] && map.contains(key) == (model[key] != nil))
                }
                if step % 997 == 0 {
                    #expect(Dictionary(uniqueKeysWithValues: map.map { ($0.key, $0.value) }) == model)
                }
            }
            #expect(map.count == model.count && map.isEmpty == model.isEmpty)
            #expect(map.keys.sorted() == model.keys.sorted() && map.values.sorted() == model.values.sorted())
        }
    }

    @Test(
        "Keys that follow each other with any stride are found in a few steps", arguments: [1, 64, 100, 4_096, 1 << 40])
    func strides(stride: UInt64) {
        var map = NumberMap<MessageID, Int>()
        let clock = ContinuousClock()
        let time = clock.measure {
            for number in 0..<20_000 { map[id(UInt64(number) * stride)] = number }
            for number in 0..<20_000 where map[id(UInt64(number) * stride)] != number { Issue.record("\(number)") }
        }
        // With a bad hash this is 400 million steps.
        #expect(time < .seconds(5))
        for number in 0..<20_000 { map[id(UInt64(number) * stride)] = nil }
        #expect(map.isEmpty && map.keys.isEmpty)
    }

    @Test("The highest number is never found") func highest() {
        var map: NumberMap<MessageID, Int> = [id(1): 1]
        #expect(map[id(.max)] == nil && !map.contains(id(.max)) && map.removeValue(forKey: id(.max)) == nil)
        map[id(.max)] = nil
        #expect(map.count == 1)
    }

    @Test("A set knows what was put in") func set() {
        var set = NumberSet<MessageID>()
        set.insert(id(3))
        set.insert(id(3))
        #expect(set.count == 1 && set.contains(id(3)) && set.sorted() == [id(3)])
        #expect(set.remove(id(3)) == id(3) && set.remove(id(3)) == nil && set.isEmpty)
    }
}
