//! TLS as libpq does it: how far a server's certificate is checked depends on `sslmode`; the signature of the handshake is
//! checked always, so that SCRAM's channel binding means something even where the certificate is not.

use std::io::{self, BufRead, Write};
use std::sync::Arc;

use ring::digest;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme};
use weir_api::Error;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};
use x509_parser::signature_algorithm::SignatureAlgorithm;

use crate::certificate::{Roots, client_certificate, trusted};
use crate::options::{ConnectOptions, SslMode};
use crate::socket::Socket;

/// One TLS connection's state; the socket stays with its owner, whose timeouts and watermark hold for it, too.
pub struct Session {
    connection: ClientConnection,
    /// bytes as they came; kept for its capacity
    sealed: Vec<u8>,
}

#[derive(Debug)]
struct Verifier {
    provider: Arc<CryptoProvider>,
    /// `None`: any certificate will do
    roots: Option<Roots>,
    check_name: bool,
}

// === impl Session ===

impl Session {
    pub fn new(options: &ConnectOptions) -> Result<Session, Error> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let roots = trusted(options)?;
        let check_name = options.sslmode == SslMode::VerifyFull;
        let verifier = Verifier { provider: provider.clone(), roots, check_name };
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|e| failed(&e))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier));
        let mut config = match client_certificate(options)? {
            Some((chain, key)) => builder.with_client_auth_cert(chain, key).map_err(|e| {
                Error::environment("postgres.tls", format!("the client's certificate cannot be used: {e}"))
                    .help("sslcert and sslkey must belong together")
            })?,
            None => builder.with_no_client_auth(),
        };
        config.resumption = rustls::client::Resumption::disabled();
        let name = ServerName::try_from(options.host.clone()).map_err(|_| {
            Error::environment("postgres.tls", format!("'{}' is no host name that TLS can ask for", options.host))
        })?;
        let connection = ClientConnection::new(Arc::new(config), name).map_err(|e| failed(&e))?;
        Ok(Session { connection, sealed: Vec::new() })
    }

    pub fn handshake(&mut self, socket: &mut Socket) -> Result<(), Error> {
        while self.connection.is_handshaking() {
            match self.connection.complete_io(socket) {
                Ok((0, 0)) => return Err(lost("the server closed the connection")),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                    return Err(match error.get_ref().and_then(|e| e.downcast_ref::<rustls::Error>()) {
                        Some(error) => failed(error),
                        None => Error::environment("postgres.tls", format!("TLS failed: {error}")),
                    });
                }
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                    return Err(lost("no answer in connect_timeout"));
                }
                Err(error) => return Err(lost(&error.to_string())),
            }
        }
        Ok(())
    }

    /// As [`Socket::read_into`]; what comes is plain text.
    pub fn read_into(&mut self, socket: &mut Socket, into: &mut Vec<u8>) -> io::Result<Option<usize>> {
        let start = into.len();
        loop {
            self.sealed.clear();
            match socket.read_into(&mut self.sealed)? {
                Some(0) => return Ok(Some(0)),
                Some(_) => {}
                None => return Ok(None),
            }
            let closed = self.open(into)?;
            // A change of keys wants an answer.
            while self.connection.wants_write() {
                self.connection.write_tls(socket)?;
            }
            let read = into.len() - start;
            if read > 0 || closed {
                return Ok(Some(read));
            }
        }
    }

    /// Decrypts all of `sealed` into `into`; whether the peer said good-bye.
    fn open(&mut self, into: &mut Vec<u8>) -> io::Result<bool> {
        let mut rest = self.sealed.as_slice();
        while !rest.is_empty() {
            self.connection.read_tls(&mut rest)?;
            self.connection.process_new_packets().map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))?;
            let mut reader = self.connection.reader();
            loop {
                let read = match reader.fill_buf() {
                    Ok([]) => return Ok(true),
                    Ok(chunk) => {
                        into.extend_from_slice(chunk);
                        chunk.len()
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(error) => return Err(error),
                };
                reader.consume(read);
            }
        }
        Ok(false)
    }

    pub fn write_all(&mut self, socket: &mut Socket, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let taken = self.connection.writer().write(bytes)?;
            bytes = bytes.get(taken..).unwrap_or_default();
            while self.connection.wants_write() {
                self.connection.write_tls(socket)?;
            }
        }
        Ok(())
    }

    /// `tls-server-end-point` of RFC 5929: the certificate's hash, by the hash of its own signature.
    pub fn channel_binding(&self) -> Option<Vec<u8>> {
        let certificate = self.connection.peer_certificates()?.first()?;
        let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
        let algorithm = end_point_hash(&parsed)?;
        Some(digest::digest(algorithm, certificate).as_ref().to_vec())
    }
}

/// Signature algorithm of a certificate → hash of its channel binding: MD5 and SHA-1 become SHA-256.
const END_POINT_HASHES: [(&str, &digest::Algorithm); 14] = [
    ("1.2.840.113549.1.1.4", &digest::SHA256),
    ("1.2.840.113549.1.1.5", &digest::SHA256),
    ("1.2.840.10045.4.1", &digest::SHA256),
    ("1.2.840.113549.1.1.11", &digest::SHA256),
    ("1.2.840.113549.1.1.12", &digest::SHA384),
    ("1.2.840.113549.1.1.13", &digest::SHA512),
    ("1.2.840.10045.4.3.2", &digest::SHA256),
    ("1.2.840.10045.4.3.3", &digest::SHA384),
    ("1.2.840.10045.4.3.4", &digest::SHA512),
    // the hashes themselves, as RSA-PSS names them
    ("1.3.14.3.2.26", &digest::SHA256),
    ("2.16.840.1.101.3.4.2.1", &digest::SHA256),
    ("2.16.840.1.101.3.4.2.2", &digest::SHA384),
    ("2.16.840.1.101.3.4.2.3", &digest::SHA512),
    ("1.2.840.113549.2.5", &digest::SHA256),
];

fn end_point_hash(certificate: &X509Certificate<'_>) -> Option<&'static digest::Algorithm> {
    let oid = match SignatureAlgorithm::try_from(&certificate.signature_algorithm) {
        Ok(SignatureAlgorithm::RSASSA_PSS(parameters)) => parameters.hash_algorithm_oid().to_id_string(),
        _ => certificate.signature_algorithm.algorithm.to_id_string(),
    };
    END_POINT_HASHES.iter().find(|(name, _)| *name == oid).map(|(_, hash)| *hash)
}

// === impl Verifier ===

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let Some(roots) = &self.roots else {
            return Ok(ServerCertVerified::assertion());
        };
        let parsed = ParsedCertificate::try_from(end_entity)?;
        let algorithms = self.provider.signature_verification_algorithms.all;
        if roots.certificates.iter().any(|trusted| trusted == end_entity) {
            // `openssl req -x509` makes an authority of every self-signed certificate, and that is no server's by the book.
            check_dates(end_entity, now)?;
        } else {
            verify_server_cert_signed_by_trust_anchor(&parsed, &roots.store, intermediates, now, algorithms)?;
        }
        if self.check_name
            && let Err(error) = verify_server_name(&parsed, server_name)
            && !common_name_matches(end_entity, server_name)
        {
            return Err(error);
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

fn check_dates(certificate: &CertificateDer<'_>, now: UnixTime) -> Result<(), rustls::Error> {
    let (_, parsed) = X509Certificate::from_der(certificate).map_err(|_| CertificateError::BadEncoding)?;
    let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    if now > parsed.validity().not_after.timestamp() {
        return Err(CertificateError::Expired.into());
    }
    if now < parsed.validity().not_before.timestamp() {
        return Err(CertificateError::NotValidYet.into());
    }
    Ok(())
}

/// A certificate without alternative names is for its common name, as libpq has it: exactly, or `*.` for one label.
fn common_name_matches(certificate: &CertificateDer<'_>, server_name: &ServerName<'_>) -> bool {
    let Ok((_, parsed)) = X509Certificate::from_der(certificate) else { return false };
    if let Ok(Some(names)) = parsed.subject_alternative_name() {
        let named = |name: &GeneralName<'_>| matches!(name, GeneralName::DNSName(_) | GeneralName::IPAddress(_));
        if names.value.general_names.iter().any(named) {
            return false;
        }
    }
    let host = server_name.to_str().to_ascii_lowercase();
    let Some(Ok(common)) = parsed.subject().iter_common_name().next().map(|name| name.as_str()) else { return false };
    let common = common.to_ascii_lowercase();
    match common.strip_prefix("*.") {
        Some(domain) => host.split_once('.').is_some_and(|(label, rest)| !label.is_empty() && rest == domain),
        None => host == common,
    }
}

// === errors ===

fn lost(why: &str) -> Error {
    Error::retry("postgres.connect", format!("TLS could not be set up: {why}"))
}

fn failed(error: &rustls::Error) -> Error {
    let help = match error {
        rustls::Error::InvalidCertificate(reason) => match reason {
            CertificateError::UnknownIssuer => {
                "sslrootcert = the PEM file of the authority that signed the server's certificate"
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                "connect by a name that the server's certificate holds, or sslmode = verify-ca"
            }
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => "renew the server's certificate",
            _ => "sslmode and sslrootcert say which certificates are accepted",
        },
        _ => "sslmode says whether TLS is used; sslcert and sslkey are the client's certificate",
    };
    Error::environment("postgres.tls", format!("TLS failed: {error}")).help(help)
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::pem::PemObject;

    use super::*;

    const COMMON_NAME: &[u8] = include_bytes!("../tests/data/common-name.pem");
    const PSS: &[u8] = include_bytes!("../tests/data/pss.pem");

    fn certificate(pem: &[u8]) -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(pem).unwrap()
    }

    #[test]
    fn a_common_name_counts_only_without_alternative_names() {
        for (host, expected) in
            [("db.example.org", true), ("DB.example.ORG", true), ("a.b.example.org", false), ("example.org", false)]
        {
            let name = ServerName::try_from(host).unwrap();
            assert_eq!(common_name_matches(&certificate(COMMON_NAME), &name), expected, "{host}");
        }
        assert!(!common_name_matches(&certificate(PSS), &ServerName::try_from("pss").unwrap()));
        assert!(!common_name_matches(&CertificateDer::from(vec![0x30, 0x80]), &ServerName::try_from("pss").unwrap()));
    }

    #[test]
    fn the_channel_is_bound_by_the_hash_of_the_signature() {
        for (pem, length) in [(COMMON_NAME, 48), (PSS, 64)] {
            let certificate = certificate(pem);
            let (_, parsed) = X509Certificate::from_der(&certificate).unwrap();
            assert_eq!(end_point_hash(&parsed).unwrap().output_len(), length);
        }
    }

    #[test]
    fn a_trusted_certificate_still_has_its_dates() {
        let certificate = certificate(COMMON_NAME);
        let at =
            |seconds| check_dates(&certificate, UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds)));
        let (_, parsed) = X509Certificate::from_der(&certificate).unwrap();
        let now = parsed.validity().not_before.timestamp() as u64 + 1;
        at(now).unwrap();
        assert_eq!(at(0).unwrap_err(), CertificateError::NotValidYet.into());
        assert_eq!(at(now + 4_000_000_000).unwrap_err(), CertificateError::Expired.into());
    }
}
