//! Certificates and keys in files, and where libpq looks for them when nobody names them.

use std::path::{Path, PathBuf};

use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use weir_api::Error;

use crate::options::{ConnectOptions, SslMode};

/// Whom we trust.
#[derive(Debug)]
pub struct Roots {
    pub store: RootCertStore,
    /// as they are in the file: a self-signed server certificate may be trusted by itself
    pub certificates: Vec<CertificateDer<'static>>,
}

/// The authorities to check against, or `None` where `sslmode` does not ask for it.
pub fn trusted(options: &ConnectOptions) -> Result<Option<Roots>, Error> {
    let verify = matches!(options.sslmode, SslMode::VerifyCa | SslMode::VerifyFull);
    let file = match &options.sslrootcert {
        Some(path) if path.as_os_str() == "system" => {
            if options.sslmode != SslMode::VerifyFull {
                return Err(Error::environment("postgres.tls", "sslrootcert = system needs sslmode = verify-full")
                    .help("anybody can have a certificate of a public authority: only its name says whose it is"));
            }
            return system().map(Some);
        }
        Some(path) => Some(path.clone()),
        None if verify => home_file("root.crt"),
        None => None,
    };
    match file {
        // As in libpq: who names an authority wants it asked, whatever `require` says by itself.
        Some(path) if verify || options.sslmode == SslMode::Require => {
            let certificates = read_certificates("sslrootcert", &path)?;
            let mut store = RootCertStore::empty();
            store.add_parsable_certificates(certificates.iter().cloned());
            if certificates.is_empty() {
                return Err(file_error("sslrootcert", &path, "it holds no certificate"));
            }
            Ok(Some(Roots { store, certificates }))
        }
        None if verify => system().map(Some),
        _ => Ok(None),
    }
}

fn system() -> Result<Roots, Error> {
    let mut store = RootCertStore::empty();
    store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if store.is_empty() {
        return Err(Error::environment("postgres.tls", "this system has no trusted authorities")
            .help("apt-get install ca-certificates, or sslrootcert = a PEM file"));
    }
    Ok(Roots { store, certificates: Vec::new() })
}

/// A chain and its key.
pub type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// What we show when the server asks who we are.
pub fn client_certificate(options: &ConnectOptions) -> Result<Option<Identity>, Error> {
    let (certificate, key) = match (&options.sslcert, &options.sslkey) {
        (Some(certificate), Some(key)) => (certificate.clone(), key.clone()),
        (None, None) => match (home_file("postgresql.crt"), home_file("postgresql.key")) {
            (Some(certificate), Some(key)) => (certificate, key),
            _ => return Ok(None),
        },
        (Some(_), None) => return Err(Error::environment("postgres.tls", "sslcert is given without sslkey")),
        (None, Some(_)) => return Err(Error::environment("postgres.tls", "sslkey is given without sslcert")),
    };
    Ok(Some((read_certificates("sslcert", &certificate)?, read_key(&key)?)))
}

fn home_file(name: &str) -> Option<PathBuf> {
    let path = PathBuf::from(std::env::var_os("HOME")?).join(".postgresql").join(name);
    path.is_file().then_some(path)
}

fn read(option: &str, path: &Path) -> Result<(Vec<u8>, bool), Error> {
    let bytes = std::fs::read(path).map_err(|e| file_error(option, path, &e.to_string()))?;
    let is_pem = bytes.windows(10).any(|w| w == b"-----BEGIN");
    Ok((bytes, is_pem))
}

fn read_certificates(option: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let (bytes, is_pem) = read(option, path)?;
    if !is_pem {
        return Ok(vec![CertificateDer::from(bytes)]);
    }
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    all.map_err(|_| file_error(option, path, "it is no certificate in PEM or DER"))
}

fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, Error> {
    let (bytes, is_pem) = read("sslkey", path)?;
    if !is_pem {
        return Ok(PrivatePkcs8KeyDer::from(bytes).into());
    }
    PrivateKeyDer::from_pem_slice(&bytes).map_err(|_| {
        file_error("sslkey", path, "it is no key without a password")
            .help(format!("openssl pkcs8 -topk8 -nocrypt -in {} -out client.key", path.display()))
    })
}

fn file_error(option: &str, path: &Path, why: &str) -> Error {
    Error::environment("postgres.tls", format!("cannot use {option} {}: {why}", path.display()))
}
