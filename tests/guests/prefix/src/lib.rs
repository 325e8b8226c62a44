//! A filter as a user writes one with the SDK: a function of a row, with one text column. Benches ask what it costs.

use weir::prelude::*;

#[derive(Row)]
struct Order<'a> {
    status: Option<&'a str>,
}

#[derive(Options)]
struct PrefixOptions {
    /// how the status of an order begins that is kept
    prefix: String,
}

/// Keeps the orders whose status begins with a prefix.
#[weir::transform]
fn prefix(order: Order, options: &PrefixOptions) -> bool {
    order.status.is_some_and(|status| status.starts_with(&*options.prefix))
}
