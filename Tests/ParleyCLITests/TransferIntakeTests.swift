import Testing

@testable import ParleyCLI

/// Nothing arrives here and nothing is stored: what is decided is a value.
@Suite("What a receiver does about what arrives")
struct TransferIntakeTests {
    private typealias Item = TransferRecordDecoder.Item

    private func file(_ path: String, _ byteCount: Int?) -> TransferRecordDecoder.Item {
        .record(
            .entry(TransferEntry(kind: .file(byteCount: byteCount), path: Array(path.utf8), metadata: nil))
        )
    }

    private func content(_ byteCount: Int) -> TransferRecordDecoder.Item {
        .content([UInt8](repeating: 1, count: byteCount)[...])
    }

    /// Each action's name, and the reason if there is one; a refusal of everything ends the list.
    private func actions(
        _ items: [TransferRecordDecoder.Item],
        files: Int = 1,
        byteCount: Int? = 0,
        maxBytes: Int? = nil,
        occasion: TransferIntake.Occasion = .offered,
        problems: [String] = []
    ) -> [String] {
        var intake = TransferIntake(maxBytes: maxBytes, occasion)
        var actions: [String] = []
        let totals = TransferTotals(files: files, byteCount: byteCount)
        let first = problems.map { TransferRecordDecoder.Item.record(.problem($0)) }
        for item in first + [.record(.totals(totals))] + items {
            do throws(Refusal) {
                switch try intake.take(item) {
                case .announce: break
                case .showProblem(let reason): actions.append("problem: \(reason)")
                case .goOn(let byteCount): actions.append("from \(byteCount)")
                case .makeFile(let path, _, _): actions.append("make \(path.shown)")
                case .makeFolder(let path, _): actions.append("folder \(path.shown)")
                case .makeLink(let path, _, _): actions.append("link \(path.shown)")
                case .write(let bytes): actions.append("write \(bytes.count)")
                case .skip(let count): actions.append("skip \(count)")
                case .keepFile: actions.append("keep")
                case .dropFile(let reason): actions.append("drop: \(reason)")
                case .refuse(let entry, let reason): actions.append("refuse \(entry): \(reason)")
                case .failFile(let entry, let reason): actions.append("fail \(entry): \(reason)")
                case .complete: actions.append("complete \(intake.storedEntries)")
                case .nothing: actions.append("nothing")
                }
            } catch {
                return actions + ["stop: \(error.reason)"]
            }
        }
        return actions
    }

    @Test("Only who has asked hears of problems, and only before the totals")
    func problems() {
        let end = TransferRecordDecoder.Item.record(.end)
        let asked = TransferIntake.Occasion.requested(hasParts: false, names: nil)
        #expect(
            actions([end], files: 0, occasion: asked, problems: ["none"]) == ["problem: none", "complete 0"]
        )
        let strange = "stop: the sender is out of step"
        #expect(actions([end], files: 0, problems: ["none"]) == [strange])
        #expect(actions([.record(.problem("none")), end], files: 0, occasion: asked) == [strange])
    }

    @Test("Who has asked for names takes nothing of another name")
    func names() {
        func after(_ path: String, askingFor names: [String]?) -> [String] {
            let asked = names.map { names in Set(names.map { Array($0.utf8) }) }
            let end: [TransferRecordDecoder.Item] = [.record(.endOfFile), .record(.end)]
            return actions([file(path, 0)] + end, occasion: .requested(hasParts: false, names: asked))
        }
        for path in ["photo.jpg", "photo.jpg/inside", "b"] {
            #expect(
                after(path, askingFor: ["photo.jpg", "b"]) == ["make \(path)", "keep", "complete 1"]
            )
        }
        for path in [".ssh/authorized_keys", "photo.jpg2", "c/photo.jpg"] {
            #expect(
                after(path, askingFor: ["photo.jpg", "b"])
                    == ["refuse 0: \"\(path)\" was not asked for", "nothing", "complete 0"]
            )
        }
        #expect(after(".ssh/authorized_keys", askingFor: nil).first == "make .ssh/authorized_keys")
    }

    @Test(
        "What was asked for is missing when it neither comes nor has a problem",
        arguments: [
            (["a"], [], [], ["a"]), (["a", "b"], [], ["b"], ["a"]), (["a", "b"], [], [], ["a", "b"]),
            (["a"], [], ["a/inside"], []), (["a"], ["cannot open a: Permission denied"], [], []),
            (["a", "b"], ["cannot open d/b: No such file or directory"], [], ["a"]),
            (["file", "b"], ["cannot open b: No such file or directory"], [], ["file"]),
            (["a b", "c"], ["cannot send d/a b: it is a device"], ["c"], []),
            (["x", "b"], ["the name \"../x\" leads out of its folder, or to it"], ["b"], []),
            (["d"], ["--range and --if-tag are about one file, and d is none"], [], []),
        ] as [([String], [String], [String], [String])]
    )
    func missing(names: [String], problems: [String], came: [String], missing: [String]) throws {
        let asked = Set(names.map { Array($0.utf8) })
        var intake = TransferIntake(maxBytes: nil, .requested(hasParts: false, names: asked))
        for problem in problems { _ = try intake.take(.record(.problem(problem))) }
        _ = try intake.take(.record(.totals(TransferTotals(files: came.count))))
        for path in came {
            _ = try intake.take(file(path, 0))
            _ = try intake.take(.record(.endOfFile))
        }
        #expect(try intake.take(.record(.end)) == .complete)
        #expect(intake.missing == missing)
    }

    @Test("Of a part no more comes than was asked for, and nothing but a file")
    func part() {
        func after(_ items: [TransferRecordDecoder.Item], range: ByteRange? = nil) -> [String] {
            let end: [TransferRecordDecoder.Item] = [.record(.endOfFile), .record(.end)]
            let part = FilePart(range: range)
            return actions(
                items + end,
                byteCount: nil,
                occasion: .requested(hasParts: false, names: [Array("a".utf8)], part: part)
            )
        }
        for range in [.from(5, count: 2), .last(2)] as [ByteRange] {
            for byteCount in [1, 2] {
                #expect(
                    after([file("a", byteCount), content(byteCount)], range: range)
                        == ["make a", "write \(byteCount)", "keep", "complete 1"]
                )
            }
            #expect(
                after([file("a", 3), content(3)], range: range)
                    == ["refuse 0: \"a\" has 3 bytes, more than the 2 of --range"]
                    + ["nothing", "nothing", "complete 0"]
            )
            #expect(
                after([file("a", nil), content(3)], range: range)
                    == ["make a", "fail 0: more than the 2 bytes of --range came", "nothing", "complete 0"]
            )
        }
        let all = ["make a", "write 3", "keep", "complete 1"]
        #expect(after([file("a", 3), content(3)], range: .from(5, count: nil)) == all)
        #expect(after([file("a", 3), content(3)]) == all)
        #expect(
            after([file("a/b", 0)])
                == ["refuse 0: \"a/b\" is not the one file that was asked for", "nothing", "complete 0"]
        )
        let folder = TransferEntry(kind: .folder, path: Array("a".utf8), metadata: nil)
        #expect(
            after([.record(.entry(folder))]).first
                == "refuse 0: \"a\" is not the one file that was asked for"
        )
    }

    @Test("A large file begins at once for who has no parts of it")
    func large() {
        let bytes = BlockHashes.leastFileBytes
        func from(_ occasion: TransferIntake.Occasion) -> [String] {
            actions([file("a", bytes), .record(.from(byteCount: 1))], occasion: occasion)
        }
        #expect(from(.offered) == ["make a", "from 1"])
        #expect(from(.requested(hasParts: true, names: nil)) == ["make a", "from 1"])
        let stop = "stop: the sender is out of step"
        #expect(from(.requested(hasParts: false, names: nil)) == ["make a", stop])
    }

    @Test("Files of the announced size are kept")
    func kept() {
        #expect(
            actions([file("a", 3), content(1), content(2), .record(.endOfFile), .record(.end)])
                == ["make a", "write 1", "write 2", "keep", "complete 1"]
        )
        #expect(
            actions([
                file("a", nil), content(9), .record(.hole(byteCount: 4)), .record(.endOfFile), .record(.end),
            ])
                == ["make a", "write 9", "skip 4", "keep", "complete 1"]
        )
    }

    @Test("More than the announced size is not stored, nor is less")
    func sizes() {
        let after: [TransferRecordDecoder.Item] = [.record(.endOfFile), .record(.end)]
        #expect(
            actions([file("a", 2), content(1), content(2), content(5)] + after)
                == [
                    "make a", "write 1", "fail 0: more than the 2 announced bytes came", "nothing", "nothing",
                    "complete 0",
                ]
        )
        #expect(
            actions([file("a", 2), .record(.hole(byteCount: .max))] + after)
                == ["make a", "fail 0: more than the 2 announced bytes came", "nothing", "complete 0"]
        )
        #expect(
            actions([file("a", 3), content(2)] + after)
                == ["make a", "write 2", "fail 0: only 2 of 3 announced bytes came", "complete 0"]
        )
    }

    @Test("No more than --max-bytes are taken")
    func limit() {
        #expect(
            actions([], byteCount: 11, maxBytes: 10)
                == ["stop: 11 bytes are too many: at most 10 are taken here"]
        )
        let first: [TransferRecordDecoder.Item] = [file("a", 6), content(6), .record(.endOfFile)]
        #expect(
            actions(
                first + [file("b", 5), content(5), .record(.endOfFile), .record(.end)],
                files: 2,
                maxBytes: 10
            )
                == [
                    "make a", "write 6", "keep",
                    "refuse 1: \"b\" has 5 bytes, and only 4 of 10 are left here",
                    "nothing", "nothing", "complete 1",
                ]
        )
        #expect(
            actions(
                [file("a", nil), content(11), .record(.endOfFile), .record(.end)],
                byteCount: nil,
                maxBytes: 10
            )
                == ["make a", "fail 0: at most 10 bytes are taken here", "nothing", "complete 0"]
        )
        let holes = [TransferRecordDecoder.Item](repeating: .record(.hole(byteCount: .max)), count: 2)
        #expect(
            actions([file("a", nil)] + holes)
                == ["make a", "skip \(Int.max)", "fail 0: more than the \(Int.max) announced bytes came"]
        )
    }

    @Test("A path or link that leads out is refused, and the next entry is taken")
    func leadingOut() {
        let link = TransferEntry(
            kind: .link(target: Array("../..".utf8)),
            path: Array("l".utf8),
            metadata: nil
        )
        let actions = actions(
            [
                file("../x", 1), content(1), .record(.endOfFile), .record(.entry(link)), file("b", 0),
                .record(.endOfFile), .record(.end),
            ],
            files: 3
        )
        #expect(
            actions == [
                "refuse 0: the name \"../x\" leads out of its folder, or to it", "nothing", "nothing",
                "refuse 1: the link \"l\" leads to \"../..\", which is outside", "make b", "keep",
                "complete 1",
            ]
        )
    }

    @Test("What has no path is not called as the entry before")
    func nameless() throws {
        var intake = TransferIntake(maxBytes: nil)
        _ = try intake.take(.record(.totals(TransferTotals(files: 2))))
        for (path, shown) in [("a", "a"), ("../b", nil)] as [(String, String?)] {
            _ = try intake.take(file(path, 0))
            #expect(intake.path?.shown == shown)
            _ = try intake.take(.record(.endOfFile))
        }
    }

    @Test("A file that its sender gives up is dropped")
    func abandoned() {
        #expect(
            actions([file("a", 5), content(1), .record(.abandoned("gone")), .record(.end)])
                == ["make a", "write 1", "drop: gone", "complete 0"]
        )
    }

    @Test("What cannot be stored is skipped, and does not count")
    func unwanted() throws {
        var intake = TransferIntake(maxBytes: nil)
        _ = try intake.take(.record(.totals(TransferTotals(files: 2))))
        _ = try intake.take(file("a", 1))
        intake.currentIsUnwanted()
        #expect(try intake.take(content(1)) == .nothing)
        #expect(try intake.take(.record(.endOfFile)) == .nothing)
        _ = try intake.take(file("b", 0))
        _ = try intake.take(.record(.endOfFile))
        // It was whole, and could not be kept.
        intake.currentIsUnwanted()
        #expect(try intake.take(.record(.end)) == .complete)
        #expect(intake.storedEntries == 0)
        #expect(intake.entries == 2)
    }

    @Test("A large file begins where both ends differ")
    func beginning() {
        let size = BlockHashes.leastFileBytes
        let after: [TransferRecordDecoder.Item] = [.record(.endOfFile), .record(.end)]
        #expect(
            actions([file("a", size), .record(.from(byteCount: size - 1)), content(1)] + after)
                == ["make a", "from \(size - 1)", "write 1", "keep", "complete 1"]
        )
        #expect(
            actions([file("a", size), .record(.from(byteCount: size - 1)), content(2)] + after)
                == [
                    "make a", "from \(size - 1)", "fail 0: more than the \(size) announced bytes came",
                    "nothing", "complete 0",
                ]
        )
        #expect(
            actions([file("a", size), .record(.abandoned("gone")), .record(.end)])
                == ["make a", "drop: gone", "complete 0"]
        )
        let stop = "stop: the sender is out of step"
        #expect(actions([file("a", size), content(1)]) == ["make a", stop])
        #expect(actions([file("a", size), .record(.from(byteCount: size + 1))]) == ["make a", stop])
        #expect(actions([file("a", size - 1), .record(.from(byteCount: 0))]) == ["make a", stop])
    }

    @Test("All entries have to come that were announced, stored or not")
    func entries() {
        let end = TransferRecordDecoder.Item.record(.end)
        #expect(actions([end]) == ["stop: only 0 of the 1 announced entries came"])
        #expect(
            actions([file("a", 0), .record(.endOfFile), end], files: 2)
                == ["make a", "keep", "stop: only 1 of the 2 announced entries came"]
        )
        let notStored: [TransferRecordDecoder.Item] = [
            file("../a", 0), .record(.endOfFile), file("b", 0), .record(.abandoned("gone")), end,
        ]
        #expect(
            actions(notStored, files: 2)
                == [
                    "refuse 0: the name \"../a\" leads out of its folder, or to it", "nothing", "make b",
                    "drop: gone", "complete 0",
                ]
        )
    }

    @Test("Who is out of step is stopped")
    func outOfStep() {
        let stop = "stop: the sender is out of step"
        #expect(actions([content(1)]) == [stop])
        #expect(actions([.record(.endOfFile)]) == [stop])
        #expect(actions([.record(.totals(TransferTotals()))]) == [stop])
        #expect(actions([.record(.abandoned("why"))]) == [stop])
        #expect(actions([file("a", 1), .record(.end)]) == ["make a", stop])
        #expect(actions([file("a", 1), file("b", 1)]) == ["make a", stop])
        #expect(actions([.record(.end), .record(.end)], files: 0) == ["complete 0", stop])
        #expect(
            actions([file("a", 0), .record(.endOfFile), file("b", 0)])
                == ["make a", "keep", "stop: more than the 1 announced entries came"]
        )
        var intake = TransferIntake(maxBytes: nil)
        #expect(throws: Refusal("the sender is out of step")) { try intake.take(.record(.end)) }
    }
}
