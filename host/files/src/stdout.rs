//! Records on standard output: NDJSON for a program, short coloured lines for a terminal.
//!
//! "Durable" is what a pipe can give: the bytes were taken by the reader's end. A reader that goes away (`| head`) is a clean
//! end: the sink fails with [`CLOSED`], which the command line takes for success.

use crate::line::{Lines, Text};
use crate::pen::{Paper, Pen};
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};
use weir_api::{Block, BlockId, ConfigDef, Cure, Error, Key, KeyType, Settings, Sink};

pub static KEYS: ConfigDef = ConfigDef {
    keys: &[Key::new(
        "format",
        KeyType::String,
        "How records are shown; auto: pretty on a terminal, ndjson elsewhere.",
    )
    .default("auto")
    .one_of(&["auto", "ndjson", "pretty"])],
    prefixes: &[],
};

/// Code of the error that says that the reader is gone.
pub const CLOSED: &str = "stdout.closed";

/// How a record is shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    Ndjson,
    Pretty { colour: bool },
}

pub struct Stdout {
    pen: Pen,
    lines: Lines,
    form: Form,
}

struct Pipe<W>(W);

// === impl Form ===

impl Form {
    /// `auto` looks at standard output and `NO_COLOR`.
    pub fn of(format: &str) -> Self {
        let terminal = io::stdout().is_terminal();
        let colour = terminal && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
        match format.trim().to_ascii_lowercase().as_str() {
            "pretty" => Form::Pretty { colour },
            "ndjson" => Form::Ndjson,
            _ if terminal => Form::Pretty { colour },
            _ => Form::Ndjson,
        }
    }
}

// === impl Stdout ===

impl Stdout {
    pub fn open(settings: &Settings, key: Text, value: Text) -> Result<Self, Error> {
        let form = Form::of(settings.text(&KEYS, "format").unwrap_or("auto"));
        Self::to(io::stdout(), form, key, value)
    }
    /// The same onto any writer.
    pub fn to(writer: impl Write + Send + 'static, form: Form, key: Text, value: Text) -> Result<Self, Error> {
        Ok(Stdout { pen: Pen::start("stdout", Pipe(writer), false)?, lines: Lines { key, value }, form })
    }
}

impl Sink for Stdout {
    fn deliver(&mut self, block: &Arc<Block>, from: usize) -> Result<usize, Error> {
        match self.form {
            Form::Ndjson => self.lines.deliver(&mut self.pen, block, from),
            Form::Pretty { colour } => {
                let lines = self.lines;
                self.pen.deliver(block, from, |block, record, out| lines.pretty(block, record, colour, out))
            }
        }
    }
    fn poll(&mut self, wait: Duration, done: &mut Vec<BlockId>) -> Result<(), Error> {
        self.pen.poll(wait, done)
    }
    fn flush(&mut self, deadline: Instant, done: &mut Vec<BlockId>) -> Result<(), Error> {
        self.pen.flush(deadline, done)
    }
}

impl<W: Write + Send + 'static> Paper for Pipe<W> {
    fn put(&mut self, lines: &[u8]) -> Result<(), Error> {
        self.0.write_all(lines).and_then(|()| self.0.flush()).map_err(|e| match e.kind() {
            ErrorKind::BrokenPipe => Error::new(CLOSED, Cure::None, "the reader of standard output is gone"),
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
                Error::retry("stdout.disk-full", format!("standard output cannot be written: {e}")).help("free space")
            }
            _ => Error::environment("stdout.io", format!("standard output cannot be written: {e}")),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Broken(ErrorKind);

    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn each_refusal_of_the_system_has_its_code() {
        for (kind, code, is_retriable) in [
            (ErrorKind::BrokenPipe, "stdout.closed", false),
            (ErrorKind::StorageFull, "stdout.disk-full", true),
            (ErrorKind::QuotaExceeded, "stdout.disk-full", true),
            (ErrorKind::Other, "stdout.io", false),
        ] {
            let error = Pipe(Broken(kind)).put(b"{}\n").unwrap_err();
            assert_eq!((error.code(), error.is_retriable()), (code, is_retriable), "{kind:?}");
        }
    }
}
