//! Builds the standard transforms, makes components of them, and writes the tables that embed them, and the pages of error codes.
//!
//! In a target directory of their own, beside the host's: the two builds would wait for each other's lock otherwise.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a build that cannot go on stops

#[path = "src/author/component.rs"]
mod component;

use std::fmt::Write;
use std::path::{Path, PathBuf};

/// A page for each error code.
const PAGES: &str = "host/docs/errors";

fn main() {
    // asked when it runs: a cached build script may have been compiled in a checkout that has moved since
    let manifest = std::env::var_os("CARGO_MANIFEST_DIR").expect("CARGO_MANIFEST_DIR");
    let root = Path::new(&manifest).join("../..");
    for path in ["transforms", "sdk/rust", "wit", "Cargo.toml", PAGES, "host/cli/src/author/component.rs"] {
        println!("cargo:rerun-if-changed={}", root.join(path).display());
    }
    let out = PathBuf::from(std::env::var("OUT_DIR").expect("OUT_DIR"));
    // …/<target>/<profile>/build/<package>-<hash>/out
    let target = out.ancestors().nth(4).expect("a target directory").join("guests");
    let list = std::fs::read_to_string(root.join("transforms/standard.json")).expect("transforms/standard.json");
    let list: serde_json::Value = serde_json::from_str(&list).expect("JSON");
    let guests = list.as_array().expect("a list");
    let text = |v: &serde_json::Value| v.as_str().expect("a text").to_string();
    let crates: Vec<String> = guests.iter().map(|g| text(&g["crate"])).collect();
    build(&root, &target, &crates);
    let mut table = String::from("pub static STANDARD: &[Standard] = &[\n");
    for (guest, package) in guests.iter().zip(&crates) {
        let name = package.replace('-', "_");
        let core = target.join(component::TARGET).join("guest").join(format!("{name}.wasm"));
        let core = std::fs::read(&core).unwrap_or_else(|e| panic!("{}: {e}", core.display()));
        let component = component::encode(&core).expect("a component");
        let file = out.join(format!("{name}.wasm"));
        std::fs::write(&file, component).expect("written");
        let classes = guest["classes"].as_array().expect("classes").iter().map(|c| {
            let presets = c["presets"].as_object().expect("presets");
            let presets: Vec<(String, String)> = presets.iter().map(|(k, v)| (k.clone(), text(v))).collect();
            (text(&c["name"]), presets)
        });
        let classes: Vec<_> = classes.collect();
        let accepts: Vec<_> = guest["accepts"].as_array().into_iter().flatten().map(text).collect();
        writeln!(
            table,
            "Standard {{ name: {:?}, classes: &{}, accepts: &{:?}, wasm: include_bytes!({:?}) }},",
            text(&guest["weir"]),
            classes_literal(&classes),
            accepts,
            file
        )
        .expect("written");
    }
    table.push_str("];\n");
    std::fs::write(out.join("standard.rs"), table).expect("written");
    std::fs::write(out.join("pages.rs"), pages(&root.join(PAGES))).expect("written");
}

/// The table of the pages, in the order of their codes.
fn pages(folder: &Path) -> String {
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder).expect("pages").map(|f| f.expect("a file").path()).collect();
    files.sort();
    let mut table = String::from("pub static PAGES: &[(&str, &str)] = &[\n");
    for file in files {
        let code = file.file_stem().and_then(|s| s.to_str()).expect("a code");
        let text = std::fs::read_to_string(&file).expect("a page");
        writeln!(table, "({code:?}, {text:?}),").expect("written");
    }
    table + "];\n"
}

fn classes_literal(classes: &[(String, Vec<(String, String)>)]) -> String {
    let one =
        |(name, presets): &(String, Vec<(String, String)>)| format!("({name:?}, &{presets:?} as &[(&str, &str)])");
    format!("[{}]", classes.iter().map(one).collect::<Vec<_>>().join(", "))
}

fn build(root: &Path, target: &Path, crates: &[String]) {
    let mut cargo = component::cargo_build(std::env::var("CARGO").expect("CARGO"));
    cargo.current_dir(root).args(["--quiet", "--profile", "guest", "--target-dir"]).arg(target);
    for name in crates {
        cargo.args(["--package", name]);
    }
    let status = cargo.status().expect("cargo runs");
    assert!(status.success(), "the standard transforms do not build; is the target {} installed?", component::TARGET);
}
