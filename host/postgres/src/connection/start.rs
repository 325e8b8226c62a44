//! How a session begins: the socket, TLS, authentication, up to the server's first prompt.

use super::Connection;
use crate::authentication::{Authentication, Step};
use crate::frame;
use crate::options::{ConnectOptions, SslMode};
use crate::server_error::{Peer, ServerError};
use crate::socket::{Socket, Stream, reason};
use crate::tls::Session;
use std::collections::BTreeMap;
use std::io;
use std::time::Instant;
use weir_api::Error;

/// Whether TLS is tried.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Encryption {
    Never,
    IfOffered,
    Always,
}

impl Connection {
    /// With more than one server, the first that may be written to: slots and publications are made there, and a standby may lag.
    ///
    /// # Errors
    /// `postgres.connect` (retry), `postgres.tls`, `postgres.password`, `postgres.access`, `postgres.authentication`,
    /// `postgres.role-missing`, `postgres.right-missing`, `postgres.database-missing`, `postgres.starting` (retry),
    /// `postgres.shutting-down` (retry), `postgres.connections-exhausted` (retry).
    pub fn connect(options: &ConnectOptions) -> Result<Connection, Error> {
        if options.others.is_empty() {
            return Self::to_one(options);
        }
        let (mut reasons, mut refused) = (vec![], None);
        for server in options.each() {
            match Self::to_one(&server) {
                Ok(connection) if connection.parameter("in_hot_standby") != Some("on") => return Ok(connection),
                Ok(_) => reasons.push(format!("{} is a standby", server.address())),
                Err(e) if e.is_retriable() => reasons.push(e.message().to_owned()),
                // a standby may lag, and lack what another one has
                Err(e) => drop(refused.get_or_insert(e)),
            }
        }
        Err(refused.unwrap_or_else(|| {
            Error::retry("postgres.connect", format!("no server may be written to: {}", reasons.join("; ")))
                .help("is one of them running, and is one of them no standby?")
        }))
    }

    fn to_one(options: &ConnectOptions) -> Result<Connection, Error> {
        // TLS on a unix socket is ignored, as libpq does.
        let mode = if options.is_unix() { SslMode::Disable } else { options.sslmode };
        let (first, second) = match mode {
            SslMode::Disable => (Encryption::Never, None),
            SslMode::Allow => (Encryption::Never, Some(Encryption::Always)),
            SslMode::Prefer => (Encryption::IfOffered, Some(Encryption::Never)),
            SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull => (Encryption::Always, None),
        };
        match (Self::attempt(options, first), second) {
            // Refused in this way, it may be let in the other way; the first refusal is the one that says why.
            (Err(error), Some(second)) if matches!(error.code(), "postgres.access" | "postgres.tls") => {
                Self::attempt(options, second).map_err(|_| error)
            }
            (result, _) => result,
        }
    }

    fn attempt(options: &ConnectOptions, encryption: Encryption) -> Result<Connection, Error> {
        let peer = Peer { address: options.address(), user: options.user.clone(), database: options.database.clone() };
        let socket = Socket::connect(options).map_err(|error| unreachable(&peer, &error))?;
        let mut connection = Connection {
            stream: Stream::plain(socket),
            peer,
            incoming: Vec::new(),
            read: 0,
            deadline: Some(Instant::now() + options.connect_timeout),
            started: false,
            spoilt: false,
            streamed: false,
            parameters: BTreeMap::new(),
            backend: 0,
        };
        if encryption != Encryption::Never {
            connection.request_tls(options, encryption)?;
        }
        connection.start(options)?;
        connection.started = true;
        connection.deadline = None;
        connection.block_for(None)?;
        for statement in options.initial.iter().filter(|_| !options.replication) {
            connection.simple_query(statement)?;
        }
        Ok(connection)
    }

    fn request_tls(&mut self, options: &ConnectOptions, encryption: Encryption) -> Result<(), Error> {
        const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];
        self.block_for(Some(options.connect_timeout))?;
        self.send(&SSL_REQUEST)?;
        let answer = self.stream.read_byte().map_err(|error| unreachable(&self.peer, &error))?;
        match answer {
            // Only this one byte was read: what a man in the middle slips in behind it fails the handshake.
            b'S' => self.stream.secure(Session::new(options)?),
            b'N' if encryption == Encryption::IfOffered => Ok(()),
            b'N' => Err(Error::environment("postgres.tls", format!("{} does not offer TLS", self.peer.address))
                .help("ssl = on with ssl_cert_file and ssl_key_file in postgresql.conf, or sslmode = prefer")),
            // Too busy to begin, it says so before it looks at what we want.
            b'E' => {
                self.incoming.push(b'E');
                Ok(())
            }
            _ => Err(Error::environment("postgres.connect", format!("{} is no PostgreSQL server", self.peer.address))),
        }
    }

    fn start(&mut self, options: &ConnectOptions) -> Result<(), Error> {
        let mut startup = Vec::new();
        frame::push_startup(&mut startup, &options.startup_parameters());
        self.send(&startup)?;
        let end_point = self.stream.tls().and_then(Session::channel_binding);
        let mut authentication = Authentication::new(options, end_point);
        let mut admitted = false;
        loop {
            let frame = self.receive()?;
            let body = self.incoming.get(frame.body).unwrap_or_default();
            match frame.tag {
                b'R' => match authentication.step(body)? {
                    Step::Reply(reply) => self.send(&reply)?,
                    Step::Done => admitted = true,
                    Step::Wait => {}
                },
                b'K' => self.backend = body.first_chunk().map_or(0, |id| u32::from_be_bytes(*id)),
                b'Z' if admitted => return Ok(()),
                b'v' => {}
                b'E' => return Err(ServerError::parse(body).into_error(&self.peer)),
                tag => return Err(self.unexpected(tag)),
            }
        }
    }
}

fn unreachable(peer: &Peer, error: &io::Error) -> Error {
    Error::retry("postgres.connect", format!("cannot connect to {}: {}", peer.address, reason(error)))
        .help("is the server running, and does listen_addresses let others reach it?")
}
