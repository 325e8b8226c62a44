//! `inet` and `cidr`.

use super::Bytes;
use std::fmt::Write;

pub fn address(mut b: Bytes) -> Option<String> {
    let [family, mask, is_cidr, len] = b.take()?;
    let (text, most) = match (family, len, b.0) {
        (2, 4, [a, b, c, d]) => (format!("{a}.{b}.{c}.{d}"), 32),
        (3, 16, address) => (ipv6(address.try_into().ok()?)?, 128),
        _ => return None,
    };
    Some(if is_cidr == 0 && mask == most { text } else { format!("{text}/{mask}") })
}

/// As the server's own `inet_net_ntop`: the first longest run of zero words is left out, and an address that holds an IPv4 address
/// shows it.
fn ipv6(bytes: &[u8; 16]) -> Option<String> {
    let words: Vec<u16> = bytes.chunks(2).map(|c| c.iter().fold(0, |w, b| w << 8 | *b as u16)).collect();
    let (mut best, mut run) = (0..0, 0..0);
    for (i, word) in words.iter().enumerate() {
        run = if *word == 0 { run.start..i + 1 } else { i + 1..i + 1 };
        if run.len() > best.len() {
            best = run.clone();
        }
    }
    if best.len() < 2 {
        best = 0..0;
    }
    let (fifth, last) = (*words.get(5)?, *words.get(7)?);
    let holds_ipv4 =
        best.start == 0 && (best.len() == 6 || best.len() == 7 && last != 1 || best.len() == 5 && fifth == 0xFFFF);
    let mut out = String::new();
    for (i, word) in words.iter().enumerate() {
        if best.contains(&i) {
            if i == best.start {
                out.push(':')
            }
            continue;
        }
        if i > 0 {
            out.push(':')
        }
        if i == 6 && holds_ipv4 {
            let [.., a, b, c, d] = bytes;
            let _ = write!(out, "{a}.{b}.{c}.{d}");
            return Some(out);
        }
        let _ = write!(out, "{word:x}");
    }
    if !best.is_empty() && best.end == 8 {
        out.push(':')
    }
    Some(out)
}
