//! New code for steps that run: files are looked at by a thread of their own, what changed is compiled, configured and bound there,
//! and the pipelines take it between two windows. A bad file never replaces a good one: what runs goes on, and the refusal is told.

pub mod control;
pub mod verb;
mod watch;

use crate::guests::{Guests, read};
use crate::run::Running;
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};
use tracing::{info, warn};
use watch::Watch;
use weir_api::{Error, Transform};
use weir_config::{Plan, plan};
use weir_model::Fault;
use weir_runtime::{Counters, Swaps};

/// Files are looked at so often. That is a `stat` for each; being told of changes instead (inotify) fails on network file systems and
/// where a folder is exchanged as a whole, as Kubernetes does it with mounted ConfigMaps.
const LOOK: Duration = Duration::from_millis(500);
/// How long a pipeline may take to come to an offer.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a guest may take to be bound to all shapes in use: other files wait meanwhile.
const BINDING: Duration = Duration::from_secs(60);

/// A request to look now, and where the answer goes.
pub type Request = Sender<Vec<Told>>;

/// The steps of one pipeline that run from one file. They are swapped together.
struct Place {
    pipeline: String,
    /// (place in the chain, as it was resolved)
    steps: Vec<(usize, plan::Transform)>,
    swaps: Swaps,
    counters: Arc<Counters>,
    /// of what runs
    digest: String,
    /// of what was refused last: it is not tried again until it is asked for
    refused: Option<String>,
}

/// A file that steps run from.
struct Source {
    file: String,
    watch: Watch,
    places: Vec<Place>,
}

/// What became of one step.
pub struct Told {
    pub pipeline: String,
    pub step: String,
    pub file: String,
    /// digests of what ran, and of what the file holds
    pub from: String,
    pub to: Option<String>,
    pub outcome: Result<Outcome, Error>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    Swapped,
    /// the file holds what runs
    Unchanged,
}

/// All files, and who compiles them.
pub struct Reloads {
    guests: Arc<Guests>,
    sources: Vec<Source>,
}

// === impl Reloads ===

impl Reloads {
    /// `running`: with the plan that each was started from, values in it resolved.
    pub fn new<'a>(guests: Arc<Guests>, running: impl Iterator<Item = (&'a Running, &'a Plan)>) -> Self {
        let mut sources: Vec<Source> = vec![];
        for (pipeline, plan) in running {
            for (at, step) in plan.transforms.iter().enumerate() {
                let file = &step.uses.kind;
                let Some(digest) = guests.digest_of_file(file) else { continue };
                let known = sources.iter().position(|s| s.file == *file).unwrap_or_else(|| {
                    let (file, watch) = (file.clone(), Watch::default());
                    sources.push(Source { file, watch, places: vec![] });
                    sources.len() - 1
                });
                let Some(source) = sources.get_mut(known) else { continue };
                match source.places.iter_mut().find(|p| p.pipeline == pipeline.name) {
                    Some(place) => place.steps.push((at, step.clone())),
                    None => source.places.push(Place {
                        pipeline: pipeline.name.clone(),
                        steps: vec![(at, step.clone())],
                        swaps: pipeline.swaps.clone(),
                        counters: pipeline.counters.clone(),
                        digest,
                        refused: None,
                    }),
                }
            }
        }
        Reloads { guests, sources }
    }

    /// Looks at the files until nobody can ask any more, in a thread of its own.
    pub fn start(mut self, requests: Receiver<Request>) -> Result<(), Error> {
        let run = move || loop {
            match requests.recv_timeout(LOOK) {
                Ok(answer) => {
                    // who asked may have gone away
                    let _ = answer.send(self.now());
                }
                Err(RecvTimeoutError::Timeout) => self.look(),
                Err(RecvTimeoutError::Disconnected) => return,
            }
        };
        let thread = std::thread::Builder::new().name("weir-reload".into()).spawn(run);
        thread.map(|_| ()).map_err(|e| Error::no_thread(&e))
    }

    /// Takes what changed and is whole by the look of it.
    fn look(&mut self) {
        for source in &mut self.sources {
            let file = source.file.clone();
            if let Some(bytes) = source.watch.look(Path::new(&file), || read(&file)) {
                source.take(&self.guests, bytes, false);
            }
        }
    }

    /// Takes what the files hold, whatever is known of them.
    fn now(&mut self) -> Vec<Told> {
        let mut told = vec![];
        for source in &mut self.sources {
            let bytes = read(&source.file);
            told.append(&mut source.take(&self.guests, bytes, true));
        }
        told.sort_by(|a, b| (&a.pipeline, &a.step).cmp(&(&b.pipeline, &b.step)));
        told
    }
}

// === impl Source ===

impl Source {
    /// `insists`: also what runs, or was refused before, is told of.
    fn take(&mut self, guests: &Guests, bytes: Result<Vec<u8>, Error>, insists: bool) -> Vec<Told> {
        let digest = bytes.as_ref().ok().map(|b| weir_wasm::digest(b));
        let is_news = |p: &Place| digest.as_ref().is_none_or(|d| *d != p.digest && Some(d) != p.refused.as_ref());
        let (mut told, wanted) = (vec![], self.places.iter_mut().filter(|p| insists || is_news(p)));
        let mut wanted: Vec<&mut Place> = wanted.collect();
        if wanted.is_empty() {
            return told;
        }
        let module = match bytes {
            Ok(_) if wanted.iter().all(|p| Some(&p.digest) == digest.as_ref()) => None,
            Ok(bytes) => Some(guests.compile(&self.file, &bytes)),
            Err(e) => Some(Err(e)),
        };
        for place in &mut wanted {
            let from = place.digest.clone();
            let outcome = match &module {
                Some(Ok(module)) if module.digest() != from => place.swap(guests, module).map(|_| Outcome::Swapped),
                Some(Err(e)) => Err(again(e)),
                Some(Ok(_)) | None => Ok(Outcome::Unchanged),
            };
            let is_refused = outcome.as_ref().is_err_and(|e| !e.is_retriable());
            place.refused = digest.clone().filter(|_| is_refused);
            for (_, step) in &place.steps {
                let (pipeline, step, file) = (place.pipeline.clone(), step.name.clone(), self.file.clone());
                let outcome = outcome.as_ref().map(|o| *o).map_err(again);
                let one = Told { pipeline, step, file, from: from.clone(), to: digest.clone(), outcome };
                // a pipeline that is busy is offered it again, and nobody need hear of that
                if insists || !one.is_busy() {
                    one.tell(&place.counters)
                }
                told.push(one)
            }
        }
        if let (Some(Ok(module)), true) = (module, told.iter().any(|t| t.outcome.is_ok())) {
            guests.keep(&self.file, module)
        }
        if told.iter().any(Told::is_busy) {
            self.watch.forget()
        }
        told
    }
}

/// Errors are told in several places, and cannot be copied.
fn again(e: &Error) -> Error {
    let again = Error::new(e.code(), e.cure(), e.message());
    match e.hint() {
        Some(help) => again.help(help),
        None => again,
    }
}

// === impl Place ===

impl Place {
    /// Offers a module to the pipeline, ready to run: all that the guest itself may do wrong is found here, and not in the
    /// pipeline's own thread.
    fn swap(&mut self, guests: &Guests, module: &Arc<weir_wasm::Module>) -> Result<(), Error> {
        let (mut offered, began): (Vec<(usize, Box<dyn Transform>)>, _) = (vec![], Instant::now());
        for (at, step) in &self.steps {
            guests.fits(module, step)?;
            let mut transform = guests.step(module, step)?;
            for in_use in self.swaps.shapes(*at, PATIENCE)? {
                if began.elapsed() > BINDING {
                    let text = format!("`{}` took more than {BINDING:?} to be bound to what is in use", step.name);
                    return Err(Error::new("guest.timeout", weir_api::Cure::None, text));
                }
                match transform.bind(&in_use.shape) {
                    Ok(_) => {}
                    Err(Fault::Rows(_)) if in_use.is_refused => {}
                    Err(Fault::Rows(failure)) => {
                        let (name, topic) = (&step.name, &in_use.shape.topic);
                        let (code, message) = (&failure.code, &failure.message);
                        let text = format!("`{name}` would refuse every row of `{topic}`: {code}: {message}");
                        return Err(
                            Error::input("reload.shape", text).help("rows of this topic go through what runs now")
                        );
                    }
                    Err(Fault::Broken(e)) => return Err(Error::new("guest.bind", weir_api::Cure::None, e.0)),
                }
            }
            offered.push((*at, transform))
        }
        self.swaps.offer(offered, PATIENCE)?;
        self.digest = module.digest().into();
        Ok(())
    }
}

// === impl Told ===

impl Told {
    /// The pipeline did not come to it.
    fn is_busy(&self) -> bool {
        matches!(&self.outcome, Err(e) if e.is_retriable())
    }

    /// In the log and the metrics.
    fn tell(&self, counters: &Counters) {
        let Told { pipeline, step, file, from, to, outcome } = self;
        let to = to.as_deref().unwrap_or("?");
        match outcome {
            Ok(Outcome::Unchanged) => {}
            Ok(Outcome::Swapped) => {
                counters.reload(step, true);
                info!(%pipeline, %step, %file, from = %from, to = %to, "new code runs")
            }
            Err(e) => {
                counters.reload(step, false);
                let code = e.code();
                warn!(%pipeline, %step, %file, digest = %to, code, "new code is refused, and what ran goes on: {e}")
            }
        }
    }

    pub fn to_json(&self) -> Value {
        let Told { pipeline, step, file, from, to, outcome } = self;
        let sha = |d: &str| format!("sha256:{d}");
        let (result, error) = match outcome {
            Ok(Outcome::Swapped) => ("swapped", None),
            Ok(Outcome::Unchanged) => ("unchanged", None),
            Err(e) => ("refused", Some(json!({"code": e.code(), "message": e.message(), "help": e.hint()}))),
        };
        json!({
            "pipeline": pipeline, "step": step, "file": file, "result": result,
            "from": sha(from), "to": to.as_deref().map(sha), "error": error,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(digest: &str) -> Source {
        let (swaps, counters) = (Swaps::default(), Arc::new(Counters::default()));
        let uses = plan::Chosen { kind: "a.wasm".into(), settings: Default::default() };
        let (name, on_error) = ("a".into(), weir_config::errors::OnError::Fail);
        let step = plan::Transform { name, uses, when: None, negate: false, limits: Default::default(), on_error };
        let (steps, refused) = (vec![(0, step)], None);
        let place = Place { pipeline: "p".into(), steps, swaps, counters, digest: digest.into(), refused };
        Source { file: "a.wasm".into(), watch: Watch::default(), places: vec![place] }
    }

    #[test]
    fn what_was_refused_is_not_tried_again_until_it_is_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let guests = Guests::new(folder.path().join("guests")).unwrap();
        let runs = b"what runs".to_vec();
        let mut source = source(&weir_wasm::digest(&runs));
        let mut take = |bytes: &[u8], insists| {
            let told = source.take(&guests, Ok(bytes.to_vec()), insists);
            told.into_iter().map(|t| t.outcome.map_err(|e| e.code())).collect::<Vec<_>>()
        };
        assert_eq!(take(&runs, false), []);
        assert_eq!(take(&runs, true), [Ok(Outcome::Unchanged)]);
        assert_eq!(take(b"bad", false), [Err("guest.format")]);
        assert_eq!(take(b"bad", false), [], "touched, and the same");
        assert_eq!(take(b"worse", false), [Err("guest.format")]);
        assert_eq!(take(b"worse", true), [Err("guest.format")]);
        let reloads = source.places[0].counters.totals().reloads;
        assert_eq!(reloads, [(("a".into(), false), 3)]);
        let gone = source.take(&guests, read("no/such/file"), false);
        assert!(gone[0].to.is_none() && gone[0].outcome.as_ref().is_err_and(|e| e.code() == "guest.unreadable"));
    }
}
