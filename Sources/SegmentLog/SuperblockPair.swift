import LinuxIO

/// The two superblock files of a log.
struct SuperblockPair: Sendable {
    enum State: Equatable, Sendable {
        case valid(Superblock)
        case missing
        case invalid(reason: String)
        case versionUnknown(UInt32)

        var block: Superblock? {
            if case .valid(let block) = self { return block }
            return nil
        }
    }

    /// What was written last.
    private(set) var current: Superblock
    private let directory: LogDirectory
    private var files: [(any LogFile)?] = [nil, nil]
    /// The file that holds the older block, or none.
    private var next: Int

    /// Reads both files, changes nothing.
    static func states(in directory: LogDirectory) throws(LogError) -> [State] {
        let names = try system { () throws(SystemError) in try directory.storage.names(in: directory.path) }
        var states: [State] = []
        for name in LogDirectory.superblockNames {
            guard names.contains(name) else {
                states.append(.missing)
                continue
            }
            let bytes = try system { () throws(SystemError) in
                try directory.storage.open(directory.file(name), .read).read(at: 0, count: Superblock.byteCount + 1)
            }
            do throws(LogBlock.Fault) {
                states.append(.valid(try Superblock(bytes)))
            } catch {
                switch error {
                case .invalid(let reason): states.append(.invalid(reason: reason))
                case .versionUnknown(let version): states.append(.versionUnknown(version))
                }
            }
        }
        return states
    }

    static func newest(of states: [State]) -> Superblock? {
        states.compactMap(\.block).max { $0.sequence < $1.sequence }
    }

    /// Opens the valid files for writing; the others are replaced when their turn comes, theirs first.
    init(_ directory: LogDirectory, states: [State], current: Superblock) throws(SystemError) {
        self.directory = directory
        self.current = current
        for (index, state) in states.enumerated() where state.block != nil {
            files[index] = try directory.storage.open(directory.file(LogDirectory.superblockNames[index]), .readWrite)
        }
        let sequences = states.map { $0.block?.sequence }
        next =
            switch (sequences[0], sequences[1]) {
            case (nil, _): 0
            case (_, nil): 1
            case (let first?, let second?): first <= second ? 0 : 1
            }
    }

    /// Writes the changed block over the older one and syncs it.
    mutating func write(_ change: (inout Superblock) -> Void) throws(SystemError) {
        var block = current
        change(&block)
        block.sequence &+= 1
        let bytes = block.encoded()
        if let file = files[next] {
            try file.write(bytes, at: 0)
            try file.syncData()
        } else {
            files[next] = try directory.replace(LogDirectory.superblockNames[next], with: bytes)
        }
        current = block
        next = 1 - next
    }

    /// Writes the changed block to both files, one after the other: whichever is lost later, the other one knows it.
    mutating func writeBoth(_ change: (inout Superblock) -> Void) throws(SystemError) {
        try write(change)
        try write { _ in }
    }
}
