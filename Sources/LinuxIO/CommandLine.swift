private import CLinux
private import Glibc

/// What a program accepts on its command line, read by glibc's `getopt_long`: `--name value`, `--name=value`, unique
/// beginnings of names, `-n value`, `-nvalue`, grouped short flags, `--` before operands.
package struct CommandSyntax: Sendable {
    package struct Option: Sendable {
        package let name: String
        package let short: Character?
        /// What stands for the value in the usage text, such as `DIR`; nil for a flag.
        package let value: String?
        package let help: String

        /// - Parameter short: One ASCII letter or digit.
        package init(_ name: String, short: Character? = nil, value: String? = nil, help: String) {
            precondition(short.map { $0.isASCII && ($0.isLetter || $0.isNumber) } ?? true)
            self.name = name
            self.short = short
            self.value = value
            self.help = help
        }
    }

    package let synopsis: String
    package let options: [Option]
    /// True for a program with subcommands: options after the first operand belong to that.
    package let stopsAtOperand: Bool

    /// - Parameter synopsis: Such as `brokerd [OPTION]…`; first line of the usage text.
    package init(synopsis: String, options: [Option], stopsAtOperand: Bool = false) {
        self.synopsis = synopsis
        self.options = options
        self.stopsAtOperand = stopsAtOperand
    }

    /// The synopsis and one line for each option, aligned.
    package var usage: String {
        let heads = options.map { option in
            let short = option.short.map { "-\($0), " } ?? "    "
            return "  \(short)--\(option.name)" + (option.value.map { " \($0)" } ?? "")
        }
        let width = heads.map(\.count).max() ?? 0
        let lines = zip(heads, options).map { head, option in
            head + String(repeating: " ", count: width - head.count + 2) + option.help + "\n"
        }
        return "usage: \(synopsis)\n" + (lines.isEmpty ? "" : "\n" + lines.joined())
    }

    /// - Parameter arguments: Without the name of the program.
    package func parse(_ arguments: some Sequence<String>) throws(UsageError) -> CommandInput {
        let arguments = Array(arguments)
        // getopt keeps its place in globals.
        let result = Self.turn.with { _ in Result { () throws(UsageError) in try scan(arguments) } }
        return try result.get()
    }

    private static let turn = Monitor(())
    /// Above every character, so that a long option's number is never a short one's.
    private static let firstNumber: Int32 = 256

    private func scan(_ arguments: [String]) throws(UsageError) -> CommandInput {
        let count = Int32(arguments.count + 1)
        var argv: [UnsafeMutablePointer<CChar>?] = unsafe (["-"] + arguments).map { unsafe strdup($0) } + [nil]
        let names = unsafe options.map { unsafe strdup($0.name) }
        defer { unsafe (argv + names).forEach { unsafe free($0) } }
        var table = unsafe zip(options, names).enumerated().map { index, pair in
            unsafe CLinux.option(
                name: pair.1, has_arg: pair.0.value == nil ? no_argument : required_argument, flag: nil,
                val: Self.firstNumber + Int32(index))
        }
        unsafe table.append(CLinux.option())

        var values: [(name: String, value: String)] = []
        var (next, faulty): (Int32, Int32) = (1, 0)
        clinux_getopt_reset()
        while true {
            var value: UnsafePointer<CChar>?
            let code = unsafe clinux_getopt_long(count, &argv, letters, table, &value, &next, &faulty)
            if code == -1 { break }
            let text = unsafe argv[Int(next) - 1].map { unsafe String(cString: $0) } ?? ""
            if code == Int32(UInt8(ascii: ":")) { throw .missingValue(written(faulty, text)) }
            guard let found = declared(code) else {
                throw declared(faulty) == nil
                    ? .unknownOption(written(faulty, text)) : .unwantedValue(written(faulty, text))
            }
            unsafe values.append((found.name, value.map { unsafe String(cString: $0) } ?? ""))
        }
        let operands = unsafe argv[Int(next)..<Int(count)].compactMap { unsafe $0.map { unsafe String(cString: $0) } }
        return CommandInput(values: values, operands: operands)
    }

    /// The short options in getopt's words; a leading colon makes it tell a missing value from an unknown option.
    private var letters: String {
        let letters = options.map { option in
            option.short.map { "\($0)" + (option.value == nil ? "" : ":") } ?? ""
        }
        return (stopsAtOperand ? "+:" : ":") + letters.joined()
    }

    private func declared(_ code: Int32) -> Option? {
        if code >= Self.firstNumber {
            let index = Int(code - Self.firstNumber)
            return index < options.count ? options[index] : nil
        }
        return options.first { $0.short?.asciiValue.map(Int32.init) == code }
    }

    /// The faulty option as a user writes it; `text` is the argument it stands in.
    private func written(_ code: Int32, _ text: String) -> String {
        if code >= Self.firstNumber { return declared(code).map { "--\($0.name)" } ?? text }
        if text.hasPrefix("--") { return String(text.prefix { $0 != "=" }) }
        return UInt8(exactly: code).map { "-\(Character(Unicode.Scalar($0)))" } ?? text
    }
}

/// What stood on a command line.
package struct CommandInput: Sendable {
    private let values: [(name: String, value: String)]
    /// What is no option, in order.
    package let operands: [String]

    init(values: [(name: String, value: String)], operands: [String]) {
        self.values = values
        self.operands = operands
    }

    /// True when the option was given, with or without a value.
    package func has(_ name: String) -> Bool { values.contains { $0.name == name } }

    /// The last value of the option.
    package func value(_ name: String) -> String? { values.last { $0.name == name }?.value }

    /// All values of a repeatable option, in order.
    package func values(_ name: String) -> [String] { values.filter { $0.name == name }.map(\.value) }
}

/// A command line that cannot be read; exit code 64.
package enum UsageError: Error, Equatable, CustomStringConvertible {
    /// Unknown, or the beginning of several names.
    case unknownOption(String)
    case missingValue(String)
    case unwantedValue(String)

    package var description: String {
        switch self {
        case .unknownOption(let option): "unknown option \(option)"
        case .missingValue(let option): "option \(option) needs a value"
        case .unwantedValue(let option): "option \(option) takes no value"
        }
    }
}
