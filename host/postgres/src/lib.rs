//! Captures PostgreSQL: replication protocol, slot and publication, type table, snapshot.

mod answer;
mod authentication;
mod certificate;
mod connection;
mod copy;
mod frame;
mod options;
mod replication;
mod server_error;
mod socket;
mod tls;
mod watermark;

pub use connection::Connection;
pub use copy::CopyOut;
pub use frame::{Frame, Frames};
pub use options::{ConnectOptions, SslMode};
pub use replication::{Replication, WatermarkPolicy};
