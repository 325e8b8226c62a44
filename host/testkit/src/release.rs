//! PostgreSQL of a release that the machine does not have.
//!
//! Its programs come from Maven Central, as others' tests take them from there; they are unpacked for one server, for whoever
//! runs it may not be let into the cache.

use std::env::consts::ARCH;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::maven;

/// The first release that keeps slots on standbys.
pub const FAILOVER: &str = "17.5.0";
/// One of each version but 15, which Debian 12 has.
pub const ALL: [&str; 4] = ["14.18.0", "16.9.0", FAILOVER, "18.0.0"];

/// Unpacks `initdb`, `pg_ctl` and `postgres` with what belongs to them; the folder of the programs. Needs `mvn`, `unzip`, `tar`
/// and `xz`, and the network for the first time.
pub fn unpack(release: &str, into: &Path) -> io::Result<PathBuf> {
    let machine = if ARCH == "aarch64" { "arm64v8" } else { "amd64" };
    let artifact = format!("embedded-postgres-binaries-linux-{machine}");
    let coordinates = format!("io.zonky.test.postgres:{artifact}:{release}");
    let jars = maven::jars(&[&coordinates], &format!("postgres-{release}"))?;
    let archive = format!("postgres-linux-{}.txz", if ARCH == "aarch64" { "arm_64" } else { "x86_64" });
    let jar = jars.join(format!("{artifact}-{release}.jar"));
    run(Command::new("unzip").arg("-qo").arg(jar).arg(&archive).arg("-d").arg(into))?;
    run(Command::new("tar").arg("-xJf").arg(into.join(archive)).arg("-C").arg(into).arg("--no-same-owner"))?;
    run(Command::new("chmod").args(["-R", "a+rX"]).arg(into))?;
    Ok(into.join("bin"))
}

fn run(command: &mut Command) -> io::Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|e| io::Error::other(format!("`{program}` cannot be run: {e}")))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(io::Error::other(format!("`{program}`: {}", String::from_utf8_lossy(&output.stderr).trim()))),
    }
}
