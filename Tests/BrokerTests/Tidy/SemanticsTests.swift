import Testing

/// Every rule of the semantics names what shows it, and what it names exists.
@Suite("Rules of the semantics") struct SemanticsTests {
    private struct Row {
        let rule: String
        let scenarios: String
        let tests: [String]
    }

    private static func rules() throws -> [String] {
        try Repository.text("docs/SEMANTICS.md").matches(of: #/(?m)^- \*\*([A-Z]\d+) /#).map { String($0.1) }
    }

    private static func rows() throws -> [Row] {
        try Repository.text("docs/SEMANTICS.md").matches(of: #/(?m)^\| ([A-Z]\d+) \| (.*) \| (.*) \|$/#).map { match in
            Row(
                rule: String(match.1), scenarios: String(match.2),
                tests: match.3.matches(of: #/\w+Tests/#).map { String($0.0) })
        }
    }

    @Test("Each rule stands in the table of what shows it, in the same order") func table() throws {
        let rules = try Self.rules()
        #expect(rules.count > 40)
        #expect(try Self.rows().map(\.rule) == rules)
    }

    @Test("The table names the scenarios of the suite, and files of tests that exist") func names() throws {
        let files = try SourceFile.swift.get().map(\.path)
        for row in try Self.rows() {
            let scenarios = Scenario.all.filter { $0.rule == row.rule }.map(\.sentence).joined(separator: "; ")
            #expect(row.scenarios == (scenarios.isEmpty ? "–" : scenarios), "\(row.rule)")
            #expect(!scenarios.isEmpty || !row.tests.isEmpty, "nothing shows \(row.rule)")
            for test in row.tests {
                #expect(files.contains { $0.hasSuffix("/\(test).swift") }, "\(row.rule) names \(test)")
            }
        }
    }

    @Test("Each scenario is of a rule that exists, and has a sentence of its own") func scenarios() throws {
        let rules = try Self.rules()
        for scenario in Scenario.all { #expect(rules.contains(scenario.rule), "\(scenario.testDescription)") }
        #expect(Set(Scenario.all.map(\.sentence)).count == Scenario.all.count)
    }
}
