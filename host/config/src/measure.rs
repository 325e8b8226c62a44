//! Durations and sizes as people write them: "5m", "50ms", "16MiB".

use std::time::Duration;

const TIMES: &[(&str, u64)] = &[
    ("us", 1),
    ("µs", 1),
    ("ms", 1_000),
    ("s", 1_000_000),
    ("m", 60_000_000),
    ("h", 3_600_000_000),
    ("d", 86_400_000_000),
];
const SIZES: &[(&str, u64)] = &[
    ("B", 1),
    ("KB", 1_000),
    ("KiB", 1 << 10),
    ("MB", 1_000_000),
    ("MiB", 1 << 20),
    ("GB", 1_000_000_000),
    ("GiB", 1 << 30),
];

/// "5m", "1.5s"; a bare number is milliseconds, as Kafka Connect has it.
pub fn duration(text: &str) -> Option<Duration> {
    measure(text, TIMES, 1_000).map(Duration::from_micros)
}

/// Bytes of "16MiB"; a bare number is bytes.
pub fn size(text: &str) -> Option<u64> {
    measure(text, SIZES, 1)
}

fn measure(text: &str, units: &[(&str, u64)], bare: u64) -> Option<u64> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.' && c != '_').unwrap_or(text.len());
    let (number, unit) = (text.get(..end)?.replace('_', ""), text.get(end..)?.trim());
    let factor = match unit {
        "" => bare,
        unit => units.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit))?.1,
    };
    match number.split_once('.') {
        None => number.parse::<u64>().ok()?.checked_mul(factor),
        Some((whole, part)) if !part.is_empty() && part.len() <= 9 => {
            let scale = 10u64.pow(part.len() as u32);
            let part = part.parse::<u64>().ok()?.checked_mul(factor)? / scale;
            whole.parse::<u64>().ok()?.checked_mul(factor)?.checked_add(part)
        }
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_write() {
        assert_eq!(duration("5m"), Some(Duration::from_secs(300)));
        assert_eq!(duration("50ms"), Some(Duration::from_millis(50)));
        assert_eq!(duration("1.5 s"), Some(Duration::from_millis(1500)));
        assert_eq!(duration("250"), Some(Duration::from_millis(250)));
        assert_eq!(size("16MiB"), Some(16 << 20));
        assert_eq!(size("16mb"), Some(16_000_000));
        for bad in ["", "m", "5 weeks", "-1s", "1.2.3s", "1.", "99999999999999999999", "18446744073709551615d"] {
            assert_eq!(duration(bad), None, "{bad}");
        }
    }
}
