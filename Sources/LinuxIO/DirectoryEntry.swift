private import Glibc

extension Directory {
    /// Gives the file a second name; never replaces one.
    /// - Returns: False when the new name is taken, then nothing changed.
    package static func link(_ old: String, to new: String) throws(SystemError) -> Bool {
        do throws(SystemError) {
            try check("link", "\(old) to \(new)") { unsafe Glibc.link(old, new) }
            return true
        } catch {
            if error.isExisting { return false }
            throw error
        }
    }
}

extension Process {
    /// The name of this machine, at most 64 bytes.
    package static var hostName: String {
        var name = [CChar](repeating: 0, count: 65)
        guard unsafe gethostname(&name, 64) == 0 else { return "localhost" }
        return String(decoding: name.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
    }
}
