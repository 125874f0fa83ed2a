public import BrokerProtocol

/// The way of a mail out of the house. The calls block; they come from one thread, with the outbox's write lock held,
/// so no two processes deliver the same mail at the same time.
public protocol MailTransport: Sendable {
    /// A name for one mail, never given twice. The outbox records it before the first try, so that every later try,
    /// by whatever process, can look for what an earlier one left.
    func newName(at now: WallTime) -> String

    /// Hands the mail over; it is safe from a power cut on return. Does nothing when an earlier try under this name got
    /// as far as that.
    /// - Parameters:
    ///   - message: RFC 5322, with CRLF line ends.
    ///   - isFirstTry: True when nobody can have tried under this name before.
    func deliver(_ message: [UInt8], as name: String, now: WallTime, isFirstTry: Bool) throws
}
