/// Host names outside of ASCII, as the domain name system has them: `bücher.example` is
/// `xn--bcher-kva.example`.
///
/// Source: <https://www.rfc-editor.org/rfc/rfc3492>
enum Punycode {
    /// Encodes each label of a host name that is not ASCII, in lower case. Its letters are not composed: an
    /// accent that is a character of its own stays one.
    static func encodedHost(_ host: String) -> String {
        if host.utf8.allSatisfy({ $0 < 0x80 }) { return host }
        // The dots that RFC 3490 counts as separators.
        let labels = host.unicodeScalars.split(
            omittingEmptySubsequences: false,
            whereSeparator: { [".", "\u{3002}", "\u{ff0e}", "\u{ff61}"].contains($0) }
        )
        return labels.map { label in
            let text = String(Substring(label))
            guard !label.allSatisfy(\.isASCII) else { return text }
            return "xn--" + encode(text.lowercased().unicodeScalars.map(\.value))
        }.joined(separator: ".")
    }

    // The parameters of RFC 3492, section 5.
    private static let base = 36
    private static let tMin = 1
    private static let tMax = 26
    private static let skew = 38
    private static let damp = 700

    private static func encode(_ scalars: [UInt32]) -> String {
        let basic = scalars.filter { $0 < 0x80 }
        var output = basic.map { Unicode.Scalar(UInt8($0)) }
        if !basic.isEmpty { output.append("-") }
        var (next, delta, bias, handled) = (UInt32(0x80), 0, 72, basic.count)
        while handled < scalars.count {
            let least = scalars.lazy.filter { $0 >= next }.min()!
            delta += Int(least - next) * (handled + 1)
            next = least
            for scalar in scalars {
                if scalar < next { delta += 1 }
                guard scalar == next else { continue }
                var (rest, k) = (delta, base)
                while true {
                    let threshold = min(max(k - bias, tMin), tMax)
                    guard rest >= threshold else { break }
                    output.append(digit(threshold + (rest - threshold) % (base - threshold)))
                    rest = (rest - threshold) / (base - threshold)
                    k += base
                }
                output.append(digit(rest))
                bias = adapt(delta, handled + 1, isFirst: handled == basic.count)
                delta = 0
                handled += 1
            }
            delta += 1
            next += 1
        }
        return String(String.UnicodeScalarView(output))
    }

    private static func digit(_ value: Int) -> Unicode.Scalar {
        Unicode.Scalar(UInt8(value < 26 ? 0x61 + value : 0x30 + value - 26))
    }

    private static func adapt(_ delta: Int, _ count: Int, isFirst: Bool) -> Int {
        var delta = isFirst ? delta / damp : delta / 2
        delta += delta / count
        var k = 0
        while delta > (base - tMin) * tMax / 2 {
            delta /= base - tMin
            k += base
        }
        return k + (base - tMin + 1) * delta / (delta + skew)
    }
}
