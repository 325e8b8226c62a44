//! `numeric` and `money`.

use super::Bytes;
use std::fmt::Write;

/// Groups of four digits, each a word.
pub fn numeric(mut b: Bytes) -> Option<String> {
    let (count, weight, sign, scale) = (b.u16()?, b.i16()? as i32, b.u16()?, b.u16()?);
    match sign {
        0xC000 => return Some("NaN".into()),
        0xD000 => return Some("Infinity".into()),
        0xF000 => return Some("-Infinity".into()),
        _ => {}
    }
    let groups = (0..count).map(|_| b.u16()).collect::<Option<Vec<_>>>()?;
    let group = |i: i32| usize::try_from(i).ok().and_then(|i| groups.get(i)).copied().unwrap_or(0);
    let mut out = String::from(if sign == 0x4000 { "-" } else { "" });
    let _ = write!(out, "{}", if weight < 0 { 0 } else { group(0) });
    for i in 1..=weight {
        let _ = write!(out, "{:04}", group(i));
    }
    if scale > 0 {
        let mut fraction = String::new();
        let mut i = weight + 1;
        while fraction.len() < scale as usize {
            let _ = write!(fraction, "{:04}", group(i));
            i += 1;
        }
        fraction.truncate(scale as usize);
        out.push('.');
        out.push_str(&fraction);
    }
    Some(out)
}

pub fn money(units: i64, digits: u8) -> String {
    let (sign, all) = (if units < 0 { "-" } else { "" }, units.unsigned_abs());
    let power = 10u64.pow(u32::from(digits.min(9)));
    match digits {
        0 => format!("{sign}{all}"),
        digits => format!("{sign}{}.{:02$}", all / power, all % power, digits as usize),
    }
}
