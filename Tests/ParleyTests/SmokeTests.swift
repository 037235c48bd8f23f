import Testing
@testable import Parley
@Test func smoke() async throws {
    let a = TCPTransport(TransportOptions(listenAddress: "127.0.0.1:0"))
    try await a.listenAndAccept()
    let b = TCPTransport()
    let peer = try await b.dial(a.address)
    try await peer.send(message: "hello")
    var it = a.consume().makeAsyncIterator()
    let rpc = await it.next()
    #expect(rpc.map { Array($0.payload) } == Array("hello".utf8))
    await b.close()
    await a.close()
}
