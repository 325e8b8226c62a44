//! How we prove who we are: trust, a password in clear, MD5, SCRAM-SHA-256 with channel binding where there is TLS; a
//! client certificate is TLS's own affair.

use postgres_protocol::authentication::md5_hash;
use postgres_protocol::authentication::sasl::{ChannelBinding, SCRAM_SHA_256, SCRAM_SHA_256_PLUS, ScramSha256};
use weir_api::Error;

use crate::frame::{self, broken};
use crate::options::ConnectOptions;

/// The conversation, as far as it went.
pub struct Authentication<'a> {
    options: &'a ConnectOptions,
    /// the certificate's hash, where there is TLS
    end_point: Option<Vec<u8>>,
    scram: Option<ScramSha256>,
}

/// What to do about a request.
pub enum Step {
    /// send this
    Reply(Vec<u8>),
    /// nothing is asked any more
    Done,
    /// wait for the next request
    Wait,
}

/// What a request asks for (the protocol's numbers).
const OK: u32 = 0;
const CLEARTEXT: u32 = 3;
const MD5: u32 = 5;
const SASL: u32 = 10;
const SASL_CONTINUE: u32 = 11;
const SASL_FINAL: u32 = 12;
const REFUSED: [(u32, &str); 5] = [(2, "Kerberos"), (4, "crypt"), (7, "GSSAPI"), (8, "GSSAPI"), (9, "SSPI")];

// === impl Authentication ===

impl<'a> Authentication<'a> {
    pub fn new(options: &'a ConnectOptions, end_point: Option<Vec<u8>>) -> Self {
        Authentication { options, end_point, scram: None }
    }

    /// Answers the body of an authentication request.
    pub fn step(&mut self, body: &[u8]) -> Result<Step, Error> {
        let (kind, data) = body.split_first_chunk().ok_or_else(|| broken("an empty authentication request"))?;
        match u32::from_be_bytes(*kind) {
            // A server that skips its own proof did not show that it knows the password.
            OK if self.scram.is_some() => Err(impostor()),
            OK => Ok(Step::Done),
            CLEARTEXT => Ok(Step::Reply(self.password_message(self.password()?))),
            MD5 => {
                let salt = data.first_chunk().ok_or_else(|| broken("an MD5 request without salt"))?;
                let hash = md5_hash(self.options.user.as_bytes(), self.password()?.as_bytes(), *salt);
                Ok(Step::Reply(self.password_message(&hash)))
            }
            SASL => self.start_scram(data),
            SASL_CONTINUE => {
                let scram = self.scram.as_mut().ok_or_else(|| broken("a SASL step out of turn"))?;
                scram.update(data).map_err(|_| broken("a SASL step that cannot be answered"))?;
                let mut out = Vec::new();
                frame::push(&mut out, b'p', scram.message());
                Ok(Step::Reply(out))
            }
            SASL_FINAL => {
                let mut scram = self.scram.take().ok_or_else(|| broken("a SASL step out of turn"))?;
                scram.finish(data).map_err(|_| impostor())?;
                Ok(Step::Wait)
            }
            other => {
                let name = REFUSED.iter().find(|(n, _)| *n == other).map_or("an unknown", |(_, name)| name);
                Err(Error::environment("postgres.authentication", format!("the server asks for {name} authentication"))
                    .help("a line in pg_hba.conf with scram-sha-256, or cert with hostssl"))
            }
        }
    }

    fn start_scram(&mut self, mut mechanisms: &[u8]) -> Result<Step, Error> {
        let (mut plain, mut plus) = (false, false);
        while let Some((name, rest)) = frame::text(mechanisms)
            && !name.is_empty()
        {
            plain |= name == SCRAM_SHA_256.as_bytes();
            plus |= name == SCRAM_SHA_256_PLUS.as_bytes();
            mechanisms = rest;
        }
        let (mechanism, binding) = match self.end_point.take() {
            Some(hash) if plus => (SCRAM_SHA_256_PLUS, ChannelBinding::tls_server_end_point(hash)),
            // We could have: the server compares that with what it offered, and so sees who took the offer away.
            Some(_) if plain => (SCRAM_SHA_256, ChannelBinding::unrequested()),
            None if plain => (SCRAM_SHA_256, ChannelBinding::unsupported()),
            _ => {
                return Err(Error::environment(
                    "postgres.authentication",
                    "the server offers no SASL mechanism known here",
                )
                .help("known: SCRAM-SHA-256, SCRAM-SHA-256-PLUS"));
            }
        };
        let scram = ScramSha256::new(self.password()?.as_bytes(), binding);
        let mut body = Vec::new();
        frame::push_text(&mut body, mechanism);
        body.extend_from_slice(&u32::try_from(scram.message().len()).unwrap_or_default().to_be_bytes());
        body.extend_from_slice(scram.message());
        let mut out = Vec::new();
        frame::push(&mut out, b'p', &body);
        self.scram = Some(scram);
        Ok(Step::Reply(out))
    }

    fn password(&self) -> Result<&'a str, Error> {
        let options = self.options;
        options.password.as_deref().ok_or_else(|| {
            let user = &options.user;
            Error::environment(
                "postgres.password",
                format!("the server asks for the password of '{user}', none is given"),
            )
            .help("set database.password")
        })
    }

    fn password_message(&self, password: &str) -> Vec<u8> {
        let (mut body, mut out) = (Vec::new(), Vec::new());
        frame::push_text(&mut body, password);
        frame::push(&mut out, b'p', &body);
        out
    }
}

fn impostor() -> Error {
    Error::environment("postgres.authentication", "the server did not prove that it knows the password")
        .help("something between here and the server may pretend to be it: use sslmode = verify-full")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(requests: &[&[u8]]) -> Result<Step, Error> {
        let options = ConnectOptions { password: Some("p".into()), ..Default::default() };
        let mut authentication = Authentication::new(&options, None);
        let mut last = Ok(Step::Wait);
        for request in requests {
            last = authentication.step(request);
        }
        last
    }

    #[test]
    fn requests_out_of_turn_are_refused() {
        for request in [&b""[..], b"\0\0", b"\0\0\0\x05abc", b"\0\0\0\x0bx", b"\0\0\0\x0cx"] {
            assert_eq!(step(&[request]).err().unwrap().code(), "postgres.protocol");
        }
        for request in [&b"\0\0\0\x07"[..], b"\0\0\0\x63", b"\0\0\0\x0aOTHER\0\0"] {
            assert_eq!(step(&[request]).err().unwrap().code(), "postgres.authentication");
        }
    }

    #[test]
    fn scram_binds_to_the_channel_where_it_can() {
        let options = ConnectOptions { password: Some("p".into()), ..Default::default() };
        for (end_point, offer, sent) in [
            (
                Some(vec![1; 32]),
                "SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0",
                "SCRAM-SHA-256-PLUS\0\0\0\0\x2dp=tls-server-end-point,,",
            ),
            (Some(vec![1; 32]), "SCRAM-SHA-256\0\0", "SCRAM-SHA-256\0\0\0\0\x20y,,"),
            (None, "SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0", "SCRAM-SHA-256\0\0\0\0\x20n,,"),
        ] {
            let request = [&[0, 0, 0, 10], offer.as_bytes()].concat();
            let Ok(Step::Reply(reply)) = Authentication::new(&options, end_point).step(&request) else { panic!() };
            let reply = String::from_utf8_lossy(&reply[5..]).into_owned();
            // But for the length, whose nonce is the library's affair.
            let (mechanism, first) = sent.split_once('\0').unwrap();
            assert!(reply.starts_with(&format!("{mechanism}\0")), "{reply:?}");
            assert!(reply[mechanism.len() + 5..].starts_with(&first[4..]), "{reply:?}");
        }
    }

    #[test]
    fn a_server_that_skips_its_proof_is_an_impostor() {
        let error = step(&[b"\0\0\0\x0aSCRAM-SHA-256\0\0", b"\0\0\0\0"]).err().unwrap();
        assert_eq!(error.code(), "postgres.authentication");
    }
}
