//! Java's key and trust stores (JKS, PKCS12, PEM) into PEM, which is what librdkafka takes.
//!
//! PKCS12 is read by a library. JKS is Sun's own format and small: certificates lie open, a key is hidden by a stream of SHA-1
//! digests of the password.

use p12_keystore::{KeyStore, KeyStoreEntry, Pkcs12ImportPolicy};
use pem::{EncodeConfig, LineEnding, Pem};
use sha1::{Digest, Sha1};

/// The format of a store, as `ssl.keystore.type` names it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    Jks,
    Pkcs12,
    Pem,
}

/// What a store holds, as PEM; empty where there is nothing of the kind.
#[derive(Default, PartialEq, Eq)]
pub struct Store {
    /// certificates of the entries that are trusted
    pub trusted: String,
    /// the client's certificate, then those up to its authority
    pub chain: String,
    /// the client's key, PKCS#8
    pub key: String,
}

/// An entry of a JKS file.
enum Entry<'a> {
    Key { hidden: &'a [u8], chain: Vec<&'a [u8]> },
    Trusted(&'a [u8]),
}

struct Reader<'a>(&'a [u8]);

const JKS_MAGIC: u32 = 0xfeed_feed;
const JCEKS_MAGIC: u32 = 0xcece_cece;
/// what Sun's format mixes into the digest of a whole file
const JKS_WHITENER: &[u8] = b"Mighty Aphrodite";
const DIGEST: usize = 20;
const WRONG_PASSWORD: &str = "the password does not open the store";
const BROKEN: &str = "the file is cut off or not a key store";

// === impl Store ===

impl Store {
    /// Reads a store. `key_password` opens the key when it is not the store's own. Errors never hold a secret.
    pub fn read(bytes: &[u8], said: Format, password: &str, key_password: Option<&str>) -> Result<Store, &'static str> {
        match said {
            Format::Pem => Ok(pem_store(std::str::from_utf8(bytes).map_err(|_| "the file is not PEM")?)),
            // Java opens either by either name since version 8.
            Format::Jks | Format::Pkcs12 => match Reader(bytes).u32() {
                Some(JKS_MAGIC) => jks(bytes, password, key_password.unwrap_or(password)),
                Some(JCEKS_MAGIC) => {
                    Err("JCEKS is not supported: convert it by `keytool -importkeystore -deststoretype PKCS12`")
                }
                Some(_) => pkcs12(bytes, password),
                None => Err(BROKEN),
            },
        }
    }
}

/// The blocks of a text as PEM of well-formed lines, whatever blanks it had in place of line ends.
pub fn pem_store(text: &str) -> Store {
    let mut store = Store::default();
    for block in pem::parse_many(text).unwrap_or_default() {
        let block_text = encode(&block);
        if block.tag().ends_with("PRIVATE KEY") {
            store.key.push_str(&block_text);
        } else if block.tag().ends_with("CERTIFICATE") {
            store.trusted.push_str(&block_text);
            store.chain.push_str(&block_text);
        }
    }
    store
}

fn pkcs12(bytes: &[u8], password: &str) -> Result<Store, &'static str> {
    let keystore = KeyStore::from_pkcs12(bytes, password, Pkcs12ImportPolicy::Relaxed).map_err(|_| WRONG_PASSWORD)?;
    let mut store = Store::default();
    for (_, entry) in keystore.entries() {
        match entry {
            KeyStoreEntry::Certificate(certificate) => store.trusted.push_str(&certificate_pem(certificate.as_der())),
            KeyStoreEntry::PrivateKeyChain(chain) if store.key.is_empty() => {
                store.key = encode(&Pem::new("PRIVATE KEY", chain.key().as_der()));
                store.chain = chain.certs().iter().map(|c| certificate_pem(c.as_der())).collect();
            }
            _ => {}
        }
    }
    Ok(store)
}

fn jks(bytes: &[u8], password: &str, key_password: &str) -> Result<Store, &'static str> {
    // Without a password Java leaves the digest unchecked, and so do we.
    if !password.is_empty() {
        let split = bytes.len().checked_sub(DIGEST).and_then(|at| bytes.split_at_checked(at));
        let (content, digest) = split.ok_or(BROKEN)?;
        let sum = Sha1::new().chain_update(utf16(password)).chain_update(JKS_WHITENER).chain_update(content).finalize();
        if sum.as_slice() != digest {
            return Err(WRONG_PASSWORD);
        }
    }
    let mut store = Store::default();
    for entry in entries(bytes).ok_or(BROKEN)? {
        match entry {
            Entry::Trusted(certificate) => store.trusted.push_str(&certificate_pem(certificate)),
            Entry::Key { hidden, chain } if store.key.is_empty() => {
                let key = uncover(hidden, key_password).ok_or("the password does not open the key")?;
                store.key = encode(&Pem::new("PRIVATE KEY", key));
                store.chain = chain.into_iter().map(certificate_pem).collect();
            }
            Entry::Key { .. } => {}
        }
    }
    Ok(store)
}

fn entries(bytes: &[u8]) -> Option<Vec<Entry<'_>>> {
    let mut reader = Reader(bytes);
    let (_, version, count) = (reader.u32()?, reader.u32()?, reader.u32()?);
    let mut out = Vec::new();
    for _ in 0..count {
        let kind = reader.u32()?;
        let name = reader.u16()?;
        reader.take(name as usize)?;
        reader.take(8)?; // when it was made
        out.push(match kind {
            1 => {
                let length = reader.u32()? as usize;
                let hidden = reader.take(length)?;
                let certificates = reader.u32()?;
                let mut chain = Vec::new();
                for _ in 0..certificates {
                    chain.push(reader.certificate(version)?);
                }
                Entry::Key { hidden, chain }
            }
            2 => Entry::Trusted(reader.certificate(version)?),
            _ => return None,
        });
    }
    Some(out)
}

/// A key out of Sun's EncryptedPrivateKeyInfo: salt, key xor stream, digest; None when the password is another.
fn uncover(hidden: &[u8], password: &str) -> Option<Vec<u8>> {
    let mut outer = Reader(Reader(hidden).der(0x30)?);
    outer.der(0x30)?; // Sun's algorithm, the only one that a JKS file has
    let mut content = Reader(outer.der(0x04)?);
    let salt = content.take(DIGEST)?;
    let covered = content.take(content.0.len().checked_sub(DIGEST)?)?;
    let password = utf16(password);
    let mut key = Vec::with_capacity(covered.len());
    let mut stream = Vec::from(salt);
    for part in covered.chunks(DIGEST) {
        stream = Sha1::new().chain_update(&password).chain_update(&stream).finalize().to_vec();
        key.extend(part.iter().zip(&stream).map(|(a, b)| a ^ b));
    }
    let sum = Sha1::new().chain_update(&password).chain_update(&key).finalize();
    (sum.as_slice() == content.0).then_some(key)
}

fn utf16(password: &str) -> Vec<u8> {
    password.encode_utf16().flat_map(u16::to_be_bytes).collect()
}

fn certificate_pem(der: &[u8]) -> String {
    encode(&Pem::new("CERTIFICATE", der))
}

fn encode(block: &Pem) -> String {
    pem::encode_config(block, EncodeConfig::new().set_line_ending(LineEnding::LF))
}

// === impl Reader ===

impl<'a> Reader<'a> {
    fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (head, tail) = self.0.split_at_checked(n)?;
        self.0 = tail;
        Some(head)
    }
    fn u16(&mut self) -> Option<u16> {
        self.take(2)?.try_into().ok().map(u16::from_be_bytes)
    }
    fn u32(&mut self) -> Option<u32> {
        self.take(4)?.try_into().ok().map(u32::from_be_bytes)
    }
    fn certificate(&mut self, version: u32) -> Option<&'a [u8]> {
        if version >= 2 {
            let name = self.u16()?; // "X.509"
            self.take(name as usize)?;
        }
        let length = self.u32()?;
        self.take(length as usize)
    }
    /// The content of the next DER value, which must have this tag.
    fn der(&mut self, tag: u8) -> Option<&'a [u8]> {
        let &[found, short] = self.take(2)? else { return None };
        let length = match short {
            0..=0x7f => short as usize,
            0x81..=0x84 => self.take((short & 0x7f) as usize)?.iter().fold(0, |n, b| n << 8 | *b as usize),
            _ => return None,
        };
        (found == tag).then(|| self.take(length)).flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PEM: &str = include_str!("../tests/stores/client.pem");
    const JKS: &[u8] = include_bytes!("../tests/stores/client.jks");
    const P12: &[u8] = include_bytes!("../tests/stores/client.p12");
    const TRUST_JKS: &[u8] = include_bytes!("../tests/stores/trust.jks");
    const TRUST_P12: &[u8] = include_bytes!("../tests/stores/trust.p12");

    #[test]
    fn all_formats_hold_the_same() {
        let pem = pem_store(PEM);
        for store in [JKS, P12] {
            let store = Store::read(store, Format::Jks, "store-secret", None).unwrap();
            assert_eq!(store.key, pem.key);
            assert_eq!(store.chain, pem.chain);
            assert!(store.trusted.is_empty());
        }
        for store in [TRUST_JKS, TRUST_P12] {
            let store = Store::read(store, Format::Pkcs12, "store-secret", None).unwrap();
            assert_eq!(store.trusted.matches("BEGIN CERTIFICATE").count(), 1);
            assert!(store.key.is_empty());
        }
    }

    #[test]
    fn a_wrong_password_says_so() {
        for store in [JKS, P12, TRUST_JKS] {
            assert_eq!(Store::read(store, Format::Jks, "another", None).err(), Some(WRONG_PASSWORD));
        }
        assert!(Store::read(JKS, Format::Jks, "store-secret", Some("another")).is_err());
        assert!(Store::read(TRUST_JKS, Format::Jks, "", None).is_ok());
    }

    #[test]
    fn pem_on_one_line_is_understood() {
        assert!(pem_store(&PEM.replace('\n', " ")) == pem_store(PEM));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(at in 0usize..2000, byte: u8, cut in 0usize..2000) {
            for store in [JKS, P12] {
                let mut bytes = store.to_vec();
                if let Some(b) = bytes.get_mut(at) { *b = byte; }
                bytes.truncate(cut);
                let _ = Store::read(&bytes, Format::Jks, "", None);
                let _ = Store::read(&bytes, Format::Jks, "store-secret", None);
            }
        }
    }
}
