/// The loop's connections, by the poller's token and by session.
///
/// A token is a slot and the slot's generation: an event for a connection that has gone finds nothing, even when its
/// slot and its descriptor number are in use again.
struct ConnectionTable {
    private struct Slot {
        var generation: UInt64 = 1
        var connection: Connection?
    }

    private var slots: [Slot] = []
    private var free: [Int] = []
    private var bySession = NumberMap<SessionID, Connection>()

    private static let generationShift: UInt64 = 32

    var count: Int { bySession.count }
    var all: [Connection] { slots.compactMap(\.connection) }

    subscript(token: UInt64) -> Connection? {
        let index = Int(token & (1 << Self.generationShift - 1))
        guard index < slots.count, slots[index].generation == token >> Self.generationShift else { return nil }
        return slots[index].connection
    }

    subscript(session: SessionID) -> Connection? { bySession[session] }

    /// What the next inserted connection must carry; never below 2³².
    var nextToken: UInt64 {
        let index = free.last ?? slots.count
        let generation = index < slots.count ? slots[index].generation : 1
        return generation << Self.generationShift | UInt64(index)
    }

    mutating func insert(_ connection: Connection) {
        precondition(connection.token == nextToken)
        let index = free.popLast() ?? slots.count
        if index == slots.count { slots.append(Slot()) }
        slots[index].connection = connection
        bySession[connection.id] = connection
    }

    mutating func remove(_ connection: Connection) {
        let index = Int(connection.token & (1 << Self.generationShift - 1))
        guard self[connection.token] === connection else { return }
        slots[index].connection = nil
        slots[index].generation += 1
        free.append(index)
        bySession[connection.id] = nil
    }
}
