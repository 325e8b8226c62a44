//! One transform in several versions, a feature each, for tests of swaps: `value.stamp` says which one made a record. `picky` refuses
//! every record of a shop, and `greedy` has an option that must be given.

use weir::prelude::*;

const VERSION: &str = if cfg!(feature = "second") { "second" } else { "first" };

#[derive(Row)]
struct Change<'a> {
    #[at("value.op")]
    _op: &'a str,
    #[cfg(feature = "picky")]
    #[at("value.nowhere")]
    _nowhere: &'a str,
}

#[derive(Columns)]
struct Stamped {
    #[at("value.stamp")]
    stamp: &'static str,
}

#[derive(Options)]
struct StampOptions {
    #[cfg(feature = "greedy")]
    more: String,
    /// ends what is written
    #[option(default = "")]
    end: String,
}

/// Says which version it is.
#[cfg_attr(feature = "picky", weir::transform(on_missing = "fail"))]
#[cfg_attr(not(feature = "picky"), weir::transform)]
fn stamp(_: Change, options: &StampOptions) -> Verdict<Stamped> {
    let _ = &options.end;
    Verdict::Emit(Stamped { stamp: VERSION })
}
