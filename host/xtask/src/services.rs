//! `cargo x services`: the programs that tests start, from the system's packages. Kafka needs none: its jars come from Maven
//! Central when the first test asks for them.

use crate::checkout;
use anyhow::{Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;
use weir_local::program;
use weir_testkit::postgres;

/// A program, what tests do with it, and Debian's packages of it.
struct Service {
    what: &'static str,
    why: &'static str,
    packages: &'static [&'static str],
    present: fn() -> bool,
}

const SERVICES: &[Service] = &[
    Service {
        what: "PostgreSQL",
        why: "the database that is captured",
        packages: &["postgresql"],
        present: || std::env::var_os(postgres::URL_VARIABLE).is_some() || program::postgres().is_some(),
    },
    Service {
        what: "PostgreSQL's extensions",
        why: "columns of citext, hstore and ltree",
        packages: &["postgresql-contrib"],
        present: || std::env::var_os(postgres::URL_VARIABLE).is_some() || extensions(),
    },
    Service {
        what: "a Java runtime",
        why: "Kafka and Kafka Connect",
        packages: &["default-jre-headless"],
        present: || there_is("java", &java_home()),
    },
    Service {
        what: "Maven",
        why: "fetches the jars of Kafka, once",
        packages: &["maven"],
        present: || there_is("mvn", &[]),
    },
    Service {
        what: "unzip and xz",
        why: "unpack PostgreSQL's other releases",
        packages: &["unzip", "xz-utils"],
        present: || there_is("unzip", &[]) && there_is("xz", &[]),
    },
    Service {
        what: "script and prlimit",
        why: "a terminal, and a machine that gives no threads",
        packages: &["bsdutils", "util-linux"],
        present: || there_is("script", &[]) && there_is("prlimit", &[]),
    },
    Service {
        what: "openssl",
        why: "key stores of TLS tests",
        packages: &["openssl"],
        present: || there_is("openssl", &[]),
    },
];

/// Installs what is missing when this may be done here; an error names it otherwise.
pub fn install() -> Result<()> {
    let missing = missing();
    if missing.is_empty() {
        return Ok(());
    }
    for service in &missing {
        eprintln!("missing: {} ({})", service.what, service.why);
    }
    let packages: Vec<&str> = missing.iter().flat_map(|s| s.packages).copied().collect();
    let root = rustix::process::geteuid().is_root();
    if !root || !there_is("apt-get", &[]) {
        bail!("install what is missing and run this again; Debian and Ubuntu: apt-get install {}", packages.join(" "));
    }
    eprintln!("installing: {}", packages.join(" "));
    let apt = || {
        let mut command = Command::new("apt-get");
        command.env("DEBIAN_FRONTEND", "noninteractive");
        command
    };
    checkout::run(apt().args(["update", "-q"]))?;
    checkout::run(apt().args(["install", "-q", "-y", "--no-install-recommends"]).args(&packages))?;
    let left: Vec<&str> = self::missing().iter().map(|s| s.what).collect();
    if !left.is_empty() {
        bail!("apt-get has succeeded and yet there is no {}", left.join(", no "));
    }
    Ok(())
}

fn missing() -> Vec<&'static Service> {
    SERVICES.iter().filter(|s| !(s.present)()).collect()
}

fn there_is(name: &str, more: &[PathBuf]) -> bool {
    program::find(name, more).is_some()
}

fn extensions() -> bool {
    let debian = folders("/usr/share/postgresql", "extension");
    // A server elsewhere in PATH has its extensions elsewhere too; its tests will say what they lack.
    debian.is_empty() || debian.iter().any(|f| f.join("hstore.control").is_file())
}

fn folders(of: &str, name: &str) -> Vec<PathBuf> {
    std::fs::read_dir(Path::new(of)).into_iter().flatten().flatten().map(|e| e.path().join(name)).collect()
}

fn java_home() -> Vec<PathBuf> {
    std::env::var_os("JAVA_HOME").map(|h| PathBuf::from(h).join("bin")).into_iter().collect()
}
