import Foundation
import Testing

/// The rules of the house that a reader can check by looking.
@Suite("Rules of the sources") struct SourceRuleTests {
    /// Where C is called: the room of the kernel, and one door for each library.
    private static let doors: [String: Int] = [
        // Expressions that are marked `unsafe`: one more is a question for whoever reviews the change.
        "Sources/DaemonKit/Inih.swift": 14,
        "Sources/DaemonKit/Systemd.swift": 12,
        "Sources/Workers/SQLite/Database.swift": 31,
    ]
    /// Tests that start processes, and play systemd.
    private static let unsafeTests = [
        "Tests/TestSupport/ChildProcess.swift", "Tests/TestSupport/Manager.swift",
        "Tests/BrokerTests/Daemon/TestProcess.swift",
    ]

    /// Records every line of code that the pattern finds, outside the places.
    /// - Parameter words: Lines without one of them are not looked at: a pattern costs time.
    private func forbid(
        _ pattern: some RegexComponent, _ words: [String], in files: [SourceFile],
        except places: some Sequence<String> = []
    ) {
        for file in files where !file.isIn(places) && words.contains(where: { file.text.contains($0) }) {
            for line in file.code where words.contains(where: { line.text.contains($0) }) {
                if line.text.contains(pattern) { Issue.record("\(line)") }
            }
        }
    }

    @Test("Glibc and unsafe are in LinuxIO and behind the doors only") func unsafe() throws {
        let sources = try SourceFile.sources.get()
        let places = ["Sources/LinuxIO"] + Self.doors.keys
        forbid(#/\b(?:Glibc|unsafe)\b/#, ["Glibc", "unsafe"], in: sources, except: places)
        let tests = try SourceFile.swift.get().filter { $0.path.hasPrefix("Tests/") }
        let inTidy = "Tests/BrokerTests/Tidy"
        forbid(#/\bunsafe\b/#, ["unsafe"], in: tests, except: Self.unsafeTests + [inTidy])
    }

    @Test("Outside LinuxIO the unsafe expressions are counted", arguments: Self.doors.keys.sorted())
    func unsafeCount(path: String) throws {
        let code = try SourceFile(path).code
        #expect(code.reduce(0) { $0 + $1.text.matches(of: #/\bunsafe\b/#).count } == Self.doors[path])
    }

    @Test("A C library has one door", arguments: ["CSystemd", "CInih", "CSQLite"]) func oneDoor(library: String) throws
    {
        let doors = try SourceFile.sources.get().filter { file in
            file.code.contains { $0.text.hasSuffix("import \(library)") }
        }.map(\.path)
        #expect(doors.count == 1 && doors.allSatisfy { Self.doors.keys.contains($0) }, "\(doors)")
    }

    @Test("Nothing traps without a word") func traps() throws {
        let sources = try SourceFile.sources.get()
        forbid(#/\b(?:try|as)!/#, ["try!", "as!"], in: sources)
        forbid(#/\b(?:fatalError|preconditionFailure|assertionFailure)\(\)/#, ["Error()", "Failure()"], in: sources)
    }

    @Test("Output goes through LinuxIO and the log") func output() throws {
        // Its own print writes through LinuxIO.
        let console = ["Sources/brokerctl/Console.swift"]
        forbid(
            #/(?:^|[^\w.`])(?:print|debugPrint|NSLog)\(/#, ["rint(", "NSLog("], in: try SourceFile.sources.get(),
            except: console)
    }

    @Test("Nobody sleeps or looks at a clock in the logic") func time() throws {
        let sources = try SourceFile.sources.get()
        let sleepers = [
            // `tail --follow` asks again: the protocol has no push for messages that are only looked at.
            "Sources/brokerctl/Tail.swift",
            // The switch to WAL wants the file for itself, which SQLite's own busy timeout does not cover.
            "Sources/Workers/SQLite/Database.swift",
            // The door to the clock that is given in.
            "Sources/Workers/Runtime/RuntimeClock.swift",
        ]
        forbid(#/(?:^|[^k]\.|[^\w.])\w*sleep\(/#, ["sleep("], in: sources, except: sleepers)
        let clocks = #/\bDate\(\)|\b(?:Date|\w*[cC]lock(?:\(\))?|DispatchTime)\.now\b(?!\()/#
        forbid(clocks, ["Date()", ".now"], in: sources, except: ["Sources/Workers/Runtime/RuntimeClock.swift"])
        let logic = sources.filter { file in
            file.isIn(["Sources/Broker/State", "Sources/BrokerProtocol"])
                || file.path.hasPrefix("Sources/Workers/Runtime/RuntimeState")
        }
        #expect(logic.count > 20)
        forbid(#/\b(?:Clocks|Entropy)\.|\bimport LinuxIO\b/#, ["Clocks", "Entropy", "LinuxIO"], in: logic)
    }

    @Test("Foundation stays out of the broker's path") func foundation() throws {
        let rooms = ["Broker", "BrokerProtocol", "SegmentLog", "LinuxIO", "BrokerClient", "DaemonKit", "brokerd"]
        let files = try SourceFile.sources.get().filter { $0.isIn(rooms.map { "Sources/\($0)" }) }
        #expect(files.count > 80)
        forbid(#/\bimport (?:struct |class |func )?Foundation/#, ["Foundation"], in: files)
    }

    @Test("Files have at most 400 lines, lines at most 120 columns") func sizes() throws {
        for file in try SourceFile.swift.get() {
            let lines = file.lines
            // The last line's end.
            #expect(lines.count - 1 <= 400, "\(file)")
            #expect(lines.last?.text.isEmpty == true, "\(file) does not end in a line end")
            for line in lines where line.text.utf8.count > 120 && line.text.count > 120 {
                Issue.record("longer than 120 columns: \(line)")
            }
        }
    }

    @Test("Nothing is left for later") func leftovers() throws {
        let files =
            try SourceFile.swift.get() + SourceFile.documents.get()
            + SourceFile.all(["Sources"], endings: [".c", ".h", ".modulemap"])
            + SourceFile.all(["demo", "units", "scripts"], endings: [""])
        let words = ["TODO", "FIXME", "XXX", "HACK"]
        for file in files where !file.isIn(["Tests/BrokerTests/Tidy"]) && words.contains(where: file.text.contains) {
            for line in file.lines where words.contains(where: line.text.contains) { Issue.record("\(line)") }
        }
    }
}
