public import BrokerProtocol
public import Foundation

extension WallTime {
    /// Whole milliseconds, rounded down; a date that is out of range becomes the last or first moment.
    public init(_ date: Date) {
        let milliseconds = (date.timeIntervalSince1970 * 1000).rounded(.down)
        self.init(milliseconds: Int64(exactly: milliseconds) ?? (milliseconds < 0 ? .min : .max))
    }
}
