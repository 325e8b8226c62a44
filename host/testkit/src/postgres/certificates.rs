//! An authority for one test, and what it signed.

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use std::path::{Path, PathBuf};
use std::{fs, io};
use weir_local::{Account, account};

/// Files of a throw-away authority: the server's certificate is for `localhost` and 127.0.0.1, the client's for the
/// common name `certified`.
#[derive(Clone, Debug)]
pub struct Certificates {
    pub authority: PathBuf,
    /// another authority, which signed nothing here
    pub stranger: PathBuf,
    pub client: PathBuf,
    pub client_key: PathBuf,
}

// === impl Certificates ===

impl Certificates {
    /// In `directory`, and the server's own among its `data`.
    pub(super) fn make(directory: &Path, data: &Path, account: Option<Account>) -> io::Result<Certificates> {
        let authority = |name: &str| -> Result<_, rcgen::Error> {
            let mut params = CertificateParams::new(Vec::<String>::new())?;
            params.distinguished_name.push(DnType::CommonName, name);
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            let key = KeyPair::generate()?;
            let pem = params.self_signed(&key)?.pem();
            Ok((Issuer::new(params, key), pem))
        };
        let make = || -> Result<_, rcgen::Error> {
            let (issuer, trusted) = authority("weir test authority")?;
            let (_, stranger) = authority("a stranger")?;
            let signed = |common: &str, names: &[&str]| -> Result<_, rcgen::Error> {
                let mut params = CertificateParams::new(names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>())?;
                params.distinguished_name.push(DnType::CommonName, common);
                let key = KeyPair::generate()?;
                Ok((params.signed_by(&key, &issuer)?.pem(), key.serialize_pem()))
            };
            Ok((
                trusted,
                stranger,
                signed("localhost", &["localhost", "127.0.0.1"])?,
                signed("certified", &["certified"])?,
            ))
        };
        let (trusted, stranger, server, client) = make().map_err(io::Error::other)?;
        for (name, text, mode) in
            [("ca.crt", &trusted, 0o644), ("server.crt", &server.0, 0o644), ("server.key", &server.1, 0o600)]
        {
            fs::write(data.join(name), text)?;
            account::own(&data.join(name), account, mode)?;
        }
        let file = |name: &str, text: &str| -> io::Result<PathBuf> {
            let path = directory.join(name);
            fs::write(&path, text)?;
            Ok(path)
        };
        Ok(Certificates {
            authority: file("ca.crt", &trusted)?,
            stranger: file("stranger.crt", &stranger)?,
            client: file("client.crt", &client.0)?,
            client_key: file("client.key", &client.1)?,
        })
    }
}
