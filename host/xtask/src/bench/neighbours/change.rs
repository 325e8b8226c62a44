//! By how much the seconds with a guest differ from those without it, how sure that is, and whether guests differ by more than chance.

/// The logarithm of a factor, and its standard error.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Change {
    log: f64,
    error: f64,
}

/// What guests have in common.
pub struct Together {
    pub mean: Change,
    /// how far they are from it, and how far they would be by chance (Cochran's Q)
    pub q: f64,
    pub degrees: usize,
}

/// Standard errors on either side of what holds nine tenths, and below what holds 95 of 100.
const NINE_TENTHS: f64 = 1.645;

// === impl Change ===

impl Change {
    /// The middle one of all pairs (Hodges and Lehmann), which a few bad seconds do not move; the error is that of the interval of Mann
    /// and Whitney. None: too few.
    pub fn of(with: &[i64], without: &[i64]) -> Option<Change> {
        let mut pairs: Vec<f64> =
            with.iter().flat_map(|a| without.iter().map(|b| (*a as f64 / *b as f64).ln())).collect();
        pairs.sort_unstable_by(f64::total_cmp);
        let (n, m, all) = (with.len() as f64, without.len() as f64, pairs.len() as f64);
        let reach = NINE_TENTHS * (all * (n + m + 1.0) / 12.0).sqrt();
        let at = |place: f64| pairs.get(place as usize).copied();
        let (low, middle, high) = (all / 2.0 - reach, at(all / 2.0)?, at(all / 2.0 + reach)?);
        if low < 0.0 {
            return None;
        }
        // seconds that are all alike are no certainty
        let error = ((high - at(low)?) / 2.0 / NINE_TENTHS).max(1e-3);
        Some(Change { log: middle, error })
    }

    /// That of several runs: who is surer counts more.
    pub fn mean(of: &[Change]) -> Option<Change> {
        Self::weighted(of, 0.0)
    }

    fn weighted(of: &[Change], between: f64) -> Option<Change> {
        let weight = |c: &Change| 1.0 / (c.error.powi(2) + between);
        let sum: f64 = of.iter().map(weight).sum();
        let log = of.iter().map(|c| weight(c) * c.log).sum::<f64>() / sum;
        (!of.is_empty()).then(|| Change { log, error: sum.sqrt().recip() })
    }

    pub fn percent(&self) -> f64 {
        self.log.exp_m1() * 100.0
    }

    pub fn error_percent(&self) -> f64 {
        self.error * 100.0
    }

    /// It is less than this, with 95 of 100.
    pub fn most_percent(&self) -> f64 {
        (self.log + NINE_TENTHS * self.error).exp_m1() * 100.0
    }
}

// === impl Together ===

impl Together {
    /// None: of fewer than three there is nothing to tell.
    pub fn of(changes: &[Change]) -> Option<Together> {
        let alike = Change::mean(changes).filter(|_| changes.len() > 2)?;
        let weights = |power| changes.iter().map(|c| c.error.powi(-2 * power)).sum::<f64>();
        let q = changes.iter().map(|c| ((c.log - alike.log) / c.error).powi(2)).sum::<f64>();
        let degrees = changes.len() - 1;
        // the variance between them that is not chance (DerSimonian and Laird)
        let between = ((q - degrees as f64) / (weights(1) - weights(2) / weights(1))).max(0.0);
        Some(Together { mean: Change::weighted(changes, between)?, q, degrees })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(log: f64, error: f64) -> Change {
        Change { log, error }
    }

    #[test]
    fn a_change_is_the_middle_of_all_pairs_and_stalls_do_not_move_it() {
        let seconds = |factor: i64| (0..40).map(|n| (300 + n) * factor).collect::<Vec<_>>();
        let (mut with, without) = (seconds(2), seconds(1));
        let calm = Change::of(&with, &without).unwrap();
        assert_eq!(calm.percent().round(), 100.0);
        with.iter_mut().take(4).for_each(|s| *s = 90_000);
        let stalls = Change::of(&with, &without).unwrap();
        assert!((stalls.percent() - calm.percent()).abs() < 5.0, "{stalls:?}");
        assert_eq!(Change::of(&[1, 2], &[1, 2]), None, "two seconds tell nothing");
        assert_eq!(Change::of(&[], &[1]), None);
    }

    /// Chance alone: nine of ten intervals hold what is true.
    #[test]
    fn an_error_is_as_large_as_chance_makes_it() {
        let mut seed = 7u64;
        let mut second = || {
            seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            200 + ((seed >> 33) % 300) as i64
        };
        let held = (0..500)
            .filter(|_| {
                let [with, without] = [0; 2].map(|_| (0..40).map(|_| second()).collect::<Vec<_>>());
                let Change { log, error } = Change::of(&with, &without).unwrap();
                log.abs() < NINE_TENTHS * error
            })
            .count();
        assert!((425..475).contains(&held), "{held} of 500");
    }

    #[test]
    fn guests_that_differ_by_chance_are_what_all_are() {
        let chance: Vec<_> = [-0.06, -0.02, 0.0, 0.03, 0.07].map(|log| change(log, 0.05)).into();
        let together = Together::of(&chance).unwrap();
        assert!(together.q < together.degrees as f64);
        assert!((together.mean.log - 0.004).abs() < 1e-9);
        assert!(Together::of(&chance[..2]).is_none());
    }

    #[test]
    fn a_guest_that_does_harm_is_more_than_chance() {
        let mut harm = vec![change(0.0, 0.02); 9];
        harm.push(change(0.5, 0.02));
        let together = Together::of(&harm).unwrap();
        assert!(together.q > 10.0 * together.degrees as f64);
        assert!((together.mean.log - 0.05).abs() < 0.01 && together.mean.error > 0.04, "it makes the mean unsure");
    }
}
