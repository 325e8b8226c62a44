//! What a user builds becomes a component: the example as a crate of its own, for wasm32.

use std::{fs, path::Path, process::Command};

#[test]
fn the_interface_is_the_one_of_the_host() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |path: &str| fs::read_to_string(folder.join(path)).unwrap();
    assert_eq!(read("wit/transform.wit"), read("../../wit/transform.wit"), "copy wit/transform.wit to sdk/rust/wit");
}

#[test]
fn the_example_builds_and_is_a_component() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("example");
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("example");
    let status = Command::new(env!("CARGO"))
        .args(["build", "--release", "--target", "wasm32-unknown-unknown"])
        .current_dir(&folder)
        .env("CARGO_TARGET_DIR", &target)
        .status()
        .unwrap();
    assert!(status.success());
    let module = fs::read(target.join("wasm32-unknown-unknown/release/tax.wasm")).unwrap();
    let component =
        wit_component::ComponentEncoder::default().validate(true).module(&module).unwrap().encode().unwrap();
    let decoded = wit_component::decode(&component).unwrap();
    let (resolve, world) = match decoded {
        wit_component::DecodedWasm::Component(resolve, world) => (resolve, world),
        _ => panic!("no component"),
    };
    let exports: Vec<String> = resolve.worlds[world].exports.keys().map(|key| resolve.name_world_key(key)).collect();
    assert_eq!(exports, ["weir:transform/transform@1.0.0"]);
}
