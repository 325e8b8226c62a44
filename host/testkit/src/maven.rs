//! Java services come from Maven Central: jars of a few coordinates and everything they need, fetched once into a cache.
//!
//! The cache is the folder `weir` in `$WEIR_CACHE`, else `$XDG_CACHE_HOME`, else `~/.cache`; a finished folder appears by one rename, and a
//! lock file lets test processes that start together fetch it once.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Where fetched files stay between runs.
pub fn cache() -> io::Result<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    if let Some(cache) = set("WEIR_CACHE") {
        return Ok(cache.join("weir"));
    }
    let base = set("XDG_CACHE_HOME").or_else(|| set("HOME").map(|h| h.join(".cache")));
    base.map(|b| b.join("weir")).ok_or_else(|| io::Error::other("set HOME or WEIR_CACHE: jars are kept there"))
}

/// The folder `name` of the cache with the jars of `coordinates` (`group:artifact:version`) and of all they depend on.
/// The first call needs `mvn` and the network and may take a minute. Give every list of coordinates a name of its own.
pub fn jars(coordinates: &[&str], name: &str) -> io::Result<PathBuf> {
    let cache = cache()?;
    let folder = cache.join(name);
    if folder.is_dir() {
        return Ok(folder);
    }
    fs::create_dir_all(&cache)?;
    let lock = File::create(cache.join(format!("{name}.lock")))?;
    lock.lock()?;
    if folder.is_dir() {
        return Ok(folder);
    }
    let work = tempfile::Builder::new().prefix(&format!("{name}.")).tempdir_in(&cache)?;
    fetch(coordinates, work.path())?;
    fs::rename(work.path().join("jars"), &folder)?;
    Ok(folder)
}

/// The `java` to run jars with.
pub fn java() -> io::Result<PathBuf> {
    let home = std::env::var_os("JAVA_HOME").map(|h| PathBuf::from(h).join("bin"));
    program("java", home.as_slice(), "a Java runtime of version 17 or newer (Debian: openjdk-17-jre-headless)")
}

fn fetch(coordinates: &[&str], work: &Path) -> io::Result<()> {
    let mvn = program("mvn", &[], "Apache Maven (Debian: maven)")?;
    fs::write(work.join("pom.xml"), pom(coordinates)?)?;
    let mut command = Command::new(mvn);
    command.args(["-q", "-B", "dependency:copy-dependencies", "-DoutputDirectory=jars", "-DincludeScope=runtime"]);
    let output = command.current_dir(work).stdin(Stdio::null()).output()?;
    if output.status.success() && work.join("jars").is_dir() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stdout);
    let errors = said.lines().filter(|l| l.starts_with("[ERROR]")).take(5).collect::<Vec<_>>().join("\n");
    Err(io::Error::other(format!("mvn could not fetch {}: {errors}", coordinates.join(", "))))
}

fn pom(coordinates: &[&str]) -> io::Result<String> {
    let mut dependencies = String::new();
    for text in coordinates {
        let parts = text.split(':').collect::<Vec<_>>();
        let [group, artifact, version] = parts.as_slice() else {
            return Err(io::Error::other(format!("{text} is not group:artifact:version")));
        };
        dependencies.push_str(&format!(
            "<dependency><groupId>{group}</groupId><artifactId>{artifact}</artifactId><version>{version}</version></dependency>\n"
        ));
    }
    Ok(format!(
        "<project xmlns=\"http://maven.apache.org/POM/4.0.0\"><modelVersion>4.0.0</modelVersion>\
         <groupId>weir</groupId><artifactId>jars</artifactId><version>1</version>\n<dependencies>\n{dependencies}</dependencies></project>\n"
    ))
}

fn program(name: &str, more: &[PathBuf], what: &str) -> io::Result<PathBuf> {
    weir_local::program::find(name, more)
        .ok_or_else(|| io::Error::other(format!("`{name}` was not found in PATH: install {what}")))
}
