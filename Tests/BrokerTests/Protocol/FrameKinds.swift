import BrokerProtocol

/// Every case of the protocol's enums. A new case does not compile until it stands here, and fails the tests until
/// docs/PROTOCOL.md has a vector for it.
enum RequestKind: CaseIterable {
    case hello, ping, publish, commit, subscribe, credit, unsubscribe, settle, extend, pop, fetch
    case topicCreate, topicSet, topicDelete, topicList
    case rewind, subscriptionCreate, subscriptionSet, subscriptionDelete
    case status, peek, deadList, deadRedrive, deadPurge, deadJobs, deadJobCancel
    case browse, delete
    case cancel, reschedule, scheduleSet, scheduleDelete, scheduleList, schedulePause, scheduleResume, pause, resume
    case keyList, keyRelease
    case history

    init(_ request: Request) {
        switch request {
        case .hello: self = .hello
        case .ping: self = .ping
        case .publish: self = .publish
        case .commit: self = .commit
        case .subscribe: self = .subscribe
        case .credit: self = .credit
        case .unsubscribe: self = .unsubscribe
        case .settle: self = .settle
        case .extend: self = .extend
        case .pop: self = .pop
        case .fetch: self = .fetch
        case .topicCreate: self = .topicCreate
        case .topicSet: self = .topicSet
        case .topicDelete: self = .topicDelete
        case .topicList: self = .topicList
        case .subscriptionCreate: self = .subscriptionCreate
        case .rewind: self = .rewind
        case .subscriptionSet: self = .subscriptionSet
        case .subscriptionDelete: self = .subscriptionDelete
        case .status: self = .status
        case .peek: self = .peek
        case .deadList: self = .deadList
        case .deadRedrive: self = .deadRedrive
        case .deadPurge: self = .deadPurge
        case .deadJobs: self = .deadJobs
        case .deadJobCancel: self = .deadJobCancel
        case .browse: self = .browse
        case .delete: self = .delete
        case .cancel: self = .cancel
        case .reschedule: self = .reschedule
        case .scheduleSet: self = .scheduleSet
        case .scheduleDelete: self = .scheduleDelete
        case .scheduleList: self = .scheduleList
        case .schedulePause: self = .schedulePause
        case .scheduleResume: self = .scheduleResume
        case .pause: self = .pause
        case .resume: self = .resume
        case .keyList: self = .keyList
        case .keyRelease: self = .keyRelease
        case .history: self = .history
        }
    }
}

enum ResponseKind: CaseIterable {
    case refused, hello, done, published, committed, settled, popped, topics, status, messages, deadLetters, count
    case fetched
    case browsed, deadJobs
    case schedules
    case keys
    case history

    init(_ response: Response) {
        switch response {
        case .refused: self = .refused
        case .hello: self = .hello
        case .done: self = .done
        case .published: self = .published
        case .committed: self = .committed
        case .settled: self = .settled
        case .popped: self = .popped
        case .topics: self = .topics
        case .status: self = .status
        case .messages: self = .messages
        case .deadLetters: self = .deadLetters
        case .count: self = .count
        case .fetched: self = .fetched
        case .browsed: self = .browsed
        case .deadJobs: self = .deadJobs
        case .schedules: self = .schedules
        case .keys: self = .keys
        case .history: self = .history
        }
    }
}

enum PushKind: CaseIterable {
    case deliveries, consumerEnded

    init(_ push: Frame.Push) {
        switch push {
        case .deliveries: self = .deliveries
        case .consumerEnded: self = .consumerEnded
        }
    }
}
