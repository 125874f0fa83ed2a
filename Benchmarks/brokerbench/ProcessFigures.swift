import Foundation

/// What the kernel says of the processes of a server.
struct ProcessFigures {
    let identifiers: [Int32]

    private func text(_ identifier: Int32, _ file: String) -> String {
        (try? String(contentsOfFile: "/proc/\(identifier)/\(file)", encoding: .utf8)) ?? ""
    }

    /// User and system time of all of them, with their ended threads.
    func cpuSeconds() -> Double {
        identifiers.reduce(0) { sum, identifier in
            guard let rest = text(identifier, "stat").split(separator: ")").last else { return sum }
            let fields = rest.split(separator: " ")
            guard fields.count > 12 else { return sum }
            return sum + ((Double(fields[11]) ?? 0) + (Double(fields[12]) ?? 0)) / 100
        }
    }

    private func kibibytes(_ key: String) -> Double {
        identifiers.reduce(0) { sum, identifier in
            let line = text(identifier, "status").split(separator: "\n").first { $0.hasPrefix(key + ":") }
            return sum + (line?.split(whereSeparator: \.isWhitespace).compactMap { Double($0) }.first ?? 0)
        }
    }

    /// Peak resident memory since ``forgetPeak()``, summed over the processes.
    func peakMiB() -> Double { kibibytes("VmHWM") / 1024 }

    func residentKiB() -> Double { kibibytes("VmRSS") }

    func forgetPeak() {
        for identifier in identifiers {
            try? "5".write(toFile: "/proc/\(identifier)/clear_refs", atomically: false, encoding: .utf8)
        }
    }
}
