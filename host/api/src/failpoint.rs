//! Places where a test kills the process: before and after every step that a promise about a kill rests on.
//!
//! A build for release has none of them. In others, `WEIR_FAILPOINT=NAME` ends the process where [`reach`] is called with the point of
//! that name, `NAME@N` at the N-th time: at once, with nothing unwound, as a SIGKILL does. `NAME@N+MS` holds the thread for so many
//! milliseconds before, while the others go on: whoever does not wait for it is found out.

/// One place. The table of [`Point::ALL`] says what each is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Point {
    PublicationMade,
    SlotMade,
    SnapshotImported,
    SnapshotAnnounced,
    PartDone,
    SnapshotRead,
    BetweenDone,
    StreamBegun,
    WindowRead,
    BlockBefore,
    BlockAfter,
    BlockDurable,
    LetterAfter,
    LinesBefore,
    LinesAfter,
    LinesSynced,
    SaveBefore,
    StoreCommitBefore,
    StoreCommitAfter,
    SaveAfter,
    StatusBefore,
    StatusAfter,
    SpillMade,
    SpillWritten,
    SpillRead,
    SpillRemoved,
}

// === impl Point ===

impl Point {
    /// Every point, its name, and what has happened there, and what has not.
    pub const ALL: &[(Point, &str, &str)] = &[
        (Point::PublicationMade, "publication-made", "the publication is there, the slot is not"),
        (Point::SlotMade, "slot-made", "the slot is there, and no session has imported its snapshot"),
        (Point::SnapshotImported, "snapshot-imported", "that a snapshot begins is not stored"),
        (Point::SnapshotAnnounced, "snapshot-announced", "that a snapshot begins is stored, and no row has left"),
        (Point::PartDone, "part-done", "rows of a part have left the source, and nothing says so"),
        (Point::SnapshotRead, "snapshot-read", "the last row has left the source, the stream has not begun"),
        (Point::BetweenDone, "between-done", "what was committed between two snapshots has left the source"),
        (Point::StreamBegun, "stream-begun", "the server sends, and nothing is read"),
        (Point::WindowRead, "window-read", "rows are in a window, and not yet in blocks"),
        (Point::BlockBefore, "block-before", "a block is counted as under way, and the sink does not have it"),
        (Point::BlockAfter, "block-after", "the sink has taken a block"),
        (Point::BlockDurable, "block-durable", "the sink said that blocks are durable, the ledger does not know"),
        (Point::LetterAfter, "letter-after", "the dead letters' sink has taken a block"),
        (Point::LinesBefore, "lines-before", "lines are about to be written"),
        (Point::LinesAfter, "lines-after", "lines are written, and not synced"),
        (Point::LinesSynced, "lines-synced", "lines are synced, and nobody knows"),
        (Point::SaveBefore, "save-before", "a position is safe, and not stored (invariant 1)"),
        (Point::StoreCommitBefore, "store-commit-before", "the offset is in a transaction of the store"),
        (Point::StoreCommitAfter, "store-commit-after", "the store has the offset, the task does not know"),
        (Point::SaveAfter, "save-after", "the offset is stored, the source does not know (invariant 2)"),
        (Point::StatusBefore, "status-before", "the server is about to hear what it may forget"),
        (Point::StatusAfter, "status-after", "the server has been told"),
        (Point::SpillMade, "spill-made", "a file for a transaction in progress is there, and empty"),
        (Point::SpillWritten, "spill-written", "frames of a transaction in progress are in its file"),
        (Point::SpillRead, "spill-read", "a committed transaction is read back from its file"),
        (Point::SpillRemoved, "spill-removed", "a transaction's file is gone again"),
    ];
}

/// Ends the process here if that is what the environment asks for.
#[cfg(debug_assertions)]
pub fn reach(point: Point) {
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

    static ASKED: LazyLock<Option<(Point, u32, u64)>> = LazyLock::new(|| {
        let asked = std::env::var("WEIR_FAILPOINT").ok()?;
        let (asked, hold) = asked.split_once('+').unwrap_or((&asked, "0"));
        let (name, time) = asked.split_once('@').unwrap_or((asked, "1"));
        let (point, ..) = Point::ALL.iter().find(|(_, known, _)| *known == name)?;
        Some((*point, time.parse().ok()?, hold.parse().ok()?))
    });
    static REACHED: AtomicU32 = AtomicU32::new(0);

    if let Some((asked, time, hold)) = *ASKED
        && asked == point
        && REACHED.fetch_add(1, Relaxed) + 1 == time
    {
        std::thread::sleep(std::time::Duration::from_millis(hold));
        std::process::abort()
    }
}

#[cfg(not(debug_assertions))]
#[inline(always)]
pub fn reach(_: Point) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_have_names_of_their_own() {
        for (i, (point, name, _)) in Point::ALL.iter().enumerate() {
            assert!(Point::ALL[i + 1..].iter().all(|(p, n, _)| p != point && n != name), "{name}");
        }
    }
}
