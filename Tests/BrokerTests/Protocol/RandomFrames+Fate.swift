import BrokerProtocol

/// Selections, jobs, and what a browse asks and finds.
extension RandomFrames {
    mutating func selection() -> DeadSelection {
        var selection = DeadSelection(ids: list { $0.message() })
        selection.reasons = Set(DeadReason.allCases.filter { _ in flip() })
        selection.errorContains = maybe { $0.text() }
        selection.headers = headers()
        selection.orderingKey = maybe { $0.text() }
        selection.diedFrom = maybe { $0.time() }
        selection.diedBefore = maybe { $0.time() }
        selection.limit = anyNumber()
        selection.isDryRun = flip()
        return selection
    }

    mutating func job() -> DeadJob {
        DeadJob(
            id: anyNumber(), subscription: subscription(), selection: selection(), rate: anyNumber(),
            startedAt: time(), moved: anyNumber())
    }

    mutating func query() -> BrowseQuery {
        var query = BrowseQuery()
        query.states = Set(MessageState.allCases.filter { _ in flip() })
        query.headers = headers()
        query.orderingKey = maybe { $0.text() }
        query.errorContains = maybe { $0.text() }
        query.priority = maybe { $0.anyNumber() }
        query.publishedFrom = maybe { $0.time() }
        query.publishedBefore = maybe { $0.time() }
        query.from = message()
        query.limit = anyNumber()
        query.wantsBodies = flip()
        return query
    }

    mutating func page() -> BrowsePage {
        BrowsePage(messages: list { $0.browsed() }, next: maybe { $0.message() })
    }

    private mutating func browsed() -> BrowsedMessage {
        BrowsedMessage(
            message: delivery(), state: MessageState.allCases[pick(MessageState.allCases)],
            readyAt: maybe { $0.time() }, holder: maybe { $0.text() }, leaseMilliseconds: maybe { $0.anyNumber() },
            death: maybe { frames in
                BrowsedMessage.Death(
                    code: frames.maybe { DeadReason.allCases[$0.pick(DeadReason.allCases)] }, reason: frames.text(),
                    at: frames.time())
            })
    }
}
