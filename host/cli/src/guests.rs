//! Transforms: the standard ones in the binary, the users' own from files. What a configuration may say of one comes from its
//! manifest.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use weir_api::{ConfigDef, Error, Finding, Key, KeyType, Settings};
use weir_config::Component;
use weir_config::plan::Transform;
use weir_wasm::{Engine, EngineOptions, Limits, Manifest, Module, OptionType};

/// A transform in the binary.
pub struct Standard {
    /// "weir:filter"
    pub name: &'static str,
    /// the Java classes that it stands for, and what each of them sets
    pub classes: &'static [(&'static str, &'static [(&'static str, &'static str)])],
    /// older names of options that it understands and does not list
    pub accepts: &'static [&'static str],
    pub wasm: &'static [u8],
}

include!(concat!(env!("OUT_DIR"), "/standard.rs"));

/// Guests that have been loaded, by what they were used as.
pub struct Guests {
    engine: Engine,
    loaded: Mutex<HashMap<String, Arc<Module>>>,
}

// === impl Standard ===

impl Standard {
    fn answers_to(&self, name: &str) -> bool {
        self.name == name || self.classes.iter().any(|(class, _)| *class == name)
    }
    fn presets(&self, name: &str) -> &'static [(&'static str, &'static str)] {
        self.classes.iter().find(|(class, _)| *class == name).map_or(&[], |(_, presets)| presets)
    }
}

fn standard(name: &str) -> Option<&'static Standard> {
    STANDARD.iter().find(|s| s.answers_to(name))
}

/// Every name that a step may use without a file.
pub fn names() -> impl Iterator<Item = &'static str> {
    STANDARD.iter().flat_map(|s| std::iter::once(s.name).chain(s.classes.iter().map(|c| c.0)))
}

// === impl Guests ===

impl Guests {
    /// `cache`: where compiled code is kept; a directory that cannot be used is done without.
    pub fn new(cache: PathBuf) -> Result<Guests, Error> {
        let engine = Engine::new(EngineOptions { cache_dir: Some(cache) });
        let engine = match engine {
            Err(e) if e.code() == "guest.cache" => Engine::new(EngineOptions { cache_dir: None })?,
            other => other?,
        };
        Ok(Guests { engine, loaded: Mutex::default() })
    }

    /// `uses`: a standard name, or a path that ends in ".wasm".
    pub(crate) fn load(&self, uses: &str) -> Result<Arc<Module>, Error> {
        let mut loaded = self.loaded.lock().unwrap_or_else(|e| e.into_inner());
        if let Some(module) = loaded.get(uses) {
            return Ok(module.clone());
        }
        let module = match standard(uses) {
            Some(s) => self.engine.load(s.name, s.wasm)?,
            None => {
                let bytes = std::fs::read(uses).map_err(|e| {
                    Error::input("guest.unreadable", format!("`{uses}` cannot be read: {e}"))
                        .help("a path is looked up from where weir was started; build the transform first")
                })?;
                self.engine.load(uses, &bytes)?
            }
        };
        let module = Arc::new(module);
        loaded.insert(uses.to_string(), module.clone());
        Ok(module)
    }

    /// What lint needs to know of a transform that is used. A guest that cannot be loaded is a finding of its own.
    pub fn component(self: &Arc<Self>, uses: &str) -> Result<Component, Error> {
        let module = self.load(uses)?;
        let mut manifest = module.describe()?;
        let presets = standard(uses).map_or(&[][..], |s| s.presets(uses));
        manifest.options.retain(|o| !presets.iter().any(|(k, _)| *k == o.name));
        let accepts = standard(uses).map_or(&[][..], |s| s.accepts);
        let def = definition(&manifest, accepts);
        let presets: Vec<_> = presets.to_vec();
        let check = move |settings: &Settings| problems(&module, &options(settings, &presets));
        Ok(Component::new(&[uses], def).with_check(check))
    }

    /// What a transform says it does, and the options that it takes.
    pub fn described(&self, uses: &str) -> Result<(String, ConfigDef), Error> {
        let manifest = self.load(uses)?.describe()?;
        let def = definition(&manifest, &[]);
        Ok((manifest.summary, def))
    }

    /// The transform of a step.
    pub fn transform(&self, t: &Transform) -> Result<Box<dyn weir_api::Transform>, Error> {
        let uses = t.uses.kind.as_str();
        let module = self.load(uses)?;
        let mut limits = Limits::default();
        if let Some(bytes) = t.limits.memory_bytes {
            limits = limits.memory(usize::try_from(bytes).unwrap_or(usize::MAX))
        }
        if let Some(us) = t.limits.time_per_batch_us {
            limits.time_per_batch = std::time::Duration::from_micros(us)
        }
        let presets = standard(uses).map_or(&[][..], |s| s.presets(uses));
        module.transform(&t.name, &options(&t.uses.settings.settings(), presets), limits)
    }
}

/// As written, and what the class name sets.
fn options(settings: &Settings, presets: &[(&str, &str)]) -> Vec<(String, Option<String>)> {
    let written = settings.values.iter().map(|(k, v)| (k.clone(), Some(v.clone())));
    written.chain(presets.iter().map(|(k, v)| (k.to_string(), Some(v.to_string())))).collect()
}

fn problems(module: &Module, options: &[(String, Option<String>)]) -> Vec<Finding> {
    match module.check(options) {
        Ok(problems) => {
            problems.into_iter().map(|p| Finding::error("transform.option", p.message).key(p.name)).collect()
        }
        Err(e) => vec![Finding::error(e.code(), e.message())],
    }
}

/// The manifest as keys. It lives as long as the process, which reads a manifest once for each guest it uses.
fn definition(manifest: &Manifest, accepts: &'static [&'static str]) -> ConfigDef {
    let text = |s: &str| -> &'static str { Box::leak(s.to_string().into_boxed_str()) };
    let key = |o: &weir_wasm::OptionDef| Key {
        default: o.default.as_deref().map(text),
        required: o.required,
        one_of: Box::leak(o.one_of.iter().map(|v| text(v)).collect::<Vec<_>>().into_boxed_slice()),
        ..Key::new(text(&o.name), kind(o.ty), text(&o.doc))
    };
    let older = accepts.iter().map(|name| Key::new(name, KeyType::String, "an older name").unlisted());
    let keys: Vec<Key> = manifest.options.iter().map(key).chain(older).collect();
    ConfigDef { keys: Box::leak(keys.into_boxed_slice()), prefixes: &[] }
}

fn kind(ty: OptionType) -> KeyType {
    match ty {
        OptionType::Text => KeyType::String,
        OptionType::Boolean => KeyType::Boolean,
        OptionType::Short => KeyType::Short,
        OptionType::Int => KeyType::Int,
        OptionType::Long => KeyType::Long,
        OptionType::Double => KeyType::Double,
        OptionType::List => KeyType::List,
        OptionType::Class => KeyType::Class,
        OptionType::Password => KeyType::Password,
    }
}
