// swift-tools-version: 6.2
import PackageDescription

let strict: [SwiftSetting] = [
    .strictMemorySafety(),
    .treatAllWarnings(as: .error),
    .enableUpcomingFeature("InternalImportsByDefault"),
]

/// A Swift target with the settings that every room shares.
func room(_ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
    .target(name: name, dependencies: dependencies, swiftSettings: strict)
}

func executable(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .executableTarget(name: name, dependencies: dependencies, swiftSettings: strict)
}

let package = Package(
    name: "brokerd",
    products: [
        .library(name: "Broker", targets: ["Broker", "BrokerProtocol"]),
        .library(name: "BrokerClient", targets: ["BrokerClient", "BrokerProtocol"]),
        .library(name: "Workers", targets: ["Workers", "BrokerProtocol"]),
        .executable(name: "brokerd", targets: ["brokerd"]),
        .executable(name: "workerd", targets: ["workerd"]),
        .executable(name: "brokerctl", targets: ["brokerctl"]),
    ],
    targets: [
        .target(name: "CLinux"),
        .systemLibrary(name: "CSystemd", pkgConfig: "libsystemd", providers: [.apt(["libsystemd-dev"])]),
        .systemLibrary(name: "CSQLite", pkgConfig: "sqlite3", providers: [.apt(["libsqlite3-dev"])]),
        .systemLibrary(name: "CInih", pkgConfig: "inih", providers: [.apt(["libinih-dev"])]),

        room("LinuxIO", ["CLinux"]),
        room("BrokerProtocol"),
        room("SegmentLog", ["LinuxIO"]),
        room("DaemonKit", ["LinuxIO", "CSystemd", "CInih"]),
        room("Broker", ["SegmentLog", "BrokerProtocol", "LinuxIO", "DaemonKit"]),
        room("BrokerClient", ["BrokerProtocol", "LinuxIO"]),
        room("Workers", ["BrokerProtocol", "LinuxIO", "CSQLite"]),

        executable("brokerd", ["Broker", "BrokerProtocol", "DaemonKit", "LinuxIO", "SegmentLog"]),
        executable("workerd", ["Workers", "Broker", "BrokerClient", "BrokerProtocol", "DaemonKit", "LinuxIO"]),
        executable("brokerctl", ["BrokerClient", "BrokerProtocol", "SegmentLog", "Broker", "LinuxIO", "DaemonKit"]),

        executable("brokerbench", ["BrokerProtocol", "LinuxIO", "BrokerClient", "Workers"]),

        room("TestSupport", ["LinuxIO", "SegmentLog", "BrokerProtocol", "Broker", "BrokerClient", "Workers"]),
    ].map { target in
        if target.name == "TestSupport" { target.path = "Tests/TestSupport" }
        if target.name == "brokerbench" { target.path = "Benchmarks/brokerbench" }
        return target
    } + [
        .testTarget(
            name: "BrokerTests",
            dependencies: [
                "TestSupport", "LinuxIO", "BrokerProtocol", "SegmentLog", "Broker", "BrokerClient", "DaemonKit",
                "brokerctl", "brokerd",
            ],
            swiftSettings: strict),
        .testTarget(
            name: "WorkerTests",
            dependencies: [
                "TestSupport", "LinuxIO", "BrokerProtocol", "Broker", "BrokerClient", "Workers", "CSQLite", "brokerd",
                "workerd",
            ],
            swiftSettings: strict),
    ],
    swiftLanguageModes: [.v6]
)
