import BrokerProtocol

/// A set of message ids in their order: a B+tree of three levels whose words hold up to sixteen neighbours each.
///
/// Insertion, removal and lookup search three arrays, of which two have a fixed size; the third has one element for
/// thousands of ids. Filled in order an id takes half a byte when its neighbours are there, and eight when they are
/// not.
struct OrderedIDs {
    /// Larger ids are never in the set.
    static let idMax: UInt64 = 1 << 52 - 1
    private static let partsMax = 128
    /// With fewer parts a node is joined with a neighbour, if both together fill no more than three quarters.
    private static let partsMin = 32
    private static let partsJoined = 96

    /// Upper bits of an id; the lower four say which bit of a word stands for it.
    private typealias Key = UInt64

    private struct Leaf {
        /// No key of the leaf is smaller, unless it is the first of its branch.
        var floor: Key
        /// Key and sixteen bits, of which at least one is set; in order.
        var words: [UInt64] = []
        var count = 0

        /// Index of the first word that is not below the key.
        func index(_ key: Key) -> Int {
            let word = key << 16
            guard let last = words.last, last >= word else { return words.count }
            var (low, high) = (0, words.count - 1)
            while low < high {
                Touches.note()
                let middle = (low + high) / 2
                if words[middle] < word { low = middle + 1 } else { high = middle }
            }
            return low
        }

        func contains(_ key: Key, _ bit: UInt64) -> Bool {
            let index = index(key)
            return index < words.count && words[index] >> 16 == key && words[index] & bit != 0
        }

        mutating func insert(_ key: Key, _ bit: UInt64) -> Insertion {
            let index = index(key)
            if index < words.count && words[index] >> 16 == key {
                if words[index] & bit != 0 { return .present }
                words[index] |= bit
            } else {
                if words.count == partsMax { return .full }
                words.insert(key << 16 | bit, at: index)
            }
            count += 1
            return .added
        }

        mutating func remove(_ key: Key, _ bit: UInt64) -> Bool {
            let index = index(key)
            guard index < words.count, words[index] >> 16 == key, words[index] & bit != 0 else { return false }
            words[index] ^= bit
            if words[index] & 0xffff == 0 { words.remove(at: index) }
            count -= 1
            return true
        }

        /// - Returns: The right part; empty when the set grows at its end, so that full leaves stay full.
        mutating func split(for key: Key, growsAtEnd: Bool) -> Leaf {
            if growsAtEnd && index(key) == words.count { return Leaf(floor: key) }
            let right = Array(words[(words.count / 2)...])
            words = Array(words[..<(words.count / 2)])
            let count = right.reduce(0) { $0 + ($1 & 0xffff).nonzeroBitCount }
            self.count -= count
            return Leaf(floor: right[0] >> 16, words: right, count: count)
        }

        func rank(_ key: Key, _ bit: UInt64) -> Int {
            let index = index(key)
            Touches.note(index)
            var rank = 0
            for word in words[..<index] { rank += (word & 0xffff).nonzeroBitCount }
            if index < words.count && words[index] >> 16 == key {
                rank += (words[index] & (bit - 1)).nonzeroBitCount
            }
            return rank
        }
    }

    private struct Branch {
        /// No key of the branch is smaller, unless it is the first of all.
        var floor: Key
        var leaves: [Leaf]
        var count: Int

        /// Index of the leaf where a key belongs.
        func index(_ key: Key) -> Int {
            var (low, high) = (1, leaves.count)
            while low < high {
                Touches.note()
                let middle = (low + high) / 2
                if leaves[middle].floor <= key { low = middle + 1 } else { high = middle }
            }
            return low - 1
        }

        mutating func insert(_ key: Key, _ bit: UInt64, isLast: Bool) -> Insertion {
            let index = index(key)
            var insertion = leaves[index].insert(key, bit)
            if insertion == .full {
                if leaves.count == partsMax { return .full }
                let right = leaves[index].split(for: key, growsAtEnd: isLast && index == leaves.count - 1)
                leaves.insert(right, at: index + 1)
                insertion = leaves[right.floor <= key ? index + 1 : index].insert(key, bit)
            }
            if insertion == .added { count += 1 }
            return insertion
        }

        mutating func remove(_ key: Key, _ bit: UInt64) -> Bool {
            let index = index(key)
            guard leaves[index].remove(key, bit) else { return false }
            count -= 1
            if leaves.count > 1 && leaves[index].words.count < partsMin { join(index) }
            return true
        }

        private mutating func join(_ index: Int) {
            if leaves[index].words.isEmpty {
                leaves.remove(at: index)
                return
            }
            let left = index > 0 ? index - 1 : index
            guard leaves[left].words.count + leaves[left + 1].words.count <= partsJoined else { return }
            let right = leaves.remove(at: left + 1)
            leaves[left].words += right.words
            leaves[left].count += right.count
        }

        mutating func split(for key: Key, growsAtEnd: Bool) -> Branch {
            if growsAtEnd, index(key) == leaves.count - 1, let last = leaves.last, last.index(key) == last.words.count {
                return Branch(floor: key, leaves: [Leaf(floor: key)], count: 0)
            }
            let right = Array(leaves[(leaves.count / 2)...])
            leaves = Array(leaves[..<(leaves.count / 2)])
            let count = right.reduce(0) { $0 + $1.count }
            self.count -= count
            return Branch(floor: right[0].floor, leaves: right, count: count)
        }
    }

    private enum Insertion { case added, present, full }

    private var branches: [Branch] = []
    private(set) var count = 0
    /// Nodes that insertions and removals have looked at.
    private(set) var nodesTouched = 0

    private static func split(_ id: MessageID) -> (key: Key, bit: UInt64) {
        (id.rawValue >> 4, 1 << (id.rawValue & 15))
    }

    /// Index of the branch where a key belongs.
    private func index(_ key: Key) -> Int {
        var (low, high) = (1, branches.count)
        while low < high {
            Touches.note()
            let middle = (low + high) / 2
            if branches[middle].floor <= key { low = middle + 1 } else { high = middle }
        }
        return low - 1
    }

    var isEmpty: Bool { count == 0 }

    func contains(_ id: MessageID) -> Bool {
        if count == 0 || id.rawValue > Self.idMax { return false }
        let (key, bit) = Self.split(id)
        let branch = index(key)
        return branches[branch].leaves[branches[branch].index(key)].contains(key, bit)
    }

    /// - Parameter id: At most ``idMax``.
    /// - Returns: False when it was there.
    @discardableResult
    mutating func insert(_ id: MessageID) -> Bool {
        precondition(id.rawValue <= Self.idMax, "message ids are used up")
        let (key, bit) = Self.split(id)
        if branches.isEmpty { branches = [Branch(floor: 0, leaves: [Leaf(floor: 0)], count: 0)] }
        var index = index(key)
        nodesTouched += 2
        var insertion = branches[index].insert(key, bit, isLast: index == branches.count - 1)
        if insertion == .full {
            nodesTouched += 2
            let right = branches[index].split(for: key, growsAtEnd: index == branches.count - 1)
            branches.insert(right, at: index + 1)
            if right.floor <= key { index += 1 }
            insertion = branches[index].insert(key, bit, isLast: index == branches.count - 1)
        }
        if insertion == .added { count += 1 }
        return insertion == .added
    }

    /// - Returns: False when it was not there.
    @discardableResult
    mutating func remove(_ id: MessageID) -> Bool {
        if count == 0 || id.rawValue > Self.idMax { return false }
        let (key, bit) = Self.split(id)
        let index = index(key)
        nodesTouched += 2
        guard branches[index].remove(key, bit) else { return false }
        count -= 1
        if branches.count > 1 && branches[index].leaves.count < Self.partsMin { join(index) }
        return true
    }

    private mutating func join(_ index: Int) {
        nodesTouched += 2
        if branches[index].count == 0 {
            branches.remove(at: index)
            return
        }
        let left = index > 0 ? index - 1 : index
        guard branches[left].leaves.count + branches[left + 1].leaves.count <= Self.partsJoined else { return }
        var right = branches.remove(at: left + 1)
        // It is the first leaf of its branch no more.
        right.leaves[0].floor = right.floor
        branches[left].leaves += right.leaves
        branches[left].count += right.count
    }

    // MARK: In order

    var first: MessageID? {
        guard count > 0 else { return nil }
        let word = branches[0].leaves[0].words[0]
        return MessageID(rawValue: (word >> 16) << 4 | UInt64((word & 0xffff).trailingZeroBitCount))
    }

    var last: MessageID? {
        var walk = reversed()
        return walk.next()
    }

    func next(after id: MessageID) -> MessageID? {
        if id.rawValue >= Self.idMax { return nil }
        var walk = from(MessageID(rawValue: id.rawValue + 1))
        return walk.next()
    }

    /// How many ids are smaller.
    func rank(of id: MessageID) -> Int {
        if count == 0 || id.rawValue > Self.idMax { return count }
        let (key, bit) = Self.split(id)
        let branch = index(key)
        let leaf = branches[branch].index(key)
        var rank = branches[branch].leaves[leaf].rank(key, bit)
        Touches.note(branch + leaf)
        for smaller in branches[..<branch] { rank += smaller.count }
        for smaller in branches[branch].leaves[..<leaf] { rank += smaller.count }
        return rank
    }

    /// The ids from `first` on, the smallest first.
    func from(_ first: MessageID = MessageID(rawValue: 0)) -> Walk { Walk(self, from: first, isReversed: false) }

    /// The ids up to `last`, the largest first.
    func reversed(from last: MessageID = MessageID(rawValue: .max)) -> Walk { Walk(self, from: last, isReversed: true) }

    /// One way through the set as it was when the walk began. It looks at the nodes on its way alone.
    struct Walk: Sequence, IteratorProtocol {
        private let branches: [Branch]
        private let isReversed: Bool
        private var branch = 0
        private var leaf = 0
        private var words: [UInt64] = []
        private var index = 0
        /// What is left of the word at `index`.
        private var rest: UInt64 = 0
        private(set) var nodesTouched = 0

        fileprivate init(_ set: OrderedIDs, from id: MessageID, isReversed: Bool) {
            self.isReversed = isReversed
            let isBeyond = id.rawValue > OrderedIDs.idMax
            branches = set.isEmpty || (isBeyond && !isReversed) ? [] : set.branches
            if branches.isEmpty { return }
            let (key, bit) = OrderedIDs.split(isBeyond ? MessageID(rawValue: OrderedIDs.idMax) : id)
            branch = set.index(key)
            leaf = branches[branch].index(key)
            nodesTouched = 2
            words = branches[branch].leaves[leaf].words
            index = branches[branch].leaves[leaf].index(key)
            if index < words.count && words[index] >> 16 == key {
                rest = words[index] & (isReversed ? bit << 1 - 1 : 0x1_0000 - bit)
            } else if !isReversed {
                // The first step of the walk comes to this word.
                index -= 1
            }
        }

        mutating func next() -> MessageID? {
            Touches.note()
            while rest == 0 {
                index += isReversed ? -1 : 1
                while !words.indices.contains(index) {
                    guard enterNextLeaf() else { return nil }
                }
                rest = words[index] & 0xffff
            }
            let bit = isReversed ? 63 - rest.leadingZeroBitCount : rest.trailingZeroBitCount
            rest ^= 1 << bit
            return MessageID(rawValue: (words[index] >> 16) << 4 | UInt64(bit))
        }

        private mutating func enterNextLeaf() -> Bool {
            guard branches.indices.contains(branch) else { return false }
            leaf += isReversed ? -1 : 1
            nodesTouched += 1
            if !branches[branch].leaves.indices.contains(leaf) {
                branch += isReversed ? -1 : 1
                nodesTouched += 1
                words = []
                guard branches.indices.contains(branch) else { return false }
                leaf = isReversed ? branches[branch].leaves.count - 1 : 0
            }
            words = branches[branch].leaves[leaf].words
            index = isReversed ? words.count - 1 : 0
            return true
        }
    }
}
