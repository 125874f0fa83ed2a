import BrokerProtocol
import LinuxIO
import SegmentLog

/// The loop's way out: effects whose records are durable, and what each connection gets of them.
extension EventLoop {
    func perform(_ effect: Effect) throws(LogError) {
        switch effect {
        case .respond(let origin, .status(let status)): respond(origin, .status(completed(status)))
        case .respond(let origin, let response): respond(origin, response)
        case .deliver(let session, let notice):
            if let connection = connections[session], case .native(let wire) = connection.wire {
                wire.deliver(notice)
                touch(connection)
            } else if locals[session]?.session != nil {
                send(.push(.deliveries([try engine.delivery(notice)])), to: session)
            }
        case .answerPop(let origin, let notice):
            respond(origin, .popped(try engine.delivery(notice)))
        case .answerFetch(let origin, let notices):
            var deliveries: [Delivery] = []
            for notice in notices { deliveries.append(try engine.delivery(notice)) }
            respond(origin, .fetched(deliveries))
        case .answerPeek(let origin, let notices):
            var messages: [Delivery] = []
            for notice in notices { messages.append(try engine.delivery(notice)) }
            respond(origin, .messages(messages))
        case .answerDead(let origin, let notices):
            var letters: [DeadLetter] = []
            for notice in notices { letters.append(try engine.deadLetter(notice)) }
            respond(origin, .deadLetters(letters))
        case .answerBrowse(let origin, let found): respond(origin, .browsed(try engine.page(found)))
        case .deadAlarm(let alarm): alarm.log(to: logger)
        case .endConsumer(let session, let consumer, let error):
            send(.push(.consumerEnded(consumer, error)), to: session)
        case .answerRedis(let session, let reply): try answer(session, reply)
        case .hangUp(let session): hangUp(session)
        case .searchHistory(let origin, let query, let limit): startSearch(origin, query, limit)
        case .recycle: preconditionFailure("the engine recycles")
        }
    }

    func touch(_ connection: Connection) {
        if connection.isTouched { return }
        connection.isTouched = true
        touched.append(connection)
    }

    private func respond(_ origin: Origin, _ response: Response) {
        if let connection = connections[origin.session] {
            if connection.isEnding { return }
            connection.respond(origin.correlation, response, now: now.monotonic)
            touch(connection)
        } else {
            locals[origin.session]?.session?.receive(.response(origin.correlation, response))
        }
    }

    /// Only a connection publishes plainly.
    func confirm(_ confirmation: Confirmation) {
        guard let connection = connections[confirmation.origin.session], !connection.isEnding else { return }
        connection.confirm(confirmation.origin.correlation, confirmation.message, now: now.monotonic)
        touch(connection)
    }

    func send(_ frame: Frame, to session: SessionID) {
        if let connection = connections[session] {
            if connection.isEnding { return }
            connection.send(frame, now: now.monotonic)
            touch(connection)
        } else {
            locals[session]?.session?.receive(frame)
        }
    }

    func completed(_ status: BrokerStatus) -> BrokerStatus {
        var status = status
        status.version = productVersion
        status.epoch = engine.log.epoch
        status.uptimeMilliseconds = now.monotonic - startedAt
        status.connections = UInt32(connections.count)
        status.logSegments = engine.log.lastSegment - engine.log.firstSegment + 1
        status.logFreeBytes = UInt64(max(engine.log.publishBytesFree, 0))
        return status
    }

    /// The memory of a list that is done serves the next one.
    private func keep(_ list: inout [Connection]) {
        if !touched.isEmpty { return }
        list.removeAll(keepingCapacity: true)
        swap(&list, &touched)
    }

    /// Sends what waits, and asks the poller for what each connection needs next.
    func flush() throws {
        var batch: [Connection] = []
        swap(&batch, &touched)
        defer { keep(&batch) }
        let isBehind = engine.unsyncedBytes > Self.unsyncedBytesMax
        for connection in batch { connection.isTouched = false }
        for connection in batch where connections[connection.token] === connection {
            do {
                try connection.flush(now: now.monotonic) { (notice, writer) throws(any Error) in
                    try engine.encode(notice, into: &writer)
                }
            } catch is SystemError {
                close(connection)
                continue
            }
            if connection.isEnding && connection.isFlushed {
                close(connection)
                continue
            }
            if case .redis(let wire) = connection.wire { resumeWhenFree(connection, wire) }
            let interest = Poller.Interest(read: connection.wantsInput && !isBehind, write: connection.wantsOutput)
            // One that rests because of the disk is looked at again in the next turn.
            if connection.wantsInput && isBehind { touch(connection) }
            if interest != connection.interest {
                connection.interest = interest
                try poller.modify(connection.descriptor.number, token: connection.token, interest: interest)
            }
        }
    }
}
