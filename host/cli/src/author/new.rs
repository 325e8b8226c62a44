//! `weir new`: a transform's crate that builds and has a case, or a pipeline's file.

use crate::args::{Language, New, NewVerb};
use crate::failure::Failure;
use crate::output::Done;
use serde_json::json;
use std::path::{Path, PathBuf};
use weir_api::Error;

/// A crate's files: where they go, and what is in them.
const RUST: &[(&str, &str)] = &[
    ("Cargo.toml", include_str!("../../../../sdk/rust/template/Cargo.toml")),
    ("src/lib.rs", include_str!("../../../../sdk/rust/template/src/lib.rs")),
    ("cases/tax.json", include_str!("../../../../sdk/rust/template/cases/tax.json")),
    ("README.md", include_str!("../../../../sdk/rust/template/README.md")),
    // under its own name it would hold back the template's files too
    (".gitignore", include_str!("../../../../sdk/rust/template/gitignore")),
];
const PIPELINE: &str = include_str!("pipeline.toml");
/// The library of this version, where no folder of it is named.
const SDK: &str = env!("CARGO_PKG_VERSION");

pub fn run(args: &New) -> Result<Done, Failure> {
    match &args.verb {
        NewVerb::Transform { path, lang: Language::Rust, sdk } => transform(path, sdk.as_deref()),
        NewVerb::Pipeline { path } => pipeline(path),
    }
}

fn transform(folder: &Path, sdk: Option<&Path>) -> Result<Done, Failure> {
    let name = name_of(folder)?;
    if !is_crate_name(&name) {
        let message = format!("`{name}` cannot be a crate's name");
        let help =
            "letters, digits, `-` and `_`, a letter first, as mask-email; `test`, `core`, `std` and the like are taken";
        return Err(Error::input("new.name", message).help(help).into());
    }
    if std::fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(exists(folder).into());
    }
    let sdk = sdk.map(library).transpose()?;
    let dependency = match &sdk {
        // a TOML text: what Rust escapes, TOML does too
        Some(path) => format!("{{ path = {:?} }}", path.display().to_string()),
        None => format!("{SDK:?}"),
    };
    let mut files = vec![];
    for (file, text) in RUST {
        let text = text.replace("{{name}}", &name).replace("{{module}}", &name.replace('-', "_"));
        write(&folder.join(file), &text.replace("{{sdk}}", &dependency))?;
        files.push(*file);
    }
    let shown = folder.display();
    let mut text = format!("made {shown}: {}\n", files.join(", "));
    if sdk.is_none() {
        text.push_str(&format!(
            "it depends on weir-sdk {SDK} of crates.io; where that is not to be had, say --sdk with the folder sdk/rust of a checkout\n"
        ));
    }
    text.push_str(&format!("next: weir test {shown}\n"));
    let result = json!({"name": name, "path": folder, "files": files, "sdk": sdk});
    Ok(Done { summary: format!("made {shown}"), text, result })
}

fn pipeline(path: &Path) -> Result<Done, Failure> {
    let name = name_of(&path.with_extension(""))?;
    let path = path.with_extension("toml");
    if path.exists() {
        return Err(exists(&path).into());
    }
    write(&path, &PIPELINE.replace("{{name}}", &name))?;
    let shown = path.display();
    let text = format!("made {shown}\nnext: weir validate {shown}\n");
    Ok(Done { summary: format!("made {shown}"), text, result: json!({"name": name, "path": path}) })
}

fn name_of(path: &Path) -> Result<String, Error> {
    let name = path.file_name().and_then(|n| n.to_str()).map(str::to_owned);
    name.ok_or_else(|| Error::input("new.name", format!("`{}` ends in no name", path.display())).help("as mask-email"))
}

/// What cargo takes, without what it warns of.
fn is_crate_name(name: &str) -> bool {
    const TAKEN: [&str; 8] = ["test", "core", "std", "alloc", "proc-macro", "weir", "weir-sdk", "build"];
    name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
        && name.len() <= 64
        && !TAKEN.contains(&name.replace('_', "-").as_str())
}

/// The folder of the library, as the new crate can name it from anywhere.
fn library(folder: &Path) -> Result<PathBuf, Error> {
    let whole = folder.canonicalize().ok().filter(|f| f.join("Cargo.toml").is_file());
    whole.ok_or_else(|| {
        Error::input("new.sdk", format!("`{}` is no folder of a crate", folder.display()))
            .help("give the folder sdk/rust of a checkout of weir")
    })
}

fn exists(path: &Path) -> Error {
    Error::input("new.exists", format!("`{}` is there already", path.display()))
        .help("give another name, or remove it: nothing is written over")
}

fn write(path: &Path, text: &str) -> Result<(), Error> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).map_or(Ok(()), std::fs::create_dir_all);
    folder.and_then(|()| std::fs::write(path, text)).map_err(|e| {
        Error::environment("new.unwritable", format!("`{}` cannot be written: {e}", path.display()))
            .help("give a folder that this user may write to")
    })
}
