// The entry points of libFuzzer. scripts/fuzz.sh compiles this file together with the sources of the wire
// forms and of secured links, so that libFuzzer sees their branches.

/// The target whose name the program has: there is a link of that name for each.
private let target: FuzzTarget = {
    let name = CommandLine.arguments[0].split(separator: "/").last.map(String.init) ?? ""
    guard let target = FuzzTarget(rawValue: name) else { fatalError("there is no fuzz target \(name)") }
    return target
}()

/// See <https://llvm.org/docs/LibFuzzer.html>.
@_cdecl("LLVMFuzzerTestOneInput")
public func testOneInput(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    target.run([UInt8](UnsafeBufferPointer(start: start, count: count)))
    return 0
}
