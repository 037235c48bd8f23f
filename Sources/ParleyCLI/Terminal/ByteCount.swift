import ArgumentParser

/// A number of bytes on the command line: `1500`, `20k`, `4.5M`, `2G`, with units of a thousand.
struct ByteCount: ExpressibleByArgument, Equatable {
    let bytes: Int

    init?(argument: String) {
        let units: [Character: Double] = ["k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12]
        var digits = argument[...]
        let unit = digits.last.flatMap { units[$0] }
        if unit != nil { digits.removeLast() }
        let isNumber = digits.first?.isNumber == true && digits.allSatisfy { "0123456789.".contains($0) }
        guard isNumber, let number = Double(digits), unit != nil || !digits.contains("."),
            let bytes = Int(exactly: (number * (unit ?? 1)).rounded())
        else { return nil }
        self.bytes = bytes
    }
}
