// Events of peers between their RPCs.

extension Inbox {
    /// How many peer events wait in the fullest queue.
    var mostEvents: Int { queues.reduce(0) { max($0, $1.events) } }

    /// Appends an event of a peer, whether or not there is room; see ``offer(_:)``.
    func offer(_ event: PeerEvent, _ text: String, of peer: any Peer, to index: Int) -> InboxRoom {
        let run = MessageRun(event, text)
        return offer(count: 1, to: index) { $0.append(.init(peer, run)) }
    }
}
