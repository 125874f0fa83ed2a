import BrokerProtocol
import LinuxIO
import Synchronization
import TestSupport
import Workers

struct Parcel: Event, Hashable {
    static let topic = TopicName("parcel.sent")!
    var number: Int
}

struct Receipt: Event, Hashable {
    static let topic = TopicName("parcel.received")!
    var number: Int
}

struct Mishap: Error, CustomStringConvertible {
    let description: String
}

/// A worker made of closures.
struct ClosureWorker<Input: Event>: Worker {
    let body: @Sendable (Input, Attempt) async throws -> Outcome
    var judge: (@Sendable (any Error) -> Outcome)?

    func handle(_ event: Input, _ attempt: Attempt) async throws -> Outcome { try await body(event, attempt) }

    func verdict(for error: any Error, _ attempt: Attempt) -> Outcome {
        if let judge { return judge(error) }
        return error is CancellationError ? .release : .fail
    }
}

/// Values in order, for tests to wait on.
final class Recorder<Value: Sendable>: Sendable {
    private struct Waiter {
        let number: Int
        let condition: @Sendable ([Value]) -> Bool
        let continuation: CheckedContinuation<Void, Never>
    }

    private struct State {
        var values: [Value] = []
        var waiters: [Waiter] = []
        var nextNumber = 0
        var cancelled: Set<Int> = []
    }

    private let state = Mutex(State())

    var values: [Value] { state.withLock { $0.values } }

    func add(_ value: Value) {
        let woken = state.withLock { state in
            state.values.append(value)
            let values = state.values
            let woken = state.waiters.filter { $0.condition(values) }
            state.waiters.removeAll { waiter in woken.contains { $0.number == waiter.number } }
            return woken
        }
        for waiter in woken { waiter.continuation.resume() }
    }

    /// Suspends until the condition holds; a test whose time is over goes on, to fail by what it expects.
    func until(_ condition: @escaping @Sendable ([Value]) -> Bool) async {
        let number = state.withLock { state in
            state.nextNumber += 1
            return state.nextNumber
        }
        await withTaskCancellationHandler {
            await wait(number, condition)
        } onCancel: {
            let waiter = state.withLock { state in
                state.cancelled.insert(number)
                let waiter = state.waiters.first { $0.number == number }
                state.waiters.removeAll { $0.number == number }
                return waiter
            }
            waiter?.continuation.resume()
        }
    }

    /// As ``until(_:)``, deaf to cancellation.
    func untilAtAnyPrice(_ condition: @escaping @Sendable ([Value]) -> Bool) async { await wait(0, condition) }

    private func wait(_ number: Int, _ condition: @escaping @Sendable ([Value]) -> Bool) async {
        await withCheckedContinuation { continuation in
            let isOver = state.withLock { state in
                if condition(state.values) || state.cancelled.contains(number) { return true }
                state.waiters.append(Waiter(number: number, condition: condition, continuation: continuation))
                return false
            }
            if isOver { continuation.resume() }
        }
    }
}

/// A door that handlers wait at until the test opens it.
final class Gate: Sendable {
    private let opened = Recorder<Void>()
    func open() { opened.add(()) }

    /// Deaf to cancellation.
    func wait() async { await opened.untilAtAnyPrice { !$0.isEmpty } }

    /// - Throws: `CancellationError` when the task is cancelled before the door opens.
    func waitOrCancel() async throws {
        await opened.until { !$0.isEmpty }
        try Task.checkCancellation()
    }
}

/// A call of ``WorkerRuntime/run()`` under way.
struct RuntimeRun {
    struct Endless: Error {}

    private let ending = Recorder<Result<Void, RuntimeError>>()

    init(_ runtime: WorkerRuntime) {
        Task { [ending] in
            do throws(RuntimeError) {
                ending.add(.success(try await runtime.run()))
            } catch {
                ending.add(.failure(error))
            }
        }
    }

    /// How the run ended.
    /// - Throws: Its error, or ``Endless`` when the test's time was over first.
    var value: Void {
        get async throws {
            await ending.until { !$0.isEmpty }
            guard let result = ending.values.first else { throw Endless() }
            try result.get()
        }
    }
}

/// A runtime on a broker in memory, with what it told.
final class RuntimeFixture: Sendable {
    let broker: TestBroker
    let clock = StepClock()
    let events = Recorder<RuntimeEvent>()
    let texts = Recorder<String>()
    let runtime: WorkerRuntime
    /// The upper bounds of the random waits.
    let waits = Recorder<Int64>()

    static let parcels = SubscriptionName(topic: Parcel.topic, name: "post")

    init(
        _ workers: (inout Role) -> Void, broker: TestBroker = TestBroker(),
        wrapping wrap: @escaping @Sendable (TestConnection) -> any MessageBroker = { $0 },
        configure: (inout RuntimeConfiguration) -> Void = { _ in }
    ) {
        var role = Role("post")
        workers(&role)
        var configuration = RuntimeConfiguration(instance: "post-1")
        configure(&configuration)
        self.broker = broker
        runtime = WorkerRuntime(
            roles: [role], configuration: configuration,
            connect: { () async throws(BrokerError) -> any MessageBroker in wrap(try broker.connect()) },
            observe: { [events] in events.add($0) }, status: { [texts] in texts.add($0) }, clock: clock,
            wallClock: { broker.now },
            random: { [waits] range in
                waits.add(range.upperBound)
                return range.upperBound
            })
    }

    convenience init(
        broker: TestBroker = TestBroker(), configure: (inout RuntimeConfiguration) -> Void = { _ in },
        handling body: @escaping @Sendable (Parcel, Attempt) async throws -> Outcome
    ) {
        self.init({ $0.register(ClosureWorker<Parcel>(body: body)) }, broker: broker, configure: configure)
    }

    /// Runs the runtime during `body`; then it is drained unless it has ended.
    func run(_ body: () async throws -> Void) async throws {
        let task = start()
        try await body()
        runtime.drain()
        try await task.value
    }

    func start() -> RuntimeRun { RuntimeRun(runtime) }

    @discardableResult
    func send(_ number: Int) -> MessageID {
        broker.publish(OutgoingMessage(topic: Parcel.topic, body: Array(#"{"number":\#(number)}"#.utf8)))
    }

    func until(_ condition: @escaping @Sendable (RuntimeEvent) -> Bool) async {
        await events.until { $0.contains(where: condition) }
    }

    func untilReady() async { await until { $0 == .ready } }
}

extension TestBroker.Record {
    var acks: [MessageID] { acknowledged[RuntimeFixture.parcels, default: []] }
    var fails: [TestBroker.Failure] { failures[RuntimeFixture.parcels, default: []] }
    var givenBack: [Int64?] { releases[RuntimeFixture.parcels, default: []] }
    var buried: [DeadLetter] { dead[RuntimeFixture.parcels, default: []] }
}
