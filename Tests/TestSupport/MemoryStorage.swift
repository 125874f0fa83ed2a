package import LinuxIO
package import SegmentLog

/// A file system in memory that forgets like a disk: what was written and not synced may be lost in part.
package final class MemoryStorage: LogStorage {
    /// What is about to be done; each of these that changes something has a number, from 1.
    package struct Operation: Sendable {
        package enum Kind: Sendable { case create, write, allocate, sync, rename, remove, syncDirectory }
        package let number: Int
        package let kind: Kind
        package let path: String
    }

    package enum Fault: Sendable {
        /// Nothing is done.
        case error(Int32)
        /// Half of a write is done; nothing of another operation.
        case torn(Int32)
        /// Power goes before or after the operation; all that follows fails.
        case crashBefore, crashAfter
    }

    package static let inputOutputError: Int32 = 5
    package static let noSpace: Int32 = 28
    static let sectorBytes = 512

    struct Node {
        var current: [UInt8] = []
        var durable: [UInt8] = []
        var unsynced: [(offset: Int, bytes: [UInt8])] = []
        var lock: Int?
    }

    fileprivate enum Change {
        case link(String, Int)
        case rename(String, String)
        case unlink(String)
    }

    struct State {
        var nodes: [Int: Node] = [:]
        var names: [String: Int] = [:]
        var durableNames: [String: Int] = [:]
        fileprivate var changes: [Change] = []
        var nextNode = 1
        var nextHandle = 1
        var operations = 0
        var isDead = false
        var capacity = 1 << 40
        var looks = 0
        var plan: (@Sendable (Operation) -> Fault?)?
    }

    private let state: Monitor<State>

    package init() { state = Monitor(State()) }

    private init(_ state: State) {
        let copy = state
        self.state = Monitor(copy)
    }

    /// Called before each changing operation, on the thread that does it; it may block.
    package func setPlan(_ plan: (@Sendable (Operation) -> Fault?)?) { state.with { $0.plan = plan } }

    package func setCapacity(_ bytes: Int) { state.with { $0.capacity = bytes } }

    /// Waits until the free space has been asked for this many times more.
    package func waitForLooks(_ count: Int) {
        let target = state.with { $0.looks + count }
        state.wait { $0.looks >= target ? () : nil }
    }

    package var operations: Int { state.with { $0.operations } }

    // MARK: Disasters

    /// Cuts the power. All that goes on with this storage fails.
    /// - Returns: What is on the disk: of each unsynced write a random part by sectors, of the unsynced changes of
    ///   names a random first part.
    package func crash(seed: UInt64) -> MemoryStorage {
        var random = SplitMix(seed)
        return state.with { state in
            state.isDead = true
            var after = State()
            after.capacity = state.capacity
            after.nextNode = state.nextNode
            let kept = Int(random.next() % UInt64(state.changes.count + 1))
            var names = state.durableNames
            for change in state.changes[..<kept] { Self.apply(change, to: &names) }
            after.names = names
            after.durableNames = names
            let odds = random.next() % 4  // Nothing, some, or much of it.
            for (name, id) in names.sorted(by: { $0.key < $1.key }) {
                guard let node = state.nodes[id] else { preconditionFailure("no node of \(name)") }
                var bytes = node.durable
                for write in node.unsynced {
                    Self.keepSectors(of: write.bytes, at: write.offset, in: &bytes) { random.next() % 4 < odds }
                }
                after.nodes[id] = Node(current: bytes, durable: bytes)
            }
            return MemoryStorage(after)
        }
    }

    /// A second disk with everything that this one holds, as if synced.
    package func copy() -> MemoryStorage {
        state.with { state in
            var copy = State()
            copy.capacity = state.capacity
            copy.names = state.names
            copy.durableNames = state.names
            copy.nextNode = state.nextNode
            copy.nodes = state.nodes.mapValues { Node(current: $0.current, durable: $0.current) }
            return MemoryStorage(copy)
        }
    }

    package func bytes(of path: String) -> [UInt8] {
        state.with { state in state.names[path].flatMap { state.nodes[$0]?.current } ?? [] }
    }

    /// Puts bytes into a file, durably, behind the log's back. Makes the file when it is not there.
    package func overwrite(_ path: String, at offset: Int, _ bytes: [UInt8]) {
        state.with { state in
            let id = state.names[path] ?? Self.link(path, &state)
            state.durableNames[path] = id
            Self.put(bytes, at: offset, in: &state.nodes[id, default: Node()].current)
            Self.put(bytes, at: offset, in: &state.nodes[id, default: Node()].durable)
        }
    }

    package func flipBit(_ path: String, _ bit: Int) {
        overwrite(path, at: bit / 8, [bytes(of: path)[bit / 8] ^ (1 << (bit % 8))])
    }

    package func lose(_ path: String) {
        state.with { state in
            state.names[path] = nil
            state.durableNames[path] = nil
        }
    }

    package func move(_ path: String, to new: String) {
        state.with { state in
            for names in [\State.names, \.durableNames] {
                state[keyPath: names][new] = state[keyPath: names].removeValue(forKey: path)
            }
        }
    }

    private static func keepSectors(of bytes: [UInt8], at offset: Int, in file: inout [UInt8], _ keeps: () -> Bool) {
        var done = 0
        while done < bytes.count {
            let sectorEnd = ((offset + done) / sectorBytes + 1) * sectorBytes - offset
            let end = min(bytes.count, sectorEnd)
            if keeps() { put(Array(bytes[done..<end]), at: offset + done, in: &file) }
            done = end
        }
    }

    static func put(_ bytes: [UInt8], at offset: Int, in file: inout [UInt8]) {
        if file.count < offset + bytes.count {
            file.append(contentsOf: [UInt8](repeating: 0, count: offset + bytes.count - file.count))
        }
        file.replaceSubrange(offset..<offset + bytes.count, with: bytes)
    }

    private static func apply(_ change: Change, to names: inout [String: Int]) {
        switch change {
        case .link(let path, let id): names[path] = id
        case .rename(let old, let new): names[new] = names.removeValue(forKey: old)
        case .unlink(let path): names[path] = nil
        }
    }

    private static func link(_ path: String, _ state: inout State) -> Int {
        let id = state.nextNode
        state.nextNode += 1
        state.nodes[id] = Node()
        state.names[path] = id
        return id
    }

    // MARK: LogStorage

    /// Counts a changing operation, lets the plan spoil it, and does it.
    func change(
        _ kind: Operation.Kind, _ path: String, node: Int? = nil, tear: ((inout State) -> Void)? = nil,
        _ body: (inout State) -> Int32?
    ) throws(SystemError) {
        func failure(_ code: Int32) -> SystemError { SystemError(call: "\(kind)", subject: path, code: code) }
        let (operation, plan) = state.with { state in
            state.operations += 1
            // An open file has been renamed, maybe.
            let name = state.plan == nil ? nil : node.flatMap { node in state.names.first { $0.value == node }?.key }
            return (Operation(number: state.operations, kind: kind, path: name ?? path), state.plan)
        }
        let fault = plan?(operation)
        let code = state.with { state -> Int32? in
            if state.isDead { return Self.inputOutputError }
            switch fault {
            case .error(let code):
                // The page cache marks the pages of a failed sync as clean: shown, but never written.
                if kind == .sync, let node { state.nodes[node]?.unsynced = [] }
                return code
            case .torn(let code):
                tear?(&state)
                return code
            case .crashBefore:
                state.isDead = true
                return Self.inputOutputError
            case .crashAfter:
                _ = body(&state)
                state.isDead = true
                return Self.inputOutputError
            case nil: return body(&state)
            }
        }
        if let code { throw failure(code) }
    }

    func look<Result>(_ call: String, _ path: String, _ body: (inout State) -> Result?) throws(SystemError) -> Result {
        let result = state.with { $0.isDead ? nil : body(&$0) }
        guard let result else { throw SystemError(call: call, subject: path, code: Self.inputOutputError) }
        return result
    }

    package func makeDirectory(_ path: String) throws(SystemError) {}

    package func names(in directory: String) throws(SystemError) -> [String] {
        try look("opendir", directory) { state in
            state.names.keys.filter { $0.hasPrefix(directory + "/") }.map { String($0.dropFirst(directory.count + 1)) }
                .sorted()
        }
    }

    package func open(_ path: String, _ access: File.Access) throws(SystemError) -> any LogFile {
        let existing = try look("open", path) { $0.names[path] ?? 0 }
        let handle = try look("open", path) { state in
            state.nextHandle += 1
            return state.nextHandle
        }
        if existing != 0 {
            if case .create = access { throw SystemError(call: "open", subject: path, code: 17) }
            return MemoryFile(self, path: path, node: existing, handle: handle)
        }
        switch access {
        case .read, .readWrite: throw SystemError(call: "open", subject: path, code: 2)
        case .create, .openOrCreate: break
        }
        var node = 0
        try change(.create, path) { state in
            node = Self.link(path, &state)
            state.changes.append(.link(path, node))
            return nil
        }
        return MemoryFile(self, path: path, node: node, handle: handle)
    }

    package func rename(_ old: String, to new: String) throws(SystemError) {
        try change(.rename, old) { state in
            guard let id = state.names.removeValue(forKey: old) else { return 2 }
            state.names[new] = id
            state.changes.append(.rename(old, new))
            return nil
        }
    }

    package func remove(_ path: String) throws(SystemError) {
        try change(.remove, path) { state in
            guard state.names.removeValue(forKey: path) != nil else { return 2 }
            state.changes.append(.unlink(path))
            return nil
        }
    }

    package func syncDirectory(_ path: String) throws(SystemError) {
        try change(.syncDirectory, path) { state in
            state.durableNames = state.names
            state.changes = []
            return nil
        }
    }

    package func freeBytes(_ directory: String) throws(SystemError) -> Int {
        state.update { $0.looks += 1 }
        return try look("statvfs", directory) { Self.freeBytes($0) }
    }

    static func freeBytes(_ state: State) -> Int {
        max(0, state.capacity - state.names.values.reduce(0) { $0 + (state.nodes[$1]?.current.count ?? 0) })
    }
}

/// A small generator of random bits from a seed.
private struct SplitMix {
    private var state: UInt64
    init(_ seed: UInt64) { state = seed }
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}
