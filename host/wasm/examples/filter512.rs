//! What a filter guest costs: ns and allocations a row, at 1, 8, 64 and 512 rows a call. It reads one text column and keeps
//! a fifteenth of the rows; filling the column, the call, and the checks are inside the clock.
//!
//! `cargo run --release -p weir-wasm --example filter512`
#![allow(unsafe_code, clippy::unwrap_used, clippy::indexing_slicing)] // a measurement: counts allocations by an allocator of its own

#[path = "../tests/support/mod.rs"]
mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;
use support::*;
use weir_model::Decision;
use weir_wasm::Limits;

struct Counting;
static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// SAFETY: hands everything on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Relaxed);
        // SAFETY: as the caller promised.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: as the caller promised.
        unsafe { System.dealloc(at, layout) }
    }
    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Relaxed);
        // SAFETY: as the caller promised.
        unsafe { System.realloc(at, layout, size) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

fn main() {
    let stream = stream(1, "orders");
    for (mode, field) in [("filter", "status"), ("dictionary", "status"), ("upper", "all")] {
        for rows in [1usize, 8, 64, 512] {
            let pairs = [("mode", mode), ("field", field), ("keep", "paid")];
            let mut bound = Bound::new(transform("healthy", &pairs, Limits::default()), &stream).unwrap();
            let statuses: Vec<Option<&str>> =
                (0..rows).map(|i| Some(if i % 15 == 0 { "paid" } else { "shipped" })).collect();
            let batch = batch(&stream, &statuses);
            let mut decision = Decision::default();
            bound.program.decide(&batch, &mut decision);
            let asked = decision.asked();
            let mut call = || bound.transform.apply(&bound.program.calls, &batch, &asked).unwrap();
            let kept = call();
            assert!(kept.errors.is_empty());
            let rounds = (400_000 / rows).clamp(500, 20_000);
            let mut times = vec![];
            let before = ALLOCATIONS.load(Relaxed);
            for _ in 0..9 {
                let start = Instant::now();
                (0..rounds).for_each(|_| drop(std::hint::black_box(call())));
                times.push(start.elapsed().as_nanos() as f64 / (rounds * rows) as f64)
            }
            let allocations = (ALLOCATIONS.load(Relaxed) - before) as f64 / (rounds * 9) as f64;
            times.sort_by(f64::total_cmp);
            println!(
                "{mode:<10} {rows:>4} rows a call: {:>8.1} ns a row ({:.1}–{:.1}), {allocations:>5.1} allocations a call",
                times[4], times[0], times[8]
            );
        }
    }
}
