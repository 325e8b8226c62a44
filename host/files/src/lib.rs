//! Standard output, files and nowhere as sinks.
//!
//! `stdout` and `file` render records as NDJSON ([`line`]) and hand the lines to a writer thread ([`pen`]), so that neither a
//! paused reader nor a slow disk stops the task thread; what is being written while another sync runs shares the next one.

pub mod discard;
pub mod file;
pub mod letter;
pub mod line;
pub mod pen;
pub mod stdout;

pub use discard::{Discard, Discarded};
pub use file::FileSink;
pub use letter::LetterFile;
pub use line::Text;
pub use stdout::{Form, Stdout};
