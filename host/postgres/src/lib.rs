//! Captures PostgreSQL: replication protocol, slot and publication, type table, snapshot.

mod answer;
mod array;
mod authentication;
pub mod catalogue;
mod cell;
mod certificate;
mod config;
mod connection;
mod copy;
mod default_value;
mod frame;
mod handling;
mod hstore;
mod keys;
mod options;
pub mod pgoutput;
mod printed;
mod publication;
mod replication;
mod server_error;
mod slot;
mod snapshot;
mod socket;
mod source;
mod stream_options;
mod table;
mod tls;
pub mod type_table;
mod watermark;

pub use connection::Connection;
pub use copy::CopyOut;
pub use frame::{Frame, Frames};
pub use keys::KEYS;
pub use options::{ConnectOptions, SslMode};
pub use replication::{Replication, WatermarkPolicy};
pub use source::open;
