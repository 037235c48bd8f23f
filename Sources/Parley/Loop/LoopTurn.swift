/// What a loop works through in one turn, and memory that every turn uses again. The loop's thread only.
///
/// A struct that its loop reaches by pointer, since all of it is used several times for each message: accesses to a
/// class's fields are checked for overlaps when the program runs, which costs more than what is done here.
struct LoopTurn {
    /// What the loop's own thread has submitted.
    var local: [EventLoop.Submission] = []
    /// Who asked for the end of the turn.
    var ending: [any EndOfTurn] = []
    /// Something has happened since ``EventLoop/pollsAgain()`` last looked.
    var hasHadEvent = false
    /// The connection of this loop that was looked up last, or has delivered, as long as its node knows it: most often
    /// the next to be looked up, and found without a lock.
    var recent: Unmanaged<Connection>?
    /// The connection of this loop that keeps the space in which much has gathered to be sent, for what it sends next.
    var roomy: Unmanaged<Connection>?
    /// The last read has filled the slab; see ``EventLoop/mayRead()``.
    var hasFilledSlab = false
    /// What is read past libuv, between its two callbacks.
    var directRead: DirectRead?

    // Emptied, for the next ones.

    var spareSubmissions: [EventLoop.Submission] = []
    var spareEnding: [any EndOfTurn] = []
    /// Changes places with a peer's filled one while that is written.
    var spareBuffer = WireBuffer()
    /// What a stream is read into; whoever fills it keeps it, and another one is made.
    var spareBlock = ReadBlock()

    /// Nobody finds this connection any more.
    mutating func forget(_ connection: Connection) {
        let connection = Unmanaged.passUnretained(connection).toOpaque()
        if recent?.toOpaque() == connection { recent = nil }
        if roomy?.toOpaque() == connection { roomy = nil }
    }

    /// Lets this connection keep its space, and no other one: many peers that were busy once are not to hold much.
    mutating func keepRoom(of connection: Connection) {
        let kept = Unmanaged.passUnretained(connection)
        guard roomy?.toOpaque() != kept.toOpaque() else { return }
        roomy?.withBorrowed { $0.dropRoom() }
        roomy = kept
    }

    /// Whether nothing is left to do in this turn.
    var isDone: Bool { local.isEmpty && ending.isEmpty }
}

/// A read past libuv, and what became of it.
struct DirectRead {
    enum Place {
        /// ``LoopTurn/spareBlock``.
        case block
        case frame(PeerState.LargeFrame)
    }

    let place: Place
    /// libuv's code; the socket tells a failure only once.
    var failure: Int32?
}
