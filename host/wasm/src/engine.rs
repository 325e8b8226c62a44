//! The compiler and the clock that all guests of a process share.

use crate::courtesy;
use crate::limits::{STACK, TICK};
use crate::module::Module;
use crate::store::Store;
use std::path::PathBuf;
use std::sync::OnceLock;
use wasmtime::component::Component;
use wasmtime::{Config, EngineWeak, OptLevel};
use weir_api::Error;

/// How an [`Engine`] is made.
#[derive(Clone, Debug, Default)]
pub struct EngineOptions {
    /// Compiled code is kept here; a folder of our own, made with permissions 0700. None: compiled anew in each process.
    pub cache_dir: Option<PathBuf>,
}

/// Compiles guests and interrupts them. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    pub(crate) wasm: wasmtime::Engine,
    store: Option<Store>,
}

// === impl Engine ===

impl Engine {
    /// Err: the cache folder cannot be used (`guest.cache`), or no thread can be started (`guest.engine`).
    pub fn new(options: EngineOptions) -> Result<Self, Error> {
        let broken = |e: String| failed(format!("the Wasm engine cannot be started: {e}"));
        let wasm = wasmtime::Engine::new(&config()).map_err(|e| broken(e.to_string()))?;
        let store = options.cache_dir.map(|dir| Store::open(dir, &wasm)).transpose()?;
        let weak = wasm.weak();
        let ticker = std::thread::Builder::new().name("wasm-clock".into()).stack_size(64 << 10);
        ticker.spawn(move || tick(weak)).map_err(|e| broken(e.to_string()))?;
        Ok(Engine { wasm, store })
    }

    /// Compiles a component, or a core module that was built for the world (`cargo build --target wasm32-unknown-unknown` of a
    /// crate that uses the SDK makes one). `name` is for people.
    ///
    /// Err: `guest.format` (no Wasm, or malformed), `guest.imports` (it wants more of the host than the world has),
    /// `guest.world` (it does not export a transform).
    pub fn load(&self, name: &str, bytes: &[u8]) -> Result<Module, Error> {
        let digest = crate::store::digest(bytes);
        let known = self.store.as_ref().and_then(|s| s.get(&self.wasm, &digest));
        let component = match known {
            Some(component) => component,
            None => self.compile(name, bytes, &digest)?,
        };
        Module::new(self, name, component, &digest)
    }

    fn compile(&self, name: &str, bytes: &[u8], digest: &str) -> Result<Component, Error> {
        compilers()?;
        let encoded = crate::module::encode(name, bytes)?;
        let component = Component::from_binary(&self.wasm, &encoded).map_err(|e| crate::module::malformed(name, &e))?;
        if let Some(store) = &self.store {
            store.put(digest, &component);
        }
        Ok(component)
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").finish_non_exhaustive()
    }
}

fn config() -> Config {
    let mut config = Config::new();
    config.wasm_component_model(true);
    // what the world does not use costs 240 ns a call
    config.concurrency_support(false);
    config.epoch_interruption(true);
    config.max_wasm_stack(STACK);
    config.cranelift_opt_level(OptLevel::Speed);
    // no pooling: an instance lives as long as its step, and a fresh one costs 13 µs against 9
    config
}

/// The threads that compile. The compiler would panic where it cannot start them.
fn compilers() -> Result<(), Error> {
    static STARTED: OnceLock<Result<(), String>> = OnceLock::new();
    let start = || rayon::ThreadPoolBuilder::new().build_global().map_err(|e| e.to_string());
    let started = STARTED.get_or_init(start).as_ref();
    started.copied().map_err(|e| failed(format!("guests cannot be compiled: {e}")))
}

fn failed(message: String) -> Error {
    Error::environment("guest.engine", message).help("raise `ulimit -u` and `ulimit -v`, or the container's limits")
}

/// Moves the epoch on until the engine is gone.
fn tick(engine: EngineWeak) {
    courtesy::wait_for_a_turn();
    loop {
        std::thread::sleep(TICK);
        match engine.upgrade() {
            Some(engine) => engine.increment_epoch(),
            None => return,
        }
    }
}
