//! A guest's code, compiled and linked: what instances are made of.

use crate::instance::{Host, Instance, Step, Stop};
use crate::manifest::{Manifest, Problem, manifest};
use crate::{Engine, Limits, guest::Guest, wit};
use std::fmt::Display;
use std::sync::Arc;
use wasmparser::{Parser, Payload};
use wasmtime::component::{Component, HasSelf, Linker, types::ComponentItem};
use weir_api::Error;

/// A transform that can be asked what it is, and be put into a chain any number of times. Cheap to clone.
#[derive(Clone)]
pub struct Module(Arc<Code>);

struct Code {
    engine: Engine,
    name: String,
    digest: String,
    linked: wit::TransformerPre<Host>,
}

/// The package whose interfaces a guest may import.
const PACKAGE: &str = "weir:transform/";

// === impl Module ===

impl Module {
    pub(crate) fn new(engine: &Engine, name: &str, component: Component, digest: &str) -> Result<Self, Error> {
        for (import, item) in component.component_type().imports(&engine.wasm) {
            let is_ours = matches!(item.ty, ComponentItem::ComponentInstance(_)) && is_ours(import);
            if !is_ours {
                return Err(foreign(name, import));
            }
        }
        let mut linker: Linker<Host> = Linker::new(&engine.wasm);
        wit::Transformer::add_to_linker::<_, HasSelf<Host>>(&mut linker, |h| h).map_err(|e| malformed(name, &e))?;
        let linked = linker.instantiate_pre(&component).map_err(|e| not_of_the_world(name, &e))?;
        let linked = wit::TransformerPre::new(linked).map_err(|e| not_of_the_world(name, &e))?;
        Ok(Module(Arc::new(Code { engine: engine.clone(), name: name.into(), digest: digest.into(), linked })))
    }

    /// What it was loaded as.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Sha-256 of the bytes that it was loaded from, in hexadecimal digits.
    pub fn digest(&self) -> &str {
        &self.0.digest
    }

    /// What the transform says of itself and its options.
    pub fn describe(&self) -> Result<Manifest, Error> {
        let mut instance = self.alone()?;
        let said = instance.describe().map_err(|s| self.stopped(s, self.name(), "describe"))?;
        Ok(manifest(said))
    }

    /// What is wrong with options, beyond what the manifest tells, all at once.
    pub fn check(&self, options: &[(String, Option<String>)]) -> Result<Vec<Problem>, Error> {
        let mut instance = self.alone()?;
        let said = instance.check(options).map_err(|s| self.stopped(s, self.name(), "check"))?;
        Ok(said.into_iter().map(|p| Problem { name: p.name, message: p.message }).collect())
    }

    /// A step of a chain. `name` is the step's, for messages and logs; `options` as the user wrote them.
    ///
    /// Err: `guest.configure` (it refuses the options: its own code and text), or it cannot be started at all
    /// (`guest.trap`, `guest.timeout`, `guest.memory`, `guest.output`).
    pub fn transform(
        &self,
        name: &str,
        options: &[(String, Option<String>)],
        limits: Limits,
    ) -> Result<Box<dyn weir_api::Transform>, Error> {
        Ok(Box::new(Guest::new(self.clone(), name, options.to_vec(), limits)?))
    }

    /// An instance for a question or two.
    fn alone(&self) -> Result<Instance, Error> {
        let limits = Limits::default();
        self.instance(&Step::new(self.name(), &limits), &limits)
    }

    fn instance(&self, step: &Step, limits: &Limits) -> Result<Instance, Error> {
        let made = Instance::new(&self.0.engine, &self.0.linked, step, limits);
        made.map_err(|s| self.stopped(s, &step.name, "start"))
    }

    /// A fresh instance, configured.
    pub(crate) fn configured(
        &self,
        step: &Step,
        options: &[(String, Option<String>)],
        limits: &Limits,
    ) -> Result<Instance, Error> {
        let mut instance = self.instance(step, limits)?;
        match instance.configure(options) {
            Ok(Ok(())) => Ok(instance),
            Ok(Err(refusal)) => {
                let text = format!("`{}` refuses its options: {}: {}", step.name, refusal.code, refusal.message);
                Err(Error::input("guest.configure", text))
            }
            Err(stop) => Err(self.stopped(stop, &step.name, "configure")),
        }
    }

    fn stopped(&self, stop: Stop, step: &str, function: &str) -> Error {
        Error::new(stop.code(), weir_api::Cure::None, stop.message(step, function))
            .help("this is a fault of the transform, or its limits are too low")
    }
}

impl std::fmt::Debug for Module {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Module").field("name", &self.0.name).field("digest", &self.0.digest).finish()
    }
}

/// A component as it is; of a core module with the world's types in a section, the component.
pub(crate) fn encode(name: &str, bytes: &[u8]) -> Result<Vec<u8>, Error> {
    if Parser::is_component(bytes) {
        return Ok(bytes.to_vec());
    }
    if !Parser::is_core_wasm(bytes) {
        let message = format!("`{name}` is neither a component nor a core module of WebAssembly");
        return Err(Error::input("guest.format", message).help("expected the bytes of a .wasm file"));
    }
    if !survey(name, bytes)? {
        return Err(no_types(name));
    }
    let encoder = wit_component::ComponentEncoder::default().validate(true).module(bytes);
    let encoded = encoder.and_then(|mut e| e.encode());
    encoded.map_err(|e| not_of_the_world(name, &format!("{e:#}")))
}

/// Looks through a core module's imports; true if it brings the types of its world along.
fn survey(name: &str, bytes: &[u8]) -> Result<bool, Error> {
    let mut has_types = false;
    for payload in Parser::new(0).parse_all(bytes) {
        match payload.map_err(|e| malformed(name, &e))? {
            Payload::ImportSection(imports) => {
                for import in imports.into_imports() {
                    let import = import.map_err(|e| malformed(name, &e))?;
                    if !is_ours(import.module) {
                        return Err(foreign(name, &format!("{}::{}", import.module, import.name)));
                    }
                }
            }
            Payload::CustomSection(section) => has_types |= section.name().starts_with("component-type"),
            _ => {}
        }
    }
    Ok(has_types)
}

fn is_ours(interface: &str) -> bool {
    interface.starts_with(PACKAGE)
}

pub(crate) fn malformed(name: &str, e: &dyn Display) -> Error {
    Error::input("guest.format", format!("`{name}` is no WebAssembly that can be compiled: {e:#}"))
}

fn foreign(name: &str, import: &str) -> Error {
    let error = Error::input("guest.imports", format!("`{name}` imports `{import}`, which transforms do not get"));
    if import.starts_with("wasi") {
        return error
            .help("a transform has no files, clock or randomness; build it for wasm32-unknown-unknown, without WASI");
    }
    error.help("the only interface a transform may import is `weir:transform/host`")
}

fn no_types(name: &str) -> Error {
    let message = format!("`{name}` is a core module without the types of a world");
    Error::input("guest.world", message)
        .help("build it with a Weir SDK, or make it a component of `weir:transform/transformer`")
}

fn not_of_the_world(name: &str, e: &dyn Display) -> Error {
    Error::input("guest.world", format!("`{name}` is no transform: {e:#}"))
        .help("it must be built for the world `weir:transform/transformer@1.0.0`")
}
