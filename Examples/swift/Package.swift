// swift-tools-version: 6.2
import PackageDescription

// What a package of your own looks like. From its repository it is
//     .package(url: "https://…/parley.git", from: "0.1.0")
// and scripts/consumers.sh builds it that way, too.
let package = Package(
    name: "tally",
    platforms: [.macOS(.v15)],
    dependencies: [
        .package(name: "parley", path: "../..")
    ],
    targets: [
        .executableTarget(
            name: "Tally",
            dependencies: [.product(name: "Parley", package: "parley")]
        )
    ]
)
