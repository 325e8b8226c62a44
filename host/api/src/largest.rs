//! The largest records that a sink takes.
//!
//! The sink says what it takes from the start, and learns of less where it writes to; the chain keeps larger records from it. So a
//! record that is too large is a row that failed, at its place and by the policy for such rows, and none behind it is held up.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, PoisonError, RwLock};

/// Shared by a sink, each time that it is made anew, and the chain before it.
#[derive(Clone, Debug, Default)]
pub struct Largest(Arc<Known>);

#[derive(Debug, Default)]
struct Known {
    /// None: any size
    any: Option<u32>,
    topics: RwLock<HashMap<Arc<str>, u32>>,
    /// how often something was learned
    version: AtomicU32,
    told: Told,
}

/// What is said of a record that is larger.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Told {
    pub code: &'static str,
    pub help: &'static str,
    /// bytes that a record takes beside key, value and headers, and that each header takes beside its name and value
    pub record: u32,
    pub header: u32,
}

// === impl Largest ===

impl Largest {
    /// So many bytes, for any topic.
    pub fn of(bytes: u32, told: Told) -> Self {
        Largest(Arc::new(Known { any: Some(bytes), told, ..Known::default() }))
    }

    pub fn told(&self) -> Told {
        self.0.told
    }

    /// This topic takes less. False: that was known.
    pub fn learn(&self, topic: &str, bytes: u32) -> bool {
        if bytes >= self.bytes(topic) {
            return false;
        }
        self.0.topics.write().unwrap_or_else(PoisonError::into_inner).insert(topic.into(), bytes);
        self.0.version.fetch_add(1, Relaxed);
        true
    }

    /// Changes whenever something was learned.
    pub fn version(&self) -> u32 {
        self.0.version.load(Relaxed)
    }

    /// What a topic takes.
    pub fn bytes(&self, topic: &str) -> u32 {
        let topics = self.0.topics.read().unwrap_or_else(PoisonError::into_inner);
        topics.get(topic).copied().or(self.0.any).unwrap_or(u32::MAX)
    }

    /// The least that was learned of a topic.
    pub fn least(&self) -> Option<u32> {
        self.0.topics.read().unwrap_or_else(PoisonError::into_inner).values().min().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_learned_is_less_and_shared() {
        let largest = Largest::of(100, Told::default());
        let (sink, before) = (largest.clone(), largest.version());
        assert!(!sink.learn("t", 100));
        assert_eq!((largest.version(), largest.least()), (before, None));
        assert!(sink.learn("t", 60));
        assert!(!sink.learn("t", 60) && !sink.learn("t", 80));
        assert_ne!(largest.version(), before);
        assert_eq!((largest.bytes("t"), largest.bytes("u"), largest.least()), (60, 100, Some(60)));
        assert_eq!(Largest::default().bytes("t"), u32::MAX);
    }
}
