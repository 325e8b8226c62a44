//! Transforms: the standard ones in the binary, the users' own from files. What a configuration may say of one comes from its
//! manifest.

use std::collections::HashMap;
use std::io::Read;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;
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
            None => self.engine.load(uses, &read(uses)?)?,
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
        self.step(&*self.load(t.uses.kind.as_str())?, t)
    }

    /// A step's transform, made of this module.
    pub fn step(&self, module: &Module, t: &Transform) -> Result<Box<dyn weir_api::Transform>, Error> {
        module.transform(&t.name, &step_options(t), limits(&t.limits))
    }

    /// What a file held when it was loaded; None: this is no file.
    pub fn digest_of_file(&self, uses: &str) -> Option<String> {
        let loaded = self.loaded.lock().unwrap_or_else(|e| e.into_inner());
        loaded.get(uses).filter(|_| standard(uses).is_none()).map(|m| m.digest().to_owned())
    }

    /// Compiles what a file holds now.
    pub fn compile(&self, file: &str, bytes: &[u8]) -> Result<Arc<Module>, Error> {
        self.engine.load(file, bytes).map(Arc::new)
    }

    /// Lets go of what the file held before.
    pub fn keep(&self, file: &str, module: Arc<Module>) {
        self.loaded.lock().unwrap_or_else(|e| e.into_inner()).insert(file.to_owned(), module);
    }

    /// Whether a step's options are options of this module. Err: the first that is not, or what the module itself says.
    pub fn fits(&self, module: &Module, t: &Transform) -> Result<(), Error> {
        let (manifest, options) = (module.describe()?, step_options(t));
        let names = || manifest.options.iter().map(|o| o.name.as_str()).collect::<Vec<_>>().join(", ");
        if let Some((name, _)) = options.iter().find(|(name, _)| !manifest.options.iter().any(|o| o.name == *name)) {
            let error = Error::input("config.unknown-key", format!("`{}` has no option `{name}`", module.name()));
            return Err(error.help(format!("its options are: {}", names())));
        }
        let is_set =
            |name: &str| options.iter().any(|(n, v)| n == name && v.as_ref().is_some_and(|v| !v.trim().is_empty()));
        let is_missing = |o: &&weir_wasm::OptionDef| o.required && o.default.is_none() && !is_set(&o.name);
        if let Some(o) = manifest.options.iter().find(is_missing) {
            let error = Error::input("config.missing", format!("`{}` needs the option `{}`", module.name(), o.name));
            return Err(error.help("set it in the pipeline file, and start the pipeline anew"));
        }
        match module.check(&options)?.into_iter().next() {
            Some(problem) => Err(Error::input("transform.option", format!("`{}`: {}", problem.name, problem.message))),
            None => Ok(()),
        }
    }
}

/// Bytes of a module. The largest known, a whole Python, has 40 million; compiling takes many times as much memory.
const MOST_BYTES: u64 = 128 << 20;

/// The bytes of a user's module.
pub fn read(file: &str) -> Result<Vec<u8>, Error> {
    let unreadable = |e: std::io::Error| {
        Error::input("guest.unreadable", format!("`{file}` cannot be read: {e}"))
            .help("a path is looked up from where weir was started; build the transform first")
    };
    let mut bytes = vec![];
    let opened = std::fs::File::open(file).map_err(unreadable)?;
    opened.take(MOST_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > MOST_BYTES {
        let message = format!("`{file}` has more than {} MiB, which no transform needs", MOST_BYTES >> 20);
        return Err(Error::input("guest.format", message).help("is this the right file? strip what is for debuggers"));
    }
    Ok(bytes)
}

fn limits(said: &weir_config::limits::Limits) -> Limits {
    let size = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
    let mut limits = Limits::default();
    if let Some(bytes) = said.memory_bytes {
        limits = limits.memory(size(bytes))
    }
    limits.watermark = said.watermark_bytes.map_or(limits.watermark, size);
    limits.table_elements = said.table_elements.map_or(limits.table_elements, size);
    limits.time_per_batch = said.time_per_batch_us.map_or(limits.time_per_batch, Duration::from_micros);
    limits.lifted = said.lifted_bytes.map_or(limits.lifted, size);
    limits.log_rate = said.log_rate.map_or(limits.log_rate, |n| n.try_into().unwrap_or(u32::MAX));
    limits.log_line = said.log_line_bytes.map_or(limits.log_line, size);
    limits
}

fn step_options(t: &Transform) -> Vec<(String, Option<String>)> {
    let uses = t.uses.kind.as_str();
    options(&t.uses.settings.settings(), standard(uses).map_or(&[][..], |s| s.presets(uses)))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_too_big_is_no_module() {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(MOST_BYTES + 1).unwrap();
        assert_eq!(read(file.path().to_str().unwrap()).unwrap_err().code(), "guest.format");
        assert_eq!(read("no/such/file").unwrap_err().code(), "guest.unreadable");
    }

    /// Two tables of limits: what is said of them, and what is.
    #[test]
    fn limits_are_as_they_are_documented() {
        let default = |key: &str| weir_config::limits::KEYS.key(key).and_then(|k| k.default);
        let size = |key: &str| weir_config::measure::size(default(key).unwrap()).unwrap();
        let said = weir_config::limits::Limits {
            memory_bytes: Some(size("memory")),
            table_elements: Some(size("table-elements")),
            time_per_batch_us: Some(
                weir_config::measure::duration(default("time-per-batch").unwrap()).unwrap().as_micros() as u64,
            ),
            lifted_bytes: Some(size("lifted")),
            log_rate: Some(size("log-rate")),
            log_line_bytes: Some(size("log-line")),
            watermark_bytes: None,
        };
        assert_eq!(limits(&said), Limits::default());
        assert_eq!(default("watermark"), None);
        assert_eq!(size("stack") as usize, weir_wasm::STACK);
        let small = weir_config::limits::Limits { memory_bytes: Some(8 << 20), watermark_bytes: Some(1 << 20), ..said };
        assert_eq!((limits(&small).memory, limits(&small).watermark), (8 << 20, 1 << 20));
    }
}
