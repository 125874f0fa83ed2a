import BrokerClient
import BrokerProtocol
import DaemonKit
import LinuxIO

/// The messages of one publish request, and the lines that they stand in.
struct EventBatch: Sendable, Equatable {
    static let countMax = 500
    static let bytesMax = 512 << 10

    var messages: [OutgoingMessage] = []
    var lines: [Int] = []
    private var bytes = 0

    var isFull: Bool { messages.count >= Self.countMax || bytes >= Self.bytesMax }

    mutating func add(_ message: OutgoingMessage, line: Int) {
        messages.append(message)
        lines.append(line)
        bytes += message.body.count
    }
}

/// Cuts the bytes of a source into batches of messages.
struct EventReader {
    let form: EventForm
    /// Of the source, for messages.
    let name: String
    private var lines: EventLines
    private var batch = EventBatch()
    /// The first line that is no event, with its place; nothing behind it is read.
    private(set) var problem: Failure?
    private(set) var bytesRead = 0

    init(form: EventForm, name: String, lineBytesMax: Int) {
        self.form = form
        self.name = name
        lines = EventLines(lineBytesMax: lineBytesMax)
    }

    /// Takes more bytes; none at all means the end.
    /// - Parameter isPatient: Whether a batch that is not full waits for more.
    /// - Returns: The batches that are ready to go.
    mutating func take(_ bytes: [UInt8], isPatient: Bool) -> [EventBatch] {
        bytesRead += bytes.count
        lines.append(bytes)
        var batches: [EventBatch] = []
        while let line = nextLine(isEnd: bytes.isEmpty) {
            do throws(EventForm.Refusal) {
                batch.add(try form.message(line.bytes), line: line.number)
            } catch {
                problem = Failure(.data, "\(name):\(line.number): \(error.reason)")
            }
            if batch.isFull { batches.append(takeBatch()) }
        }
        if !isPatient || bytes.isEmpty || problem != nil, !batch.messages.isEmpty { batches.append(takeBatch()) }
        return batches
    }

    private mutating func takeBatch() -> EventBatch {
        defer { batch = EventBatch() }
        return batch
    }

    private mutating func nextLine(isEnd: Bool) -> EventLines.Line? {
        if problem != nil { return nil }
        do throws(EventLines.TooLong) {
            if let line = try lines.next() { return line }
            return isEnd ? try lines.last() : nil
        } catch {
            problem = Failure(
                .data, "\(name):\(error.number): longer than the broker's limit of \(lines.lineBytesMax) bytes")
            return nil
        }
    }
}

/// Publishes what a source holds, several batches on their way at a time.
@MainActor struct EventPublisher {
    /// Times the size of a batch it stays below a broker's default limit of unconfirmed publishes.
    private static let batchesOnTheirWayMax = 8
    private static let readBytes = 1 << 16

    let client: BrokerClient
    let form: EventForm
    /// Of the source, for messages.
    let name: String
    private(set) var report: PublishReport
    private var onTheirWay: [(lines: [Int], response: BrokerClient.PendingResponse)] = []
    private var failure: Failure?

    init(client: BrokerClient, form: EventForm, name: String) {
        self.client = client
        self.form = form
        self.name = name
        report = PublishReport(topic: form.topic.text)
    }

    /// Reads to the end of `source`; on return every event is durable.
    /// - Throws: A failure that says in which line, and how many were published.
    mutating func run(_ source: borrowing Descriptor) async throws(Failure) -> PublishReport {
        var progress = PublishProgress(bytesTotal: source.regularFileBytes())
        let start = Clocks.monotonicMicroseconds()
        var reader = EventReader(form: form, name: name, lineBytesMax: Int(client.limits.bodyBytesMax))
        var isEnd = false
        while !isEnd && failure == nil && reader.problem == nil {
            var chunk: [UInt8] = []
            do throws(SystemError) {
                // Blocks this thread only; the confirmations arrive on others.
                _ = try source.read(into: &chunk, capacity: Self.readBytes)
            } catch {
                failure = Failure(error)
            }
            isEnd = chunk.isEmpty
            // A short read is a slow writer: what is there goes out now.
            for batch in reader.take(chunk, isPatient: chunk.count == Self.readBytes) where failure == nil {
                await send(batch)
            }
            progress.show(report, bytesRead: reader.bytesRead, now: Clocks.monotonicMicroseconds() - start)
        }
        while !onTheirWay.isEmpty { await settleFirst() }
        progress.end()
        report.finish(microseconds: Clocks.monotonicMicroseconds() - start)
        if let failure = failure ?? reader.problem {
            throw Failure(failure.code, "\(failure.message); \(report.published) published")
        }
        return report
    }

    private mutating func send(_ batch: EventBatch) async {
        if onTheirWay.count >= Self.batchesOnTheirWayMax { await settleFirst() }
        do throws(BrokerError) {
            onTheirWay.append((batch.lines, try await client.start(.publish(batch.messages))))
        } catch {
            refuse(line: batch.lines[0], error)
        }
    }

    /// Waits for the oldest batch.
    private mutating func settleFirst() async {
        let (lines, pending) = onTheirWay.removeFirst()
        do throws(BrokerError) {
            switch try await pending.response() {
            case .published(let results):
                for (line, result) in zip(lines, results) {
                    switch result {
                    case .success(let receipt):
                        report.published += 1
                        report.duplicates += receipt.isDuplicate ? 1 : 0
                    case .failure(let error): refuse(line: line, error)
                    }
                }
            case .refused(let error): refuse(line: lines[0], error)
            default: refuse(line: lines[0], BrokerError(.responseMalformed, "no answer to a publish"))
            }
        } catch {
            refuse(line: lines[0], error)
        }
    }

    /// The first refusal is the one that is told.
    private mutating func refuse(line: Int, _ error: BrokerError) {
        if failure == nil { failure = Failure(Failure.exitCode(of: error.code), "\(name):\(line): \(error)") }
    }
}
