// swift-tools-version: 6.2
import PackageDescription

// A package of its own, so that nothing it depends on reaches those who depend on Parley.
let settings: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
    .enableUpcomingFeature("ExistentialAny"),
]

let nio: [Target.Dependency] = [
    .product(name: "NIOCore", package: "swift-nio"),
    .product(name: "NIOPosix", package: "swift-nio"),
]

let package = Package(
    name: "parley-benchmarks",
    platforms: [.macOS(.v26)],
    dependencies: [
        .package(name: "parley", path: ".."),
        .package(url: "https://github.com/apple/swift-nio.git", from: "2.80.0"),
        .package(url: "https://github.com/apple/swift-nio-ssl.git", from: "2.30.0"),
    ],
    targets: [
        // The command line and the figures, which the programs in C have from the same file.
        .target(name: "CBench"),
        .target(name: "Bench", dependencies: ["CBench"], swiftSettings: settings),
        .executableTarget(
            name: "parley-swift",
            dependencies: [
                "Bench",
                .product(name: "Parley", package: "parley"),
                .product(name: "ParleyNoise", package: "parley"),
            ],
            path: "Sources/ParleySwift",
            swiftSettings: settings
        ),
        .executableTarget(
            name: "nio-handler",
            dependencies: ["Bench", "NIOFrames", .product(name: "NIOSSL", package: "swift-nio-ssl")] + nio,
            path: "Sources/NIOHandler",
            swiftSettings: settings
        ),
        .executableTarget(
            name: "nio-async",
            dependencies: ["Bench", "NIOFrames"] + nio,
            path: "Sources/NIOAsync",
            swiftSettings: settings
        ),
        .target(name: "NIOFrames", dependencies: ["Bench"] + nio, swiftSettings: settings),
    ]
)
