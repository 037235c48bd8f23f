/// The base58 encoding of Bitcoin (base58btc), in which libp2p writes peer ids.
///
/// Source: <https://datatracker.ietf.org/doc/html/draft-msporny-base58-03>.
enum Base58 {
    private static let alphabet = [UInt8]("123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz".utf8)
    private static let zero = UInt8(ascii: "1")

    /// Encodes bytes. The time grows with the square of their number.
    static func encode(_ bytes: some Collection<UInt8>) -> String {
        let zeros = bytes.prefix { $0 == 0 }.count
        // The digits, the last one first.
        var digits: [UInt8] = []
        for byte in bytes.dropFirst(zeros) {
            var carry = Int(byte)
            for index in digits.indices {
                carry += Int(digits[index]) << 8
                digits[index] = UInt8(carry % 58)
                carry /= 58
            }
            while carry > 0 {
                digits.append(UInt8(carry % 58))
                carry /= 58
            }
        }
        let text = repeatElement(zero, count: zeros) + digits.reversed().map { alphabet[Int($0)] }
        return String(decoding: text, as: UTF8.self)
    }

    /// Decodes a text; nil when it has a character outside the alphabet. The time grows with the square of
    /// its length, so the caller bounds it.
    static func decode(_ text: some StringProtocol) -> [UInt8]? {
        let zeros = text.utf8.prefix { $0 == zero }.count
        // The bytes, the last one first.
        var bytes: [UInt8] = []
        for character in text.utf8.dropFirst(zeros) {
            guard let digit = alphabet.firstIndex(of: character) else { return nil }
            var carry = digit
            for index in bytes.indices {
                carry += Int(bytes[index]) * 58
                bytes[index] = UInt8(carry & 0xff)
                carry >>= 8
            }
            while carry > 0 {
                bytes.append(UInt8(carry & 0xff))
                carry >>= 8
            }
        }
        return Array(repeatElement(0, count: zeros)) + bytes.reversed()
    }
}
