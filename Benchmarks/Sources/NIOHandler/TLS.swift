import Bench
import NIOCore
import NIOSSL

/// TLS 1.3 as SwiftNIO has it; only the server shows a certificate, which the client does not check. The file
/// at `path` holds a key and the certificate.
struct TLS {
    private let context: NIOSSLContext

    /// Nil when the benchmark is not secured.
    init?(_ bench: Bench, isServer: Bool) throws {
        guard bench.isSecured else { return nil }
        var configuration = TLSConfiguration.makeClientConfiguration()
        if isServer {
            let certificates = try NIOSSLCertificate.fromPEMFile(bench.path)
            let key = try NIOSSLPrivateKey(file: bench.path, format: .pem)
            configuration = .makeServerConfiguration(
                certificateChain: certificates.map { .certificate($0) },
                privateKey: .privateKey(key)
            )
        }
        configuration.minimumTLSVersion = .tlsv13
        configuration.certificateVerification = .none
        context = try NIOSSLContext(configuration: configuration)
    }

    /// What comes first in a server's pipeline.
    var serverHandler: any ChannelHandler { NIOSSLServerHandler(context: context) }

    /// What comes first in a client's.
    func clientHandler() throws -> any ChannelHandler {
        try NIOSSLClientHandler(context: context, serverHostname: nil)
    }
}
