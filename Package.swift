// swift-tools-version: 6.2
import PackageDescription

/// The settings that every target is compiled with.
let settings: [SwiftSetting] =
    [
        .swiftLanguageMode(.v6),
        .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
        .enableUpcomingFeature("ExistentialAny"),
    ]
    // For `make lint` and CI. Another compiler may warn of more, which must not keep anybody from building.
    + (Context.environment["PARLEY_STRICT"] == nil ? [] : [.treatAllWarnings(as: .error)])

let package = Package(
    name: "parley",
    platforms: [.macOS(.v26)],
    products: [
        .library(name: "Parley", targets: ["Parley"]),
        // The C library. `make lib` builds it so that it runs on machines without Swift.
        .library(name: "parley-shared", type: .dynamic, targets: ["ParleyABI"]),
        // Products of their own, so that the library does not depend on swift-metrics and
        // swift-service-lifecycle, nor on libsodium.
        .library(name: "ParleyNoise", targets: ["ParleyNoise"]),
        .library(name: "ParleyMetrics", targets: ["ParleyMetrics"]),
        .library(name: "ParleyService", targets: ["ParleyService"]),
        // The only product that needs Foundation.
        .library(name: "ParleyCodable", targets: ["ParleyCodable"]),
        .executable(name: "parley", targets: ["ParleyCLI"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-log.git", from: "1.6.0"),
        .package(url: "https://github.com/apple/swift-argument-parser.git", from: "1.5.0"),
        .package(url: "https://github.com/apple/swift-metrics.git", from: "2.5.0"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle.git", from: "2.6.0"),
    ],
    targets: [
        .systemLibrary(
            name: "CLibUV",
            path: "CLibUV",
            pkgConfig: "libuv",
            providers: [.apt(["libuv1-dev"]), .brew(["libuv"])]
        ),
        .target(
            name: "Parley",
            dependencies: ["CLibUV", .product(name: "Logging", package: "swift-log")],
            swiftSettings: settings
        ),
        .systemLibrary(
            name: "CSodium",
            path: "CSodium",
            pkgConfig: "libsodium",
            providers: [.apt(["libsodium-dev"]), .brew(["libsodium"])]
        ),
        .target(name: "ParleyNoise", dependencies: ["CSodium", "Parley"], swiftSettings: settings),
        .systemLibrary(name: "CParley"),
        .target(
            name: "ParleyABI",
            dependencies: [
                "CParley", "Parley", "ParleyNoise", .product(name: "Logging", package: "swift-log"),
            ],
            swiftSettings: settings
        ),
        .target(
            name: "ParleyMetrics",
            dependencies: ["Parley", .product(name: "Metrics", package: "swift-metrics")],
            swiftSettings: settings
        ),
        .target(
            name: "ParleyService",
            dependencies: [
                "Parley", .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
            ],
            swiftSettings: settings
        ),
        .target(name: "ParleyCodable", dependencies: ["Parley"], swiftSettings: settings),
        .systemLibrary(name: "CFiles"),
        .executableTarget(
            name: "ParleyCLI",
            dependencies: [
                "CFiles",
                "CParley",
                "Parley",
                "ParleyNoise",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Logging", package: "swift-log"),
            ],
            swiftSettings: settings
        ),
        // The example in README.md; scripts/check-examples.sh keeps the two the same.
        .executableTarget(
            name: "TwoNodes",
            dependencies: ["Parley", "ParleyNoise"],
            path: "Examples/TwoNodes",
            swiftSettings: settings
        ),
        // Programs that targets of the Makefile run.
        .executableTarget(name: "PlantedRace", path: "Tests/PlantedRace"),
        .target(name: "FaultProxy", path: "Tests/FaultProxy", swiftSettings: settings),
        .systemLibrary(name: "CLinux", path: "Tests/CLinux"),
        .target(name: "Gauges", dependencies: ["CLinux"], path: "Tests/Gauges", swiftSettings: settings),
        .executableTarget(
            name: "ParleyChaos",
            dependencies: ["Parley", "ParleyNoise", "FaultProxy", "Gauges"],
            path: "Tests/Chaos",
            swiftSettings: settings
        ),
        .executableTarget(
            name: "ParleyHostile",
            dependencies: [
                "CParley", "Parley", "ParleyNoise", "ParleyABI", "CLinux", "FaultProxy", "Gauges",
            ],
            path: "Tests/Hostile",
            swiftSettings: settings
        ),
        .executableTarget(
            name: "ParleyNamespaces",
            dependencies: ["Parley", "Gauges"],
            path: "Tests/Namespaces",
            swiftSettings: settings
        ),
        .executableTarget(
            name: "ParleySoak",
            dependencies: [
                "Parley", "ParleyNoise", "FaultProxy", "Gauges",
                .product(name: "Logging", package: "swift-log"),
            ],
            path: "Tests/Soak",
            swiftSettings: settings
        ),
        // Compiled like an application's code: only public API, none of the package's settings.
        .executableTarget(
            name: "ParleyInstructions",
            dependencies: ["Parley"],
            path: "Benchmarks/Instructions/Sources",
            packageAccess: false
        ),
        .target(name: "ForeignProcess", path: "Tests/Interop/process", swiftSettings: settings),
        .executableTarget(
            name: "ParleyInterop",
            dependencies: ["Parley", "FaultProxy", "ForeignProcess"],
            path: "Tests/Interop/swift",
            swiftSettings: settings
        ),
        .executableTarget(
            name: "ParleyNoiseInterop",
            dependencies: ["Parley", "ParleyNoise", "ForeignProcess"],
            path: "Tests/Interop/noise",
            exclude: ["foreign.py", "requirements.txt"],
            swiftSettings: settings
        ),
        .executableTarget(
            name: "ParleyLibP2PInterop",
            dependencies: ["Parley", "ParleyNoise", "ForeignProcess"],
            path: "Tests/Interop/libp2p",
            exclude: [
                "commands.py", "go_node.py", "py_node.py", "requirements-go.txt", "requirements-py.txt",
                "yamux",
            ],
            swiftSettings: settings
        ),
        .testTarget(
            name: "ParleyTests",
            dependencies: [
                "Parley", "ParleyNoise", "CLinux", "FaultProxy", "Gauges",
                .product(name: "Logging", package: "swift-log"),
            ],
            swiftSettings: settings
        ),
        .testTarget(
            name: "ParleyNoiseTests",
            dependencies: ["Parley", "ParleyNoise"],
            swiftSettings: settings
        ),
        .testTarget(
            name: "ParleyMetricsTests",
            dependencies: ["ParleyMetrics", .product(name: "MetricsTestKit", package: "swift-metrics")],
            swiftSettings: settings
        ),
        .testTarget(
            name: "ParleyServiceTests",
            dependencies: [
                "ParleyService",
                .product(name: "ServiceLifecycleTestKit", package: "swift-service-lifecycle"),
            ],
            swiftSettings: settings
        ),
        .testTarget(
            name: "ParleyCodableTests",
            dependencies: ["ParleyCodable"],
            swiftSettings: settings
        ),
        .testTarget(
            name: "ParleyCLITests",
            dependencies: ["Parley", "ParleyCLI", "ParleyNoise", "ParleySoak", "CLinux"],
            swiftSettings: settings
        ),
        // Replays inputs that the fuzzers found; scripts/fuzz.sh builds the fuzzers from the same files.
        .testTarget(
            name: "FuzzReplayTests",
            dependencies: ["Parley", "ParleyNoise"],
            path: "Tests/Fuzz",
            exclude: ["Harness", "Corpus", "Failures"],
            swiftSettings: settings
        ),
    ]
)
