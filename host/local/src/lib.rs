//! Servers from this machine's own programs: finding them, the account they run under, a private PostgreSQL cluster.
//!
//! `weir demo postgres` and the tests start PostgreSQL in the same way; this is that way.

pub mod account;
pub mod cluster;
pub mod program;

pub use account::Account;
pub use cluster::Cluster;
