import LinuxIO
import SegmentLog

/// One open file of a ``MemoryStorage``.
final class MemoryFile: LogFile {
    private let storage: MemoryStorage
    private let path: String
    private let node: Int
    private let handle: Int

    init(_ storage: MemoryStorage, path: String, node: Int, handle: Int) {
        self.storage = storage
        self.path = path
        self.node = node
        self.handle = handle
    }

    deinit {
        _ = try? storage.look("close", path) { state in
            if state.nodes[node]?.lock == handle { state.nodes[node]?.lock = nil }
            return true
        }
    }

    func size() throws(SystemError) -> Int {
        try storage.look("lseek", path) { $0.nodes[node]?.current.count }
    }

    func read(at offset: Int, count: Int) throws(SystemError) -> [UInt8] {
        try storage.look("pread", path) { state in
            guard let bytes = state.nodes[node]?.current else { return nil }
            let end = min(bytes.count, offset + count)
            return offset < end ? Array(bytes[offset..<end]) : []
        }
    }

    func write(_ bytes: [UInt8], at offset: Int) throws(SystemError) {
        if bytes.isEmpty { return }
        try storage.change(
            .write, path, node: node,
            tear: { state in self.put(Array(bytes[..<(bytes.count / 2)]), at: offset, &state) },
            { state in
                guard let node = state.nodes[self.node] else { return MemoryStorage.inputOutputError }
                let growth = offset + bytes.count - node.current.count
                if growth > MemoryStorage.freeBytes(state) { return MemoryStorage.noSpace }
                self.put(bytes, at: offset, &state)
                return nil
            })
    }

    private func put(_ bytes: [UInt8], at offset: Int, _ state: inout MemoryStorage.State) {
        guard !bytes.isEmpty else { return }
        MemoryStorage.put(bytes, at: offset, in: &state.nodes[node, default: .init()].current)
        state.nodes[node]?.unsynced.append((offset, bytes))
    }

    func allocate(count: Int) throws(SystemError) {
        try storage.change(.allocate, path, node: node) { state in
            let growth = count - (state.nodes[node]?.current.count ?? 0)
            if growth > MemoryStorage.freeBytes(state) { return MemoryStorage.noSpace }
            if growth > 0 {
                state.nodes[node]?.current.append(contentsOf: [UInt8](repeating: 0, count: growth))
            }
            return nil
        }
    }

    func syncData() throws(SystemError) {
        try storage.change(.sync, path, node: node) { state in
            guard var node = state.nodes.removeValue(forKey: self.node) else { return MemoryStorage.inputOutputError }
            for write in node.unsynced { MemoryStorage.put(write.bytes, at: write.offset, in: &node.durable) }
            let growth = node.current.count - node.durable.count
            if growth > 0 { node.durable.append(contentsOf: repeatElement(0, count: growth)) }
            node.unsynced = []
            state.nodes[self.node] = node
            return nil
        }
    }

    func lockExclusively() throws(SystemError) -> Bool {
        try storage.look("flock", path) { state in
            if let lock = state.nodes[node]?.lock, lock != handle { return false }
            state.nodes[node]?.lock = handle
            return true
        }
    }
}
