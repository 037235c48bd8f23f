import Bench
import Parley

func serve(_ bench: Bench) async throws {
    let transport = TCPTransport(bench.options())
    try await transport.begin()
    if bench.door.hasSuffix("batches") {
        try await bench.consume(transport) { rpcs in
            for await batch in rpcs.batches {
                var bytes = 0
                for rpc in batch {
                    bytes &+= rpc.payload.count
                    if rpc.payload.first == Bench.Purpose.echo.rawValue {
                        try? await rpc.peer.send(message: rpc.payload)
                    }
                }
                bench.add(batch.count, bytes: bytes)
            }
        }
    } else {
        try await bench.consume(transport) { rpcs in
            for await rpc in rpcs {
                bench.add(1, bytes: rpc.payload.count)
                if rpc.payload.first == Bench.Purpose.echo.rawValue {
                    try? await rpc.peer.send(message: rpc.payload)
                }
            }
        }
    }
}

func ping(_ bench: Bench) async throws {
    let transport = TCPTransport(bench.options())
    let peer = try await transport.dial(bench.dialAddress())
    let message = bench.message(.echo)[...]
    Bench.ready()
    try await bench.run(on: transport) {
        if bench.door == "batches" {
            var answers = transport.consume().batches.makeAsyncIterator()
            while true {
                let begun = Bench.now
                try await peer.send(message: message)
                guard await answers.next() != nil else { break }
                Bench.roundTrip(since: begun)
            }
        } else {
            var answers = transport.consume().makeAsyncIterator()
            while true {
                let begun = Bench.now
                try await peer.send(message: message)
                guard await answers.next() != nil else { break }
                Bench.roundTrip(since: begun)
            }
        }
    }
    Bench.fail("the server is gone")
}

// MARK: - Questions

func answer(_ bench: Bench) async throws {
    let transport = TCPTransport(bench.options())
    try await transport.begin()
    try await bench.consume(transport) { rpcs in
        for await rpc in rpcs where rpc.request != nil {
            try await rpc.reply(with: rpc.payload)
            bench.add(1, bytes: rpc.payload.count)
        }
    }
}

func ask(_ bench: Bench) async throws {
    let transport = TCPTransport(bench.options())
    let peer = try await transport.dial(bench.dialAddress())
    let question = bench.message(.echo)[...]
    Bench.ready()
    try await bench.run(on: transport) {
        while true {
            let begun = Bench.now
            _ = try await peer.request(question)
            Bench.roundTrip(since: begun)
        }
    }
}

// MARK: - One way

/// Floods with blocks of encoded frames, as raw bytes of the wire form that has no frames of its own: little
/// but the sealing is left to do.
private func load(_ bench: Bench) async throws {
    let transport = TCPTransport(bench.options(.unframed))
    let peer = try await transport.dial(bench.dialAddress())
    let frame = [1] + withUnsafeBytes(of: UInt32(bench.bytes).bigEndian) { Array($0) } + bench.message(.sink)
    let messages = (256 << 10) / frame.count
    let block = Array(repeatElement(frame, count: messages).joined())[...]
    Bench.ready()
    while true {
        try await peer.send(block)
        Bench.add(messages, bytes: block.count)
    }
}

func flood(_ bench: Bench) async throws {
    if bench.door == "load" { return try await load(bench) }
    let transport = TCPTransport(bench.options())
    let peer = try await transport.dial(bench.dialAddress())
    let message = bench.message(.sink)[...]
    Bench.ready()
    try await bench.run(on: transport) {
        while true {
            try await peer.send(message: message)
            Bench.add(1, bytes: message.count)
        }
    }
}
