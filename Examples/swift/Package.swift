// swift-tools-version: 6.2
import PackageDescription

// A package that depends on Parley. With Parley's repository instead of a path, the dependency is
//     .package(url: "https://…/parley.git", from: "0.1.0")
// scripts/consumers.sh builds it that way too.
let package = Package(
    name: "tally",
    platforms: [.macOS(.v26)],
    dependencies: [
        .package(name: "parley", path: "../..")
    ],
    targets: [
        .executableTarget(
            name: "Tally",
            dependencies: [.product(name: "Parley", package: "parley")]
        ),
        // Three nodes that keep each other's files: streams and requests.
        .executableTarget(
            name: "FileServer",
            dependencies: [
                .product(name: "Parley", package: "parley"),
                .product(name: "ParleyNoise", package: "parley"),
            ]
        ),
    ]
)
