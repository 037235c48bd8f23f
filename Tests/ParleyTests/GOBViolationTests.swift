import Testing

@testable import Parley

@Suite struct GOBViolationTests {
    @Test func `impossible lengths of messages are refused`() {
        expectGOBViolation([0xf7], "expected the length of a gob message, got 0xf7")
        expectGOBViolation([0x00], "a gob message of no bytes")
        expectGOBViolation(GOBBytes.uint(.max), "is over the limit of 16842752")
        expectGOBViolation(GOBBytes.uint(16_842_753), "a gob message of 16842753 bytes is over the limit")
        expectGOBViolation(GOBBytes.uint(65_541), "over the limit of 65540", maxMessageBytes: 4)
        var feed = GOBFeed(maxMessageBytes: 4)
        #expect(throws: Never.self) { try feed.receive(GOBBytes.uint(65_540)[...]) }
    }

    @Test func `impossible type ids are refused`() {
        expectGOBViolation(GOBBytes.message([0xff]), "a gob message of 1 bytes ends inside a type id")
        expectGOBViolation(GOBBytes.message(GOBBytes.int(1 << 31)), "the type id 2147483648 is out of range")
        expectGOBViolation(GOBBytes.message(GOBBytes.int(.min)), "is out of range")
        expectGOBViolation(GOBBytes.message([0xf6]), "claims to be a number of 10 bytes")
        let nine = GOBBytes.message([0xf7] + [UInt8](repeating: 1, count: 9))
        expectGOBViolation(nine, "claims to be a number of 9 bytes")
        expectGOBViolation(
            GOBBytes.message(GOBBytes.int(65)),
            "a value of the type 65, which is not a defined"
        )
        expectGOBViolation(GOBBytes.slice(63, of: 2), "the type id 63 is gob's own and cannot be defined")
    }

    @Test func `a definition defines exactly one kind of type`() {
        let id = GOBBytes.int(-65)
        expectGOBViolation(GOBBytes.message(id + [0]), "the type 65 is defined as no kind at all")
        expectGOBViolation(
            GOBBytes.message(id + [1, 0, 1, 0, 0]),
            "the type 65 is defined as two kinds at once"
        )
        expectGOBViolation(
            GOBBytes.message(id + [8]),
            "field -1 plus 8 is out of range: wireType has 7 fields"
        )
        expectGOBViolation(GOBBytes.message(id), "ends inside wireType")
        expectGOBViolation(GOBBytes.message(id + [1, 0, 0, 7]), "1 bytes too many after a type definition")
        expectGOBViolation(GOBBytes.array(65, of: 2, count: -1), "an array type has the length -1")
        expectGOBViolation(GOBBytes.slice(65, of: 1 << 31), "the type of a slice's elements is 2147483648")
    }

    /// `wireType` is a struct of structs; each has so many fields.
    @Test(arguments: [
        (kind: UInt64(0), name: "ArrayType", fields: UInt64(3)), (1, "SliceType", 2), (2, "StructType", 2),
        (3, "MapType", 3), (4, "gobEncoderType", 1), (5, "gobEncoderType", 1), (6, "gobEncoderType", 1),
    ]) func `a definition has no fields that gob does not know`(kind: UInt64, name: String, fields: UInt64) {
        let id = GOBBytes.int(-65) + GOBBytes.uint(kind + 1)
        func expectRefusal(_ parts: [UInt8], _ number: UInt64, _ name: String, _ count: UInt64) {
            expectGOBViolation(
                GOBBytes.message(id + parts + GOBBytes.uint(number) + [0, 0, 0, 0]),
                "plus \(number) is out of range: \(name) has \(count) fields"
            )
        }
        expectRefusal([], fields + 1, name, fields)
        expectRefusal([1], 3, "CommonType", 2)
    }

    @Test func `a field of a struct has a name and a type, and nothing else`() {
        expectGOBViolation(
            GOBBytes.definition(65, kind: 2, [2, 1, 3, 0]),
            "plus 3 is out of range: FieldType has 2 fields"
        )
    }

    @Test func `an array may have no elements`() throws {
        let bytes = GOBBytes.rpc(among: GOBBytes.array(66, of: 2, count: 0), type: 66, field: [0])
        #expect(try GOBFeed.events([bytes]) == [.message([0x70])])
    }

    @Test func `a struct definition cannot claim more than its bytes hold`() {
        let fields = GOBBytes.definition(65, kind: 2, [2] + GOBBytes.uint(1 << 60))
        expectGOBViolation(fields, "the count of a struct's fields is 1152921504606846976")
        let name = GOBBytes.definition(65, kind: 2, [2, 1, 1] + GOBBytes.uint(.max))
        expectGOBViolation(name, "a field's name claims 18446744073709551615 bytes, but 2 are left")
    }

    @Test func `types and fields are limited in number, redefinitions are not`() throws {
        let ids = 65..<(65 + Int64(GOBTypes.maxTypes))
        let types = ids.flatMap { GOBBytes.slice($0, of: 2) }
        var feed = GOBFeed()
        for _ in 0..<3 { try feed.receive(types[...]) }
        expectGOBViolation(types + GOBBytes.slice(ids.upperBound, of: 2), "more than 1024 types are defined")

        let half = Array(repeating: (name: "A", type: Int64(2)), count: GOBTypes.maxFields / 2)
        let both = GOBBytes.structure(65, half) + GOBBytes.structure(66, half)
        feed = GOBFeed()
        for _ in 0..<3 { try feed.receive(both[...]) }
        expectGOBViolation(
            both + GOBBytes.structure(67, [("A", 2)]),
            "the count of a struct's fields is 1, more than the 0 that can follow"
        )
    }

    @Test func `a value that does not fit its message or its type is refused`() {
        func value(_ body: [UInt8]) -> [UInt8] { GOBBytes.rpc + GOBBytes.message(GOBBytes.int(65) + body) }
        expectGOBViolation(value([]), "ends inside a struct")
        expectGOBViolation(value([3, 1]), "ends inside a struct")
        expectGOBViolation(value([4]), "field -1 plus 4 is out of range: a struct has 3 fields")
        expectGOBViolation(value([2, 1, 0x70, 2]), "field 1 plus 2 is out of range")
        expectGOBViolation(value([1] + GOBBytes.uint(.max)), "claims 18446744073709551615 bytes")
        expectGOBViolation(value([2, 5, 0x70]), "the field Payload claims 5 bytes, but 1 are left")
        expectGOBViolation(value([2, 1, 0x70]), "ends inside a struct")
        expectGOBViolation(value([3]), "ends inside the field Stream")
        expectGOBViolation(value([0, 0]), "1 bytes too many after a value")
    }

    @Test func `a payload over its limit is refused inside a message under its limit`() throws {
        let value = GOBBytes.message(GOBBytes.int(65) + [2, 5] + "abcde".utf8 + [0])
        var feed = GOBFeed(maxMessageBytes: 5)
        try feed.receive((GOBBytes.rpc + value)[...])
        expectGOBViolation(
            GOBBytes.rpc + value,
            "a payload of 5 bytes is over the limit of 4",
            maxMessageBytes: 4
        )
    }

    @Test func `counts of elements that cannot follow are refused`() {
        let huge = GOBBytes.uint(1 << 62)
        expectGOBViolation(
            GOBBytes.rpc(among: GOBBytes.slice(66, of: 2), type: 66, field: huge),
            "the length of a slice is 4611686018427387904, more than the 65536 that can follow"
        )
        expectGOBViolation(
            GOBBytes.rpc(among: GOBBytes.map(66, from: 2, to: 2), type: 66, field: huge),
            "the length of a map is 4611686018427387904, more than the 32768 that can follow"
        )
        expectGOBViolation(
            GOBBytes.rpc(among: GOBBytes.array(66, of: 2, count: 1 << 62), type: 66, field: huge),
            "the length of an array is 4611686018427387904"
        )
        expectGOBViolation(
            GOBBytes.rpc(among: GOBBytes.array(66, of: 2, count: 2), type: 66, field: [3, 0, 0, 0]),
            "an array has 3 elements, its type has 2"
        )
        expectGOBViolation(
            GOBBytes.rpc(among: GOBBytes.slice(66, of: 2), type: 66, field: [100]),
            "ends inside a number"
        )
    }

    @Test func `a value of a type that was never defined is refused`() {
        for type: Int64 in [0, -1, 9, 16, 66] {
            expectGOBViolation(
                GOBBytes.rpc(type: type, field: [0]),
                "a value of the type \(type), which is not defined"
            )
        }
        // A slice, an array and maps whose definitions leave out a type.
        let unnamed: [(kind: UInt64, parts: [UInt8], field: [UInt8])] = [
            (1, [], [1, 0]), (0, [3] + GOBBytes.int(1), [1, 0]), (3, [2] + GOBBytes.int(2), [1, 0, 0]),
            (3, [3] + GOBBytes.int(2), [1, 0]),
        ]
        for (kind, parts, field) in unnamed {
            expectGOBViolation(
                GOBBytes.rpc(among: GOBBytes.definition(66, kind: kind, parts), type: 66, field: field),
                "a value of the type 0, which is not defined"
            )
        }
    }

    @Test func `malformed interface values are refused`() {
        expectGOBViolation(
            GOBBytes.rpc(type: 8, field: GOBBytes.text("int") + GOBBytes.int(2) + [2, 1, 0]),
            "the mark before an interface value is not zero"
        )
        expectGOBViolation(
            GOBBytes.rpc(type: 8, field: GOBBytes.uint(.max)),
            "the type name of an interface value claims"
        )
        expectGOBViolation(
            GOBBytes.rpc(type: 8, field: GOBBytes.text("T") + GOBBytes.int(2) + GOBBytes.uint(.max)),
            "the length of an interface value is 18446744073709551615"
        )
        let cut = GOBBytes.message(GOBBytes.int(65) + [1] + GOBBytes.text("T") + GOBBytes.int(2))
        expectGOBViolation(
            GOBBytes.structure(65, [("Foreign", 8), ("Payload", 5)]) + cut,
            "ends inside the length of an interface value"
        )
    }

    @Test func `a message may end behind the length of an interface value`() throws {
        let definition = GOBBytes.int(-67) + [2, 2] + GOBBytes.int(2) + [0, 0]
        let length: [UInt8] = [9]
        let first = GOBBytes.message(GOBBytes.int(65) + [1] + GOBBytes.text("T") + definition + length)
        // The value: its length, a zero because it is no struct, and an empty slice.
        let value = GOBBytes.int(67) + [0, 0, 0]
        let second = GOBBytes.message(value + [1] + GOBBytes.text("p") + [0])
        let types = GOBBytes.structure(65, [("Foreign", 8), ("Payload", 5)])
        #expect(try GOBFeed.events([types + first + second]) == [.message([0x70])])
    }

    @Test func `values may nest as deep as the limit and no deeper`() throws {
        let types = GOBBytes.slice(66, of: 66)
        func nested(_ depth: Int) -> [UInt8] {
            GOBBytes.rpc(among: types, type: 66, field: Array(repeating: 1, count: depth - 1) + [0])
        }
        // The outer struct is the first level.
        #expect(try GOBFeed.events([nested(GOBValueReader.maxNesting - 1)]) == [.message([0x70])])
        expectGOBViolation(nested(GOBValueReader.maxNesting), "a value nests deeper than 10000 levels")
    }

    @Test func `a recursive type ends where its bytes end`() {
        let ones: [UInt8] = Array(repeating: 1, count: 100)
        let definitions: [[UInt8]] = [
            GOBBytes.slice(66, of: 66), GOBBytes.array(66, of: 66, count: 1),
            GOBBytes.map(66, from: 66, to: 66),
            GOBBytes.structure(66, [("Self", 66)]),
        ]
        for definition in definitions {
            let stream = definition + GOBBytes.structure(65, [("Foreign", 66), ("Payload", 5)])
            expectGOBViolation(stream + GOBBytes.message(GOBBytes.int(65) + ones), "ends inside")
        }
    }

    @Test func `the limit is for each value, not for all together`() throws {
        let value = GOBBytes.message(GOBBytes.int(65) + [2, 1, 0x70, 0])
        var feed = GOBFeed(maxMessageBytes: 1)
        try feed.receive((GOBBytes.rpc + joined(repeatElement(value, count: 20_000)))[...])
        #expect(feed.events.count == 20_000)
    }

    @Test func `a value in many messages has the same limit as a value in one`() {
        // A slice of interfaces. Each defines its type anew, and so ends a message, as in Go.
        let start = GOBBytes.slice(66, of: 8) + GOBBytes.structure(65, [("Foreign", 66), ("Payload", 5)])
        let definition = GOBBytes.int(-67) + [2, 2] + GOBBytes.int(2) + [0, 0]
        let name = GOBBytes.text("T")
        let first = GOBBytes.message(GOBBytes.int(65) + [1] + GOBBytes.uint(60_000) + name + definition)
        let filler = Array(repeating: UInt8(0), count: 1_000)
        let element = GOBBytes.int(67) + [0, 0] + GOBBytes.uint(UInt64(filler.count)) + filler
        let next = GOBBytes.message(element + name + definition)
        expectGOBViolation(
            start + first + joined(repeatElement(next, count: 70)),
            "a value has more than 65536 bytes beside its Payload",
            maxMessageBytes: 0
        )
    }
}

/// How much of a value may be something other than its payload: all of it is read step by step.
@Suite struct GOBOverheadTests {
    private static let limit = GOBDecoder.maxOverheadBytes
    private static let refusal = "a value has more than 65536 bytes beside its Payload"
    /// What a value of ``GOBBytes/rpc(among:type:field:)`` has beside a skipped text with a length of three
    /// bytes: the type's id, two field numbers, both lengths, and the end.
    private static let restBytes = 2 + 2 + 3 + 1 + 1

    private static func text(_ count: Int) -> [UInt8] {
        GOBBytes.uint(UInt64(count)) + [UInt8](repeating: 0x78, count: count)
    }

    /// A value of the struct 65 with these parts, and its end.
    private static func value(_ parts: [UInt8]...) -> [UInt8] {
        GOBBytes.message(GOBBytes.int(65) + joined(parts) + [0])
    }

    @Test func `skipped bytes and the encoding itself may be as many as the limit and no more`() throws {
        let most = Self.text(Self.limit - Self.restBytes)
        #expect(try GOBFeed.events([GOBBytes.rpc(type: 6, field: most)]) == [.message([0x70])])
        expectGOBViolation(
            GOBBytes.rpc(type: 6, field: Self.text(Self.limit - Self.restBytes + 1)),
            Self.refusal
        )
        expectGOBViolation(GOBBytes.rpc(type: 6, field: Self.text(1 << 20)), Self.refusal)
    }

    @Test func `the sender's name counts, and a payload does not, wherever it stands`() throws {
        let payload = patterned(1_000_000)
        let field = GOBBytes.uint(UInt64(payload.count)) + payload
        let short = Self.value([1], Self.text(60_000), [1], field)
        #expect(try GOBFeed.events([GOBBytes.rpc + short]) == [.message(payload[...])])
        let long = Self.value([1], Self.text(70_000), [1], field)
        expectGOBViolation(GOBBytes.rpc + long, Self.refusal)

        let types = GOBBytes.structure(65, [("Payload", 5), ("Foreign", 6)])
        let before = Self.value([1], field, [1], Self.text(60_000))
        #expect(try GOBFeed.events([types + before]) == [.message(payload[...])])
        expectGOBViolation(types + Self.value([1], field, [1], Self.text(70_000)), Self.refusal)
    }

    @Test func `a payload that another one replaces counts as skipped`() {
        let types = GOBBytes.structure(65, [("Payload", 5), ("Payload", 5)])
        let value = Self.value([1], Self.text(70_000), [1], GOBBytes.text("p"))
        expectGOBViolation(types + value, Self.refusal)
    }

    /// Each takes a byte, the end mark: none takes no byte at all.
    @Test func `there are no more elements than bytes, though each of them may be empty`() throws {
        func slice(_ count: Int) -> [UInt8] {
            let field = GOBBytes.uint(UInt64(count)) + [UInt8](repeating: 0, count: count)
            let types = GOBBytes.slice(66, of: 67) + GOBBytes.structure(67, [])
            return GOBBytes.rpc(among: types, type: 66, field: field)
        }
        #expect(try GOBFeed.events([slice(65_000)]) == [.message([0x70])])
        expectGOBViolation(slice(65_536), Self.refusal)
        expectGOBViolation(
            slice(1_000_000),
            "the length of a slice is 1000000, more than the 65536 that can follow"
        )
    }

    @Test func `elements of several slices, arrays and maps are counted together`() {
        let empty = GOBBytes.structure(68, [])
        let count = GOBBytes.uint(20_000)
        func elements(_ bytes: Int) -> [UInt8] { [UInt8](repeating: 0, count: bytes) }
        func four(_ types: [UInt8], _ part: [UInt8]) -> [UInt8] {
            let field = joined([[4], part, part, part, part])
            return GOBBytes.rpc(among: types + GOBBytes.slice(66, of: 67) + empty, type: 66, field: field)
        }
        expectGOBViolation(four(GOBBytes.slice(67, of: 68), count + elements(20_000)), Self.refusal)
        expectGOBViolation(
            four(GOBBytes.array(67, of: 68, count: 20_000), count + elements(20_000)),
            Self.refusal
        )
        expectGOBViolation(four(GOBBytes.map(67, from: 68, to: 68), count + elements(40_000)), Self.refusal)
    }

    @Test func `type definitions inside a value count`() {
        let definition = GOBBytes.int(-67) + [2, 2] + GOBBytes.int(2) + [0, 0]
        let definitions = joined(repeatElement(definition + [9], count: 10_000))
        expectGOBViolation(
            GOBBytes.structure(65, [("Foreign", 8), ("Payload", 5)])
                + GOBBytes.message(GOBBytes.int(65) + [1] + GOBBytes.text("T") + definitions),
            Self.refusal
        )
    }

    @Test func `a payload of an earlier message does not count in the next one`() throws {
        let payload = patterned(1_000_000)
        let definition = GOBBytes.int(-67) + [2, 2] + GOBBytes.int(2) + [0, 0]
        let types = GOBBytes.structure(65, [("Payload", 5), ("Foreign", 8), ("Other", 6)])
        let start = GOBBytes.int(65) + [1] + GOBBytes.uint(UInt64(payload.count))
        let first = GOBBytes.message(start + payload + [1] + GOBBytes.text("T") + definition)
        func second(_ count: Int) -> [UInt8] {
            GOBBytes.message(GOBBytes.int(67) + [0, 0, 0, 1] + Self.text(count) + [0])
        }
        #expect(try GOBFeed.events([types, first, second(65_000)]) == [.message(payload[...])])
        expectGOBViolation(types + first + second(65_536), Self.refusal)
    }
}
