//! `weir build`: a crate becomes a component that a pipeline can use.

use super::component::{self, TARGET};
use crate::args::{Build, Common};
use crate::failure::Failure;
use crate::output::Done;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, ErrorKind};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use weir_api::{ConfigDef, Error};

pub fn run(args: &Build, common: &Common) -> Result<Done, Failure> {
    let file = component(&args.folder)?;
    let guests = common.guests()?;
    let uses = file.display().to_string();
    let ((summary, def), module) = (guests.described(&uses)?, guests.load(&uses)?);
    let digest = module.digest();
    let bytes = std::fs::metadata(&file).map_or(0, |m| m.len());
    let (summary, options) = (summary.trim().to_string(), options(&def));
    let mut text = format!("{}\n  {} KiB, sha256:{digest}\n  {summary}\n", file.display(), bytes.div_ceil(1024));
    for option in def.keys {
        let must = match option.default {
            Some(default) => format!(" [default: {default}]"),
            None if option.required => " [must be set]".into(),
            None => String::new(),
        };
        text.push_str(&format!("  with.{}: {}{must}\n", option.name, option.doc))
    }
    let result = json!({"path": file, "bytes": bytes, "digest": digest, "summary": summary, "options": options});
    Ok(Done { summary: format!("built {}", file.display()), text, result })
}

fn options(def: &ConfigDef) -> Vec<Value> {
    let one = |o: &weir_api::Key| json!({"name": o.name, "doc": o.doc, "default": o.default, "required": o.required, "values": o.one_of});
    def.keys.iter().map(one).collect()
}

/// Builds the crate in a folder; the component stands in its target folder.
pub fn component(folder: &Path) -> Result<PathBuf, Error> {
    let manifest = folder.join("Cargo.toml");
    if !manifest.is_file() {
        let message = format!("`{}` has no Cargo.toml", folder.display());
        return Err(Error::input("build.no-crate", message)
            .help("give a transform's folder; `weir new transform NAME` makes one"));
    }
    has_target(folder)?;
    let core = core(folder)?;
    let bytes = std::fs::read(&core).map_err(|e| unwritable(&core, &e))?;
    let component = component::encode(&bytes).map_err(|why| {
        Error::input("build.no-transform", format!("`{}` is no transform: {why}", core.display()))
            .help("it needs a function with #[weir::transform], or weir::export!(…), of the SDK")
    })?;
    // <target>/wasm32-unknown-unknown/release/<name>.wasm
    let target = core.ancestors().nth(3).unwrap_or(folder);
    let file = target.join(core.file_name().unwrap_or_default());
    std::fs::write(&file, component).map_err(|e| unwritable(&file, &e))?;
    // as the user would write it, where that can be said
    let here = std::env::current_dir().ok();
    let short = here.and_then(|h| file.strip_prefix(h).map(Path::to_path_buf).ok());
    Ok(short.unwrap_or(file))
}

/// The core module that cargo makes. What it says of the code goes to standard error as it is.
fn core(folder: &Path) -> Result<PathBuf, Error> {
    let mut cargo = component::cargo_build(program("CARGO", "cargo"));
    cargo.current_dir(folder).args(["--release", "--message-format=json-render-diagnostics"]);
    let mut running = cargo.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().map_err(|e| no_cargo(&e))?;
    let said = running.stdout.take().map(BufReader::new);
    let manifest = folder.join("Cargo.toml").canonicalize().unwrap_or_default();
    let messages = said.into_iter().flat_map(|out| out.lines().map_while(Result::ok));
    let modules: Vec<PathBuf> = messages.filter_map(|line| module(&line, &manifest)).collect();
    let ended = running.wait().map_err(|e| no_cargo(&e))?;
    if !ended.success() {
        return Err(Error::input("build.failed", format!("`{}` does not build", folder.display()))
            .help("cargo says why, above"));
    }
    modules.into_iter().next_back().ok_or_else(|| {
        Error::input("build.no-cdylib", format!("`{}` makes no module of WebAssembly", folder.display()))
            .help("Cargo.toml needs:\n    [lib]\n    crate-type = [\"cdylib\"]")
    })
}

/// The module that a message of cargo's names, when it is this crate's.
fn module(line: &str, manifest: &Path) -> Option<PathBuf> {
    let message: Value = serde_json::from_str(line).ok()?;
    let is_ours = message.get("manifest_path")?.as_str().is_some_and(|p| Path::new(p) == manifest);
    let files = message.get("filenames").filter(|_| is_ours)?.as_array()?;
    let mut files = files.iter().filter_map(Value::as_str).map(PathBuf::from);
    files.find(|f| f.extension().is_some_and(|e| e == "wasm"))
}

/// That the compiler can build for guests at all: its own words for it are not easily understood.
fn has_target(folder: &Path) -> Result<(), Error> {
    let mut rustc = Command::new(program("RUSTC", "rustc"));
    rustc.current_dir(folder).args(["--print", "target-libdir", "--target", TARGET]);
    let said = rustc.stderr(Stdio::null()).output().map_err(|e| no_cargo(&e))?;
    let libraries = PathBuf::from(String::from_utf8_lossy(&said.stdout).trim());
    match said.status.success() && !libraries.is_dir() {
        true => Err(Error::environment("build.no-target", format!("the target {TARGET} is not installed"))
            .help(format!("rustup target add {TARGET}"))),
        // what else is wrong, cargo says better
        false => Ok(()),
    }
}

fn program(variable: &str, name: &str) -> std::ffi::OsString {
    std::env::var_os(variable).filter(|v| !v.is_empty()).unwrap_or_else(|| name.into())
}

fn no_cargo(e: &std::io::Error) -> Error {
    let message = match e.kind() {
        ErrorKind::NotFound => "cargo is not installed, or not in PATH".to_string(),
        _ => format!("cargo cannot be run: {e}"),
    };
    Error::environment("build.no-cargo", message)
        .help("curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh; or see https://rustup.rs")
}

fn unwritable(path: &Path, e: &std::io::Error) -> Error {
    Error::environment("build.unwritable", format!("`{}` cannot be read or written: {e}", path.display()))
        .help("give this user the right to write into the target folder")
}
