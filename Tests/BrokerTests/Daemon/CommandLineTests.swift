import LinuxIO
import Testing

@Suite("Command line")
struct CommandLineTests {
    private let syntax = CommandSyntax(
        synopsis: "brokerd [OPTION]…",
        options: [
            .init("config", short: "c", value: "FILE", help: "read FILE"),
            .init("listen", short: "l", value: "URL", help: "open a door; may be repeated"),
            .init("list", help: "show the doors"),
            .init("verbose", short: "v", help: "say more"),
        ])

    private func failure(_ arguments: [String]) -> UsageError? {
        do throws(UsageError) {
            _ = try syntax.parse(arguments)
            return nil
        } catch {
            return error
        }
    }

    @Test("Every way to write an option is read")
    func forms() throws {
        let forms = [
            ["--config", "a.conf", "-v", "x"], ["--config=a.conf", "--verbose", "x"], ["-c", "a.conf", "-v", "x"],
            ["-ca.conf", "x", "-v"], ["-vc", "a.conf", "x"], ["--conf=a.conf", "-v", "--", "x"],
        ]
        for form in forms {
            let input = try syntax.parse(form)
            #expect(input.value("config") == "a.conf", "\(form)")
            #expect(input.has("verbose"), "\(form)")
            #expect(!input.has("listen"), "\(form)")
            #expect(input.operands == ["x"], "\(form)")
        }
    }

    @Test("A repeated option keeps all its values in order, and the last one counts alone")
    func repeated() throws {
        let input = try syntax.parse(["-l", "tcp://a:1", "--listen=unix:///b", "-l="])
        #expect(input.values("listen") == ["tcp://a:1", "unix:///b", "="])
        #expect(input.value("listen") == "=")
        #expect(input.values("config") == [])
        #expect(input.value("config") == nil)
    }

    @Test("A value may be empty, or look like an option")
    func values() throws {
        let input = try syntax.parse(["--config=", "--listen", "--verbose"])
        #expect(input.value("config") == "")
        #expect(input.value("listen") == "--verbose")
        #expect(!input.has("verbose"))
    }

    @Test(
        "What cannot be read is refused and named",
        arguments: [
            (["--lsten", "x"], UsageError.unknownOption("--lsten")), (["--bad=1"], .unknownOption("--bad")),
            (["--lis"], .unknownOption("--lis")), (["-x"], .unknownOption("-x")), (["-vx"], .unknownOption("-x")),
            (["--config"], .missingValue("--config")), (["-v", "-c"], .missingValue("-c")),
            (["--verbose=1"], .unwantedValue("--verbose")),
        ] as [([String], UsageError)])
    func refusals(arguments: [String], error: UsageError) { #expect(failure(arguments) == error) }

    @Test("With subcommands, options after the first operand belong to the subcommand")
    func subcommands() throws {
        let outer = CommandSyntax(synopsis: "x", options: [.init("json", help: "")], stopsAtOperand: true)
        let input = try outer.parse(["--json", "topic", "--config", "a"])
        #expect(input.has("json"))
        #expect(input.operands == ["topic", "--config", "a"])
    }

    @Test("The usage text aligns the help")
    func usage() {
        #expect(
            syntax.usage == """
                usage: brokerd [OPTION]…

                  -c, --config FILE  read FILE
                  -l, --listen URL   open a door; may be repeated
                      --list         show the doors
                  -v, --verbose      say more

                """)
    }

    @Test("Many threads may parse at once, although getopt keeps its place in globals")
    func parallel() async {
        let values = await withTaskGroup(of: String?.self) { group in
            for index in 0..<200 {
                group.addTask { [syntax] in try? syntax.parse(["-v", "x", "-c", "\(index)"]).value("config") }
            }
            return await group.reduce(into: Set<String?>()) { $0.insert($1) }
        }
        #expect(values.count == 200)
    }
}
