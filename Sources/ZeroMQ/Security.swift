import CZeroMQ

/// How a socket encrypts its connections and whom it believes.
public enum Security: Sendable, Equatable {
    /// In the clear. For loopback and inproc.
    case none
    /// CURVE, the side that has the known key, whether it binds or connects. Without a ZAP handler every
    /// client that knows this server's public key is accepted.
    case curveServer(CurveKeyPair)
    /// CURVE, the side that knows the server's public key. It refuses any other server.
    case curveClient(CurveKeyPair, serverPublicKey: String)

    var settings: [OptionSetting] {
        switch self {
        case .none:
            return []
        case .curveServer(let keys):
            return [
                .flag(ZMQ_CURVE_SERVER, "ZMQ_CURVE_SERVER", true),
                OptionSetting(ZMQ_CURVE_PUBLICKEY, "ZMQ_CURVE_PUBLICKEY", .text(keys.publicKey)),
                OptionSetting(ZMQ_CURVE_SECRETKEY, "ZMQ_CURVE_SECRETKEY", .text(keys.secretKey)),
            ]
        case .curveClient(let keys, let serverPublicKey):
            return [
                .flag(ZMQ_CURVE_SERVER, "ZMQ_CURVE_SERVER", false),
                OptionSetting(ZMQ_CURVE_SERVERKEY, "ZMQ_CURVE_SERVERKEY", .text(serverPublicKey)),
                OptionSetting(ZMQ_CURVE_PUBLICKEY, "ZMQ_CURVE_PUBLICKEY", .text(keys.publicKey)),
                OptionSetting(ZMQ_CURVE_SECRETKEY, "ZMQ_CURVE_SECRETKEY", .text(keys.secretKey)),
            ]
        }
    }
}

/// A long-term CURVE25519 key pair, both keys as 40 characters of Z85 (ZeroMQ RFC 32).
public struct CurveKeyPair: Sendable, Equatable {
    /// Characters of one key. libzmq refuses any other count with EINVAL when the key is set.
    public static let characterCount = 40

    public let publicKey: String
    public let secretKey: String

    public init(publicKey: String, secretKey: String) {
        self.publicKey = publicKey
        self.secretKey = secretKey
    }

    /// Makes a new pair from the system's random numbers.
    ///
    /// - Throws: `ZeroMQError` with ENOTSUP where libzmq was built without CURVE.
    public static func generate() throws(ZeroMQError) -> CurveKeyPair {
        var publicText = [CChar](repeating: 0, count: characterCount + 1)
        var secretText = publicText
        if zmq_curve_keypair(&publicText, &secretText) != 0 {
            throw ZeroMQError(.makeKeys, code: zmq_errno())
        }
        return CurveKeyPair(publicKey: text(publicText), secretKey: text(secretText))
    }

    private static func text(_ characters: [CChar]) -> String {
        String(decoding: characters.prefix(characterCount).map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
