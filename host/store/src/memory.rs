//! A store that forgets when the process ends: for tests and for dry runs.

use crate::{Change, Json, Offset, Store, Stored, spelling};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use weir_api::Error;

/// Clones share what is stored.
#[derive(Clone, Default, Debug)]
pub struct Memory(Arc<Mutex<BTreeMap<String, Pipeline>>>);

#[derive(Default, Debug)]
struct Pipeline {
    offsets: BTreeMap<String, (Json, Json)>,
    values: BTreeMap<String, Vec<u8>>,
}

// === impl Memory ===

impl Memory {
    fn pipelines(&self) -> MutexGuard<'_, BTreeMap<String, Pipeline>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store for Memory {
    fn load(&self, pipeline: &str) -> Result<Option<Stored>, Error> {
        Ok(self.pipelines().get(pipeline).map(|p| Stored {
            offsets: p
                .offsets
                .values()
                .map(|(partition, offset)| Offset { partition: partition.clone(), offset: offset.clone() })
                .collect(),
            values: p.values.clone(),
        }))
    }
    fn save(&mut self, pipeline: &str, change: Change<'_>) -> Result<(), Error> {
        let mut pipelines = self.pipelines();
        let here = pipelines.entry(pipeline.to_owned()).or_default();
        for (partition, offset) in change.offsets {
            match offset {
                Some(offset) => {
                    here.offsets.insert(spelling(partition), ((*partition).clone(), (*offset).clone()));
                }
                None => {
                    here.offsets.remove(&spelling(partition));
                }
            }
        }
        for (name, value) in change.values {
            match value {
                Some(value) => here.values.insert((*name).to_owned(), value.to_vec()),
                None => here.values.remove(*name),
            };
        }
        if here.offsets.is_empty() && here.values.is_empty() {
            pipelines.remove(pipeline);
        }
        Ok(())
    }
    fn reset(&mut self, pipeline: &str) -> Result<bool, Error> {
        Ok(self.pipelines().remove(pipeline).is_some())
    }
    fn list(&self) -> Result<Vec<String>, Error> {
        Ok(self.pipelines().keys().cloned().collect())
    }
}
