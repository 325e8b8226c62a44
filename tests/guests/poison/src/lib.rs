//! A transform that cannot take every hundredth row until it is mended: it refuses one and traps at the next, and writes a line
//! about each.

use weir::prelude::*;

#[derive(Row)]
struct Order {
    #[at("value.after.id")]
    id: i32,
}

#[derive(Columns)]
struct Passed {
    #[at("value.after.passed")]
    passed: bool,
}

#[derive(Options)]
struct PoisonOptions {
    /// whether it takes every row
    mended: Option<bool>,
}

/// Fails every hundredth row.
#[weir::transform]
fn poison(order: Order, options: &PoisonOptions) -> Result<Passed, Failure> {
    if order.id % 100 == 0 && options.mended != Some(true) {
        weir::log::info(&format!("row {} is poison", order.id));
        if order.id % 200 == 0 {
            panic!("poison");
        }
        return Err(Failure::new("org.example.Poison", "a hundredth row"));
    }
    Ok(Passed { passed: true })
}
