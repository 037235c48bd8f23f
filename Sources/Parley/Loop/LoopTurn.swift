/// What a loop works through in one turn, and memory that every turn uses again. The loop's thread only.
///
/// A struct that its loop reaches by pointer: all of it is used several times for each message, and accesses to a
/// class's fields are checked for overlaps at run time, which costs more than what is done here.
struct LoopTurn {
    /// What the loop's own thread has submitted.
    var local: [EventLoop.Submission] = []
    /// Called when the turn ends.
    var ending: [any EndOfTurn] = []
    /// Something has happened since ``EventLoop/pollsAgain()`` last looked.
    var hasHadEvent = false

    // Emptied, for the next turns.

    var spareSubmissions: [EventLoop.Submission] = []
    var spareEnding: [any EndOfTurn] = []

    /// Whether nothing is left to do in this turn.
    var isDone: Bool { local.isEmpty && ending.isEmpty }
}
