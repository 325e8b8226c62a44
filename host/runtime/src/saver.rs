//! Offsets on their way into the store, on a thread of their own: a disk takes milliseconds to make one durable, another pipeline may
//! have the store meanwhile, and rows wait for neither.
//!
//! Invariant 2 needs the answer, and nothing but it: the source is told of a position when [`Saver::stored`] says it, never before.

use std::panic::resume_unwind;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use weir_api::failpoint::{self, Point};
use weir_api::{Error, Offset, Position};

/// Where offsets last.
pub trait OffsetStore: Send {
    fn load(&self, partition: &Offset) -> Result<Option<Offset>, Error>;
    /// Durable when it returns.
    fn save(&mut self, partition: &Offset, offset: &Offset) -> Result<(), Error>;
}

/// The store of one task. One offset is under way at a time.
pub struct Saver {
    store: Shared,
    saves: Option<Saves>,
    under_way: bool,
}

type Shared = Arc<Mutex<Box<dyn OffsetStore>>>;

/// The thread, which ends when nobody can ask it any more.
struct Saves {
    asked: SyncSender<Save>,
    answers: Receiver<Result<Position, Error>>,
    thread: JoinHandle<()>,
}

struct Save {
    partition: Offset,
    offset: Offset,
    position: Position,
}

/// Its name, which tools show.
const THREAD: &str = "weir-offsets";

// === impl Saver ===

impl Saver {
    pub fn new(store: impl OffsetStore + 'static) -> Saver {
        let store: Shared = Arc::new(Mutex::new(Box::new(store)));
        Saver { store, saves: None, under_way: false }
    }

    /// The thread begins: before the task's own one may give way to others, for it would do so, too, while it has the store.
    pub fn begin(&mut self) -> Result<(), Error> {
        let (asked, saves) = sync_channel::<Save>(1);
        let (answer, answers) = sync_channel(1);
        let store = Arc::clone(&self.store);
        let work = move || {
            for Save { partition, offset, position } in saves {
                failpoint::reach(Point::SaveBefore);
                let saved = lock(&store).save(&partition, &offset);
                failpoint::reach(Point::SaveAfter);
                if answer.send(saved.map(|()| position)).is_err() {
                    return;
                }
            }
        };
        let thread = thread::Builder::new().name(THREAD.into()).spawn(work).map_err(|e| Error::no_thread(&e))?;
        self.saves = Some(Saves { asked, answers, thread });
        Ok(())
    }

    /// What is stored; nothing is under way.
    pub fn load(&self, partition: &Offset) -> Result<Option<Offset>, Error> {
        lock(&self.store).load(partition)
    }

    /// Asks for one to be stored, when the one before is.
    pub fn save(&mut self, partition: Offset, offset: Offset, position: Position) -> Result<(), Error> {
        let save = Save { partition, offset, position };
        self.under_way = self.saves.as_ref().is_some_and(|saves| saves.asked.send(save).is_ok());
        if self.under_way { Ok(()) } else { Err(self.lost()) }
    }

    /// The position that became durable since this was asked last; `wait`: or does so now, where one is under way.
    pub fn stored(&mut self, wait: bool) -> Result<Option<Position>, Error> {
        let (true, Some(saves)) = (self.under_way, &self.saves) else { return Ok(None) };
        let answer = match wait {
            true => saves.answers.recv().ok(),
            false => match saves.answers.try_recv() {
                Err(TryRecvError::Empty) => return Ok(None),
                answer => answer.ok(),
            },
        };
        self.under_way = false;
        answer.unwrap_or_else(|| Err(self.lost())).map(Some)
    }

    /// The thread is gone, as it is when the store panics: that is the task's panic.
    fn lost(&mut self) -> Error {
        match self.end() {
            Err(panic) => resume_unwind(panic),
            Ok(()) => Error::environment("task.thread", "the thread that stores offsets has ended"),
        }
    }

    /// What is under way is waited for.
    fn end(&mut self) -> thread::Result<()> {
        let Some(Saves { asked, answers, thread }) = self.saves.take() else { return Ok(()) };
        drop((asked, answers));
        thread.join()
    }
}

impl Drop for Saver {
    fn drop(&mut self) {
        let _ = self.end();
    }
}

fn lock<T>(store: &Mutex<T>) -> MutexGuard<'_, T> {
    store.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Holds each answer until it is let go, and refuses the offset 3.
    struct Slow(Arc<Mutex<Vec<Offset>>>, Receiver<()>);

    impl OffsetStore for Slow {
        fn load(&self, _: &Offset) -> Result<Option<Offset>, Error> {
            Ok(lock(&self.0).last().cloned())
        }
        fn save(&mut self, _: &Offset, offset: &Offset) -> Result<(), Error> {
            self.1.recv().expect("it is let go");
            if *offset == at(3) {
                return Err(Error::retry("test.refused", "not this one"));
            }
            lock(&self.0).push(offset.clone());
            Ok(())
        }
    }

    fn at(n: u64) -> Offset {
        Offset::from_iter([("n".to_string(), json!(n))])
    }

    fn position(n: u64) -> Position {
        Position([n, 0, 0, 0])
    }

    #[test]
    fn what_is_stored_is_told_once_and_never_before() -> Result<(), Error> {
        let (go, held) = sync_channel(8);
        let kept = Arc::new(Mutex::new(vec![]));
        let mut saver = Saver::new(Slow(kept.clone(), held));
        saver.begin()?;
        assert_eq!(saver.stored(true)?, None, "nothing is under way");
        for n in [1, 2] {
            saver.save(Offset::new(), at(n), position(n))?;
            assert_eq!(saver.stored(false)?, None);
            go.send(()).expect("the store waits");
            assert_eq!(saver.stored(true)?, Some(position(n)));
            assert_eq!(saver.stored(true)?, None);
            assert_eq!(saver.load(&Offset::new())?, Some(at(n)));
        }
        saver.save(Offset::new(), at(3), position(3))?;
        go.send(()).expect("the store waits");
        assert_eq!(saver.stored(true).unwrap_err().code(), "test.refused");
        // an end waits for what is under way
        saver.save(Offset::new(), at(4), position(4))?;
        go.send(()).expect("the store waits");
        drop(saver);
        assert_eq!(*lock(&kept), [at(1), at(2), at(4)]);
        Ok(())
    }

    #[test]
    #[should_panic = "it is let go"]
    fn a_panic_of_the_store_is_the_tasks() {
        let (go, held) = sync_channel(1);
        let mut saver = Saver::new(Slow(Arc::default(), held));
        drop(go);
        saver.begin().unwrap();
        saver.save(Offset::new(), at(1), position(1)).unwrap();
        let _ = saver.stored(true);
    }
}
