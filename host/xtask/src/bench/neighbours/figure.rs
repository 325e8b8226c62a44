//! How old rows were beside a guest, second by second.

use super::change::{Change, Together};
use super::{ALONE, CALM, GUESTS, RATE, SECOND_US, is_frozen, is_settled};
use crate::bench::latency::percentile;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// What one run gave.
pub struct Figure {
    pub guest: &'static str,
    pub rows: Vec<Row>,
    /// in odd phases the guest ran, in even ones it was frozen
    pub alternates: bool,
    /// in these, of the clock, a core was not there
    pub stolen: BTreeSet<i64>,
    pub peak_mb: f64,
    pub cpu_seconds: f64,
}

/// When a row was written, and how old it was when it arrived; in microseconds.
pub struct Row {
    pub at: i64,
    pub age: i64,
}

// === impl Figure ===

impl Figure {
    pub fn json(&self) -> Value {
        json!({
            "beside": self.guest,
            "latency_p50_ms": all([self], 50, false),
            "latency_p99_ms": all([self], 99, false),
            "latency_p99_without_ms": all([self], 99, true),
            "latency_p99_of_a_second_ms": usual([self], false),
            "latency_p99_of_a_second_without_ms": usual([self], true),
            "change_percent": self.change().map(|c| c.percent()),
            "change_error_percent": self.change().map(|c| c.error_percent()),
            "seconds_p99_us": each([self], false),
            "seconds_without_p99_us": each([self], true),
            "rss_peak_mb": self.peak_mb,
            "cpu_seconds": self.cpu_seconds,
        })
    }

    pub fn line(&self) -> String {
        let Figure { guest, peak_mb, cpu_seconds, .. } = self;
        let [p50, p99] = [50, 99].map(|p| all([self], p, false).unwrap_or_default());
        let whole = all([self], 99, true).unwrap_or_default();
        let [second, without] = [false, true].map(|frozen| usual([self], frozen).unwrap_or_default());
        format!(
            "{guest:<14} p50 {p50:>7.3} ms  p99 {p99:>7.3} ms, {whole:.3} without  of a second {second:>7.3} ms, {without:.3} \
             without  peak {peak_mb:>4.0} MB  cpu {cpu_seconds:>5.1} s"
        )
    }

    /// The machine changes from run to run, so each is compared with itself.
    fn change(&self) -> Option<Change> {
        Change::of(&each([self], false), &each([self], true))
    }

    /// The ages of the rows of each second in which the guest ran or was frozen, sorted.
    fn seconds(&self, frozen: bool) -> Vec<Vec<i64>> {
        let mut seconds: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
        for row in &self.rows {
            let second = row.at.div_euclid(SECOND_US);
            let is_asked = match self.alternates {
                true => is_settled(row.at) && is_frozen(row.at) == frozen,
                false => !frozen,
            };
            if is_asked && !self.stolen.contains(&second) {
                seconds.entry(second).or_default().push(row.age)
            }
        }
        let mut seconds: Vec<_> = seconds.into_values().filter(|ages| ages.len() >= RATE as usize / 2).collect();
        seconds.iter_mut().for_each(|ages| ages.sort_unstable());
        seconds
    }
}

/// For each guest the 99th percentile of a usual second, and that of one without it; how the one stands to the other, with its standard
/// error, and at most (95 of 100); of how many seconds that is; and the percentiles of its whole runs, with it and without.
pub fn table(figures: &[Figure]) -> String {
    let mut text = format!(
        "{:<14} {:>7} {:>7} {:>8} {:>5} {:>8} {:>7}  whole runs, ms\n",
        "beside", "p99, ms", "without", "change", "+-", "at most", "seconds"
    );
    let changes: Vec<Change> = GUESTS.iter().filter_map(|guest| change(figures, guest)).collect();
    let together = Together::of(&changes);
    for guest in [ALONE, CALM].iter().chain(GUESTS) {
        let runs = || figures.iter().filter(|f| f.guest == *guest);
        let Some(p99) = usual(runs(), false) else {
            if runs().next().is_some() {
                text.push_str(&format!("{guest:<14} in each second something was taken of the cores\n"))
            }
            continue;
        };
        let without = percentile(&without(figures, guest), 50).map(|ms| format!("{ms:.2}")).unwrap_or_default();
        let [mut own, mut error, mut most] = [const { String::new() }; 3];
        if let Some(change) = change(figures, guest) {
            own = percent(change.percent());
            error = format!("{:.1}", change.error_percent());
            most = percent(change.most_percent());
        }
        let seconds = each(runs(), false).len();
        let whole: Vec<String> = runs().map(whole).collect();
        let whole = whole.join(" ");
        text.push_str(&format!(
            "{guest:<14} {p99:>7.2} {without:>7} {own:>8} {error:>5} {most:>8} {seconds:>7}  {whole}\n"
        ));
    }
    if let Some(Together { mean, q, degrees, .. }) = together {
        let (own, error, most) = (percent(mean.percent()), mean.error_percent(), percent(mean.most_percent()));
        text.push_str(&format!(
            "{:<30} {own:>8} {error:>5.1} {most:>8}  Q {q:.1}, by chance {degrees}\n",
            "all hostile guests"
        ));
    }
    text
}

fn percent(percent: f64) -> String {
    format!("{percent:+.1} %")
}

/// The seconds that those of a guest are compared with.
fn without(figures: &[Figure], guest: &str) -> Vec<i64> {
    let runs = || figures.iter().enumerate().filter(|(_, f)| f.guest == guest);
    let frozen = each(runs().map(|(_, f)| f), true);
    if !frozen.is_empty() {
        return frozen;
    }
    let before = runs().filter_map(|(at, _)| figures.get(at.checked_sub(1)?)).filter(|f| f.guest == CALM);
    each(before, false)
}

fn change(figures: &[Figure], guest: &str) -> Option<Change> {
    let runs: Vec<_> = figures.iter().filter(|f| f.guest == guest).collect();
    let alternate: Vec<_> = runs.iter().filter_map(|f| f.change()).collect();
    let together = || Change::of(&each(runs.iter().copied(), false), &without(figures, guest));
    Change::mean(&alternate).or_else(together)
}

fn whole(run: &Figure) -> String {
    let p99 = format!("{:.2}", all([run], 99, false).unwrap_or_default());
    all([run], 99, true).map_or(p99.clone(), |without| format!("{p99}/{without:.2}"))
}

/// A percentile of the rows of several runs, in milliseconds.
fn all<'a>(runs: impl IntoIterator<Item = &'a Figure>, percent: usize, frozen: bool) -> Option<f64> {
    let mut ages: Vec<i64> = runs.into_iter().flat_map(|f| f.seconds(frozen)).flatten().collect();
    ages.sort_unstable();
    percentile(&ages, percent)
}

/// The 99th percentile of the second in the middle, of all of several runs. What a guest does, it does in each second; what the
/// machine does besides, a stall of some milliseconds now and then, is in a few.
fn usual<'a>(runs: impl IntoIterator<Item = &'a Figure>, frozen: bool) -> Option<f64> {
    percentile(&each(runs, frozen), 50)
}

/// The 99th percentiles of seconds, sorted, in microseconds.
fn each<'a>(runs: impl IntoIterator<Item = &'a Figure>, frozen: bool) -> Vec<i64> {
    let seconds = runs.into_iter().flat_map(|f| f.seconds(frozen));
    let mut each: Vec<i64> = seconds.filter_map(|ages| percentile(&ages, 99).map(|ms| (ms * 1000.0) as i64)).collect();
    each.sort_unstable();
    each
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::neighbours::{PHASE_US, SETTLE_US};

    /// As many seconds as there are ages, each of a thousand rows.
    fn figure(guest: &'static str, alternates: bool, ages: &[&dyn Fn(usize) -> i64]) -> Figure {
        let second = |(s, age): (usize, &&dyn Fn(usize) -> i64)| -> Vec<Row> {
            let at = |n: usize| (s * 1_000_000 + n * 1000) as i64;
            (0..RATE as usize).map(|n| Row { at: at(n), age: age(n) }).collect()
        };
        let rows = ages.iter().enumerate().flat_map(second).collect();
        Figure { guest, rows, alternates, stolen: BTreeSet::new(), peak_mb: 1.0, cpu_seconds: 1.0 }
    }

    #[test]
    fn a_guest_is_compared_with_the_calm_ones_before_it() {
        let runs = [(ALONE, 1), (CALM, 2), ("trap", 3), (CALM, 9), ("divide", 9), (CALM, 4), ("trap", 5)];
        let four = |(guest, ms): (_, i64)| figure(guest, false, &[&(move |_| ms * 1000) as &dyn Fn(usize) -> i64; 4]);
        let text = table(&runs.map(four));
        assert_eq!(
            text,
            "beside         p99, ms without   change    +-  at most seconds  whole runs, ms\n\
             alone             1.00                                       4  1.00\n\
             calm              4.00                                      12  2.00 9.00 4.00\n\
             trap              5.00    4.00  +50.0 %   5.5  +64.3 %       8  3.00 5.00\n\
             divide            9.00    9.00   +0.0 %   0.1   +0.2 %       4  9.00\n"
        );
    }

    /// Seconds of a phase that tell something.
    const SETTLED: usize = ((PHASE_US - SETTLE_US) / SECOND_US) as usize;

    #[test]
    fn where_it_is_frozen_a_guest_is_compared_with_the_seconds_without_it() {
        // nobody knows what the first second of a phase shows
        let (frozen, runs, settles) = (|_: usize| 1000, |_: usize| 1500, |n: usize| n as i64);
        let phase = |usual| std::iter::once(&settles as &dyn Fn(usize) -> i64).chain([usual; SETTLED]);
        let figure = figure("loop", true, &phase(&frozen).chain(phase(&runs)).collect::<Vec<_>>());
        let text = table(&[figure]);
        assert!(
            text.ends_with("loop              1.50    1.00  +50.0 %   0.1  +50.2 %       9  1.50/1.00\n"),
            "{text}"
        );
    }

    #[test]
    fn what_was_taken_of_the_cores_is_in_no_figure() {
        let mut figure = figure(CALM, false, &[&|_| 300, &|_| 9000, &|_| 300]);
        figure.stolen.insert(1);
        assert_eq!(each([&figure], false), [300, 300]);
        figure.stolen.extend([0, 2]);
        assert!(table(&[figure]).ends_with("calm           in each second something was taken of the cores\n"));
    }

    #[test]
    fn a_stall_is_in_a_few_seconds_and_a_guest_in_each() {
        let (none, stall, guest) = (|_| 300, |n| if n < 300 { 8000 } else { 300 }, |n| if n < 20 { 900 } else { 300 });
        assert_eq!(usual([&figure(CALM, false, &[&none, &stall, &none])], false), Some(0.3));
        assert_eq!(usual([&figure(CALM, false, &[&guest, &guest, &none])], false), Some(0.9));
    }
}
