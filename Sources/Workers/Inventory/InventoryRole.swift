package import BrokerProtocol
private import Foundation
private import LinuxIO

public struct InventoryConfiguration: Hashable, Sendable {
    /// The SQLite file; made when it is missing. Several processes may share it.
    public var databasePath: String
    /// How long goods wait for the payment; then they are for sale again. Longer than a payment's retries take.
    public var reservation: Duration = .seconds(3600)
    /// A JSON object of SKUs and units, `{"espresso-1kg": 40}`, for SKUs that the database does not know yet.
    public var stockFile: String?

    public init(databasePath: String) { self.databasePath = databasePath }
}

/// A stock file that cannot be used.
public struct StockFileError: Error, Hashable, Sendable, CustomStringConvertible {
    public let description: String
}

/// The role `inventory`: reserves goods for an order, sells them when it is paid, puts them back when it is not.
public enum InventoryRole {
    /// Opens the database and reads the stock file.
    /// - Throws: ``StockFileError``, or what the database or the file refused.
    public static func make(configuration: InventoryConfiguration) async throws -> Role {
        try await make(configuration: configuration) { WallTime(milliseconds: Clocks.wallMilliseconds()) }
    }

    package static func make(
        configuration: InventoryConfiguration, clock: @escaping @Sendable () -> WallTime
    ) async throws -> Role {
        let milliseconds = Int64(configuration.reservation / .milliseconds(1))
        let stock = try configuration.stockFile.map(readStock) ?? [:]
        let database = try await DatabaseThread(name: "inventory-db") {
            let database = try InventoryStore.open(path: configuration.databasePath)
            try InventoryStore(database, reservationMilliseconds: milliseconds).seed(stock)
            return database
        }
        @Sendable func store(_ work: @escaping @Sendable (InventoryStore, WallTime) throws -> Outcome) async throws
            -> Outcome
        {
            let now = clock()
            return try await database.run { try work(InventoryStore($0, reservationMilliseconds: milliseconds), now) }
        }
        var role = Role("inventory")
        role.register(
            OrderWorker { (order: OrderCreated, attempt) in
                try await store { try $0.reserve(order, message: attempt.stableID, now: $1) }
            })
        role.register(
            OrderWorker { (payment: PaymentCompleted, attempt) in
                try await store { try $0.confirm(payment, message: attempt.stableID, now: $1) }
            })
        role.register(
            OrderWorker { (payment: PaymentFailed, attempt) in
                try await store { try $0.giveBack(payment, message: attempt.stableID, now: $1) }
            })
        return role
    }

    /// - Throws: ``StockFileError`` when the file is no JSON object of whole numbers from 0, or cannot be read.
    package static func readStock(_ path: String) throws -> [String: Int] {
        let bytes: [UInt8]
        do throws(SystemError) {
            let file = try File(path: path, .read)
            bytes = try file.read(at: 0, count: try file.size())
        } catch {
            throw StockFileError(description: "stock file: \(error)")
        }
        guard let stock = try? JSONDecoder().decode([String: Int].self, from: Data(bytes)) else {
            throw StockFileError(description: "stock file \(path): not a JSON object of SKUs and whole numbers")
        }
        for (sku, units) in stock.sorted(by: { $0.key < $1.key }) where sku.isEmpty || units < 0 {
            throw StockFileError(description: "stock file \(path): \(sku): \(units) is negative, or the SKU is empty")
        }
        return stock
    }
}
