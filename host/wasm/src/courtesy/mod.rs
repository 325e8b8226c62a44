//! A pipeline whose guest wastes time gives way to everything else on the machine.
//!
//! Invariant 7: a guest costs its own pipeline time, and nothing else. With a core for every thread it cannot do otherwise; with fewer
//! a guest that breaks its limits again and again would take turns from pipelines that behave. So a thread that wasted too much
//! does its work with what the others leave. Heavy work that keeps to the limits is no waste, unless it blows up what it was given: it
//! has the share of any thread.
//!
//! A thread that wasted anything lately has its share, too, but others need not wait until it is done with its batch: it asks for
//! the core for long at once, and the scheduler prefers those that ask for less as soon as they are woken.
//!
//! And it rests where others take the core from it. Beside a thread that always runs, the kernel now and then lets one that wakes
//! wait until the next tick of its clock; work inside the kernel, as for memory that comes and goes, is not interrupted; and a
//! thread that wakes for every few rows comes back each time as one that is owed a turn. What runs for a twentieth of the time does
//! such harm to few rows of others, and what runs for a hundredth to none that a percentile shows: so long rests who does little but
//! waste. Where nobody wants the core there is no rest, and none any more once the waste is long ago.
//!
//! Between two tries it gives up its turn. The scheduler (EEVDF) may have passed over a thread that was woken, for the one that ran so
//! little is owed more; who yields is owed nothing any more (since Linux 6.18; before, it changes little).

mod lately;
mod thread;
mod waste;

use lately::Lately;
use std::cell::Cell;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
pub use thread::wait_for_a_turn;
use thread::{Used, give_way, slice};
use waste::Waste;

/// What one step wasted lately, whatever instances it had.
#[derive(Clone, Debug)]
pub(crate) struct Courtesy(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    born: Instant,
    /// not the step's own time
    rested: Duration,
    waste: Waste,
    /// once the thread gives way
    turn: Option<Turn>,
}

/// What a thread that gives way did lately.
#[derive(Debug)]
struct Turn {
    /// when the turn began
    before: Used,
    lately: Lately,
}

/// In the middle of a batch a thread that was in somebody's way rests after a turn of this.
const TURN: Duration = Duration::from_millis(20);
/// What a thread that wasted something asks for at once: the most that the kernel grants.
const LONG: Duration = Duration::from_millis(100);
/// So long after that it is like any other.
const REMEMBERED: Duration = Duration::from_secs(60);

thread_local! {
    /// when a guest of this thread wasted something last; None: it is like any other
    static WASTED: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// Wakes all that rest, and whoever would.
struct Bell {
    is_rung: Mutex<bool>,
    ring: Condvar,
}

static ENDS: Bell = Bell::new();

/// Ends all rests, for good: the process is to end, and what is under way is waited for.
pub fn hurry() {
    ENDS.ring()
}

/// Numbers are numbers, whoever panicked while he counted.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A guest of this thread wasted something.
fn remember() {
    if WASTED.replace(Some(Instant::now())).is_none() {
        slice(Some(LONG))
    }
}

fn forget(after: Duration) {
    if WASTED.get().is_some_and(|at| at.elapsed() >= after) {
        WASTED.set(None);
        slice(None)
    }
}

// === impl Courtesy ===

impl Courtesy {
    pub fn new() -> Self {
        let (born, waste) = (Instant::now(), Waste::new());
        Courtesy(Arc::new(Mutex::new(State { born, rested: Duration::ZERO, waste, turn: None })))
    }

    /// The step's own time: rests are none of it.
    pub fn time(&self) -> Duration {
        let state = lock(&self.0);
        state.born.elapsed().saturating_sub(state.rested)
    }

    /// A call broke a limit, and took so long for it. True: that was too much, and this thread gives way from now on.
    pub fn wasted(&self, time: Duration) -> bool {
        remember();
        let mut state = lock(&self.0);
        let state = &mut *state;
        let since = state.waste.at.elapsed();
        let is_too_much = state.waste.add(time, since);
        if let Some(turn) = &mut state.turn {
            turn.lately.wasted += time
        } else if is_too_much {
            give_way();
            state.turn = Some(Turn { before: Used::now(), lately: Lately::new() });
            return true;
        }
        false
    }

    /// A batch is done. Returns how long the thread rested.
    #[inline]
    pub fn rest(&self) -> Duration {
        self.rest_after(Duration::ZERO)
    }

    /// In the middle of a batch.
    #[inline]
    pub fn rest_if_long(&self) -> Duration {
        self.rest_after(TURN)
    }

    fn rest_after(&self, turn: Duration) -> Duration {
        forget(REMEMBERED);
        let Some(rest) = self.due(turn) else { return Duration::ZERO };
        let began = Instant::now();
        // whoever was woken and passed over has the core now
        std::thread::yield_now();
        if !rest.is_zero() {
            ENDS.wait(rest);
            // it is not owed a turn for this
            std::thread::yield_now()
        }
        let rested = began.elapsed();
        lock(&self.0).rested += rested;
        rested
    }

    /// How long a rest is due, after a turn of at least this. None: its thread gives way to nobody.
    fn due(&self, turn: Duration) -> Option<Duration> {
        let mut state = lock(&self.0);
        let State { waste, turn: Some(current), .. } = &mut *state else { return None };
        if !waste.is_known() {
            return None;
        }
        let now = Used::now();
        let ran = now.core.saturating_sub(current.before.core);
        if ran < turn {
            return Some(Duration::ZERO);
        }
        let waited = now.waited_since(&current.before);
        current.before = now;
        match current.lately.add(ran, waited) {
            true => Some(current.lately.rest(ran)),
            false => Some(Duration::ZERO),
        }
    }
}

// === impl Bell ===

impl Bell {
    const fn new() -> Self {
        Bell { is_rung: Mutex::new(false), ring: Condvar::new() }
    }

    fn ring(&self) {
        *lock(&self.is_rung) = true;
        self.ring.notify_all()
    }

    fn wait(&self, most: Duration) {
        drop(self.ring.wait_timeout_while(lock(&self.is_rung), most, |rung| !*rung))
    }
}

#[cfg(test)]
mod tests {
    use super::lately::LEAST_REST;
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Of a thread that wasted this, and was in somebody's way since.
    fn in_the_way(time: Duration) -> Courtesy {
        let courtesy = Courtesy::new();
        lock(&courtesy.0).waste.add(time, Duration::ZERO);
        lock(&courtesy.0).turn = Some(Turn { before: Used::default(), lately: Lately::crowded() });
        courtesy
    }

    #[test]
    fn rests_are_not_the_steps_own_time() {
        let courtesy = in_the_way(SECOND);
        let (began, own) = (Instant::now(), courtesy.time());
        let rested = courtesy.rest();
        let own = courtesy.time() - own;
        assert!(rested >= LEAST_REST);
        assert!(own + rested <= began.elapsed());
    }

    #[test]
    fn who_is_in_nobodys_way_does_not_rest_nor_he_whose_waste_is_forgotten() {
        assert_eq!(in_the_way(Duration::ZERO).rest(), Duration::ZERO);
        let alone = in_the_way(SECOND);
        lock(&alone.0).turn = None;
        assert_eq!(alone.rest(), Duration::ZERO);
        // a turn has only begun
        let brief = in_the_way(SECOND);
        lock(&brief.0).turn = Some(Turn { before: Used::now(), lately: Lately::crowded() });
        assert_eq!(brief.due(TURN), Some(Duration::ZERO));
    }

    #[test]
    fn a_bell_ends_a_rest_and_those_to_come() {
        let bell = Bell::new();
        std::thread::scope(|scope| {
            scope.spawn(|| bell.wait(SECOND * 3600));
            bell.ring();
        });
        bell.wait(SECOND * 3600);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn only_the_thread_itself_gives_way() {
        let idle = || thread::known().0 == libc::SCHED_IDLE;
        let inside = std::thread::spawn(move || {
            let courtesy = Courtesy::new();
            let before = (courtesy.wasted(SECOND / 8), idle());
            (before, courtesy.wasted(SECOND), courtesy.wasted(SECOND), idle())
        });
        assert_eq!(inside.join().unwrap(), ((false, false), true, false, true));
        assert!(!idle());
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn others_take_the_core_from_who_wasted_anything_until_it_is_forgotten() {
        let slice = || thread::known().2;
        let inside = std::thread::spawn(move || {
            let (courtesy, usual) = (Courtesy::new(), slice());
            courtesy.wasted(Duration::from_micros(1));
            let wasted = slice();
            courtesy.rest();
            let rested = slice();
            forget(Duration::ZERO);
            ([usual, wasted, rested, slice()], thread::known().0)
        });
        let ([usual, wasted, rested, forgotten], policy) = inside.join().unwrap();
        assert_eq!((policy, forgotten), (libc::SCHED_OTHER, usual));
        // a kernel before 6.12 knows none
        let long = if usual == 0 { 0 } else { LONG.as_nanos() as u64 };
        assert_eq!([wasted, rested], [long, long]);
    }
}
