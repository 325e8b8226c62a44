use weir::prelude::*;

/// What is read of a record; nothing else comes into the guest.
#[derive(Row)]
struct Order<'a> {
    #[at("value.after.status")]
    status: Option<&'a str>,
    #[at("value.after.amount")]
    amount: Option<f64>,
}

/// What is added to it.
#[derive(Columns)]
struct Tax {
    #[at("value.after.tax")]
    tax: Option<f64>,
}

#[derive(Options)]
struct TaxOptions {
    /// share of the amount, as 0.1
    rate: f64,
}

/// Adds a tax to orders, and drops those that were cancelled.
#[weir::transform]
fn tax(order: Order, options: &TaxOptions) -> Verdict<Tax> {
    if order.status == Some("cancelled") {
        return Verdict::Drop;
    }
    Verdict::Emit(Tax { tax: order.amount.map(|amount| amount * options.rate) })
}
