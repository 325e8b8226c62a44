//! Bytes on their way out: short copies without a call, into room that was asked for once.
//!
//! Unsafe because `Vec::extend_from_slice` of some ten bytes is a call to `memcpy` for every cell, and cost 30 % of the whole
//! writer where it was measured. Every write below stays within room reserved just before it.
#![allow(unsafe_code)]

use std::ops::Deref;

/// A growing run of bytes that writers append to.
#[derive(Default, Debug, Clone)]
pub struct Buffer {
    data: Vec<u8>,
}

/// Bytes that [`Buffer::near`] copies, whatever it keeps of them.
pub const TAIL: usize = 32;

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = ONES << 7;
const HEX: &[u8; 16] = b"0123456789ABCDEF";

// === impl Buffer ===

impl Deref for Buffer {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.data
    }
}

impl From<Vec<u8>> for Buffer {
    fn from(data: Vec<u8>) -> Self {
        Buffer { data }
    }
}

impl Buffer {
    pub fn clear(&mut self) {
        self.data.clear()
    }
    pub fn truncate(&mut self, len: usize) {
        self.data.truncate(len)
    }
    pub fn with_capacity(n: usize) -> Self {
        Buffer { data: Vec::with_capacity(n) }
    }
    pub fn into_vec(self) -> Vec<u8> {
        self.data
    }

    #[inline(always)]
    fn room(&mut self, n: usize) {
        if self.data.capacity() - self.data.len() < n {
            self.grow(n)
        }
    }

    #[cold]
    #[inline(never)]
    fn grow(&mut self, n: usize) {
        self.data.reserve(n.max(4096))
    }

    /// # Safety
    /// `f` gets the end of the data, writes within the room asked for, and returns where it stopped.
    #[inline(always)]
    unsafe fn write(&mut self, f: impl FnOnce(*mut u8) -> *mut u8) {
        // SAFETY: the end of the data is within the allocation, and by the contract `f` initialised everything up to what it returns.
        unsafe {
            let end = f(self.data.as_mut_ptr().add(self.data.len()));
            self.data.set_len(end.offset_from_unsigned(self.data.as_ptr()));
        }
    }

    #[inline(always)]
    pub fn push(&mut self, b: u8) {
        self.room(1);
        // SAFETY: one byte, and room for it.
        unsafe {
            self.write(|p| {
                *p = b;
                p.add(1)
            })
        }
    }

    /// The first `n` bytes of `from`, by one wide copy.
    #[inline(always)]
    pub fn near(&mut self, from: &[u8; TAIL], n: usize) {
        self.room(TAIL);
        // SAFETY: room for TAIL bytes, of which n ≤ TAIL are kept.
        unsafe {
            self.write(|p| {
                p.cast::<[u8; TAIL]>().write_unaligned(*from);
                p.add(n.min(TAIL))
            })
        }
    }

    #[inline(always)]
    pub fn put(&mut self, b: &[u8]) {
        let (n, s) = (b.len(), b.as_ptr());
        self.room(n);
        // SAFETY: n bytes are read from `b` and written to room for n; two overlapping copies of N ≤ n cover lengths N..=2N.
        unsafe {
            self.write(|p| {
                match n {
                    0 => {}
                    1..4 => {
                        *p = *s;
                        *p.add(n / 2) = *s.add(n / 2);
                        *p.add(n - 1) = *s.add(n - 1)
                    }
                    4..8 => twice::<4>(s, p, n),
                    8..16 => twice::<8>(s, p, n),
                    16..=32 => twice::<16>(s, p, n),
                    _ => s.copy_to_nonoverlapping(p, n),
                }
                p.add(n)
            })
        }
    }

    /// JSON text in quotes, as Jackson escapes it: control characters, quote and backslash; characters beyond the basic plane
    /// as two `\uXXXX`. Bytes that are not UTF-8 pass as they are.
    #[inline]
    pub fn quoted(&mut self, t: &[u8]) {
        self.room(t.len() * 6 + 32);
        // SAFETY: a byte becomes at most six (four bytes of UTF-8 become twelve), a wide store at most 15 more than it keeps.
        unsafe {
            self.write(|mut p| {
                *p = b'"';
                p = p.add(1);
                let mut i = 0;
                while i < t.len() {
                    if i + WIDE <= t.len() {
                        let clean = wide(t.as_ptr().add(i), p);
                        (i, p) = (i + clean, p.add(clean));
                        if clean == WIDE {
                            continue;
                        }
                    } else if i + 8 <= t.len() {
                        let w = t.as_ptr().add(i).cast::<u64>().read_unaligned();
                        p.cast::<u64>().write_unaligned(w);
                        let hit = special(u64::from_le(w));
                        let clean = if hit == 0 { 8 } else { hit.trailing_zeros() as usize / 8 };
                        (i, p) = (i + clean, p.add(clean));
                        if hit == 0 {
                            continue;
                        }
                    }
                    let b = *t.get_unchecked(i);
                    if b >= 0xF0 && i + 4 <= t.len() {
                        p = pair(t.as_ptr().add(i), p);
                        i += 4;
                        continue;
                    }
                    i += 1;
                    p = escaped(b, p);
                }
                *p = b'"';
                p.add(1)
            })
        }
    }
}

/// High bits of the bytes that are control characters, quotes, backslashes, or begin four bytes of UTF-8. May name a byte
/// behind a real hit too many, never one before it.
#[inline(always)]
fn special(w: u64) -> u64 {
    let zero = |w: u64| w.wrapping_sub(ONES) & !w & HIGHS;
    let control = w.wrapping_sub(ONES * 0x20) & !w & HIGHS;
    // 0xF0 and above: the four upper bits are all set
    let wide = w & (w << 1) & (w << 2) & (w << 3) & HIGHS;
    control | zero(w ^ (ONES * b'"' as u64)) | zero(w ^ (ONES * b'\\' as u64)) | wide
}

/// Bytes that [`wide`] looks at.
const WIDE: usize = 16;

/// Copies [`WIDE`] bytes, and says how many of them come before the first that [`special`] would name.
///
/// # Safety
/// So many bytes can be read at `s` and written at `p`.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
unsafe fn wide(s: *const u8, p: *mut u8) -> usize {
    use std::arch::x86_64::{
        _mm_cmpeq_epi8, _mm_loadu_si128, _mm_max_epu8, _mm_min_epu8, _mm_movemask_epi8, _mm_or_si128, _mm_set1_epi8,
        _mm_storeu_si128,
    };
    // SAFETY: as the caller says; every x86-64 has these instructions.
    unsafe {
        let bytes = _mm_loadu_si128(s.cast());
        _mm_storeu_si128(p.cast(), bytes);
        let equal = |b: u8| _mm_cmpeq_epi8(bytes, _mm_set1_epi8(b as i8));
        let control = _mm_cmpeq_epi8(bytes, _mm_min_epu8(bytes, _mm_set1_epi8(0x1F)));
        let four = _mm_cmpeq_epi8(bytes, _mm_max_epu8(bytes, _mm_set1_epi8(0xF0u8 as i8)));
        let hits = _mm_or_si128(_mm_or_si128(control, four), _mm_or_si128(equal(b'"'), equal(b'\\')));
        // a bit for each byte, and one behind them
        (_mm_movemask_epi8(hits) as u32 | 1 << WIDE).trailing_zeros() as usize
    }
}

/// As above, by two words.
///
/// # Safety
/// [`WIDE`] bytes can be read at `s` and written at `p`.
#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
unsafe fn wide(s: *const u8, p: *mut u8) -> usize {
    // SAFETY: as the caller says.
    unsafe {
        for at in [0, 8] {
            let w = s.add(at).cast::<u64>().read_unaligned();
            p.add(at).cast::<u64>().write_unaligned(w);
            let hit = special(u64::from_le(w));
            if hit != 0 {
                return at + hit.trailing_zeros() as usize / 8;
            }
        }
    }
    WIDE
}

/// What follows the backslash; 1 for \u00XX, 0 for no escape.
#[allow(clippy::indexing_slicing)] // when compiled, or not at all
static ESCAPES: [u8; 256] = {
    let mut t = [0; 256];
    let mut b = 0;
    while b < 32 {
        t[b] = 1;
        b += 1;
    }
    (t[8], t[9], t[10], t[12], t[13]) = (b'b', b't', b'n', b'f', b'r');
    (t[b'"' as usize], t[b'\\' as usize]) = (b'"', b'\\');
    t
};

/// # Safety
/// `p` has room for eight bytes.
#[inline(always)]
unsafe fn escaped(b: u8, p: *mut u8) -> *mut u8 {
    // SAFETY: as the caller says; the tables are indexed by a byte and by its halves.
    unsafe {
        match *ESCAPES.get_unchecked(b as usize) {
            0 => {
                *p = b;
                p.add(1)
            }
            1 => {
                let hex = |n: u8| *HEX.get_unchecked((n & 15) as usize);
                p.cast::<[u8; 6]>().write_unaligned([b'\\', b'u', b'0', b'0', hex(b >> 4), hex(b)]);
                p.add(6)
            }
            e => {
                p.cast::<[u8; 2]>().write_unaligned([b'\\', e]);
                p.add(2)
            }
        }
    }
}

/// Four bytes of UTF-8 as two UTF-16 escapes.
///
/// # Safety
/// Four bytes can be read at `s`, and `p` has room for twelve.
#[cold]
unsafe fn pair(s: *const u8, p: *mut u8) -> *mut u8 {
    // SAFETY: as the caller says; the table is indexed by four bits.
    unsafe {
        let part = |i: usize, bits: u8| (*s.add(i) & bits) as u32;
        let c = part(0, 7) << 18 | part(1, 63) << 12 | part(2, 63) << 6 | part(3, 63);
        let c = c.wrapping_sub(0x1_0000) & 0xF_FFFF;
        let mut at = p;
        for unit in [0xD800 + (c >> 10), 0xDC00 + (c & 0x3FF)] {
            let hex = |shift: u32| *HEX.get_unchecked((unit >> shift & 15) as usize);
            at.cast::<[u8; 6]>().write_unaligned([b'\\', b'u', hex(12), hex(8), hex(4), hex(0)]);
            at = at.add(6);
        }
        at
    }
}

/// # Safety
/// `n` is N to 2N, `s` can be read and `p` written for `n` bytes.
#[inline(always)]
unsafe fn twice<const N: usize>(s: *const u8, p: *mut u8, n: usize) {
    // SAFETY: as the caller says.
    unsafe {
        p.cast::<[u8; N]>().write_unaligned(*s.cast());
        p.add(n - N).cast::<[u8; N]>().write_unaligned(*s.add(n - N).cast());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// As Jackson writes it, slowly.
    fn slow(t: &str) -> String {
        let mut out = String::from("\"");
        for c in t.chars() {
            match c {
                '"' => out.push_str("\\\""),
                '\\' => out.push_str("\\\\"),
                '\u{8}' => out.push_str("\\b"),
                '\t' => out.push_str("\\t"),
                '\n' => out.push_str("\\n"),
                '\u{c}' => out.push_str("\\f"),
                '\r' => out.push_str("\\r"),
                c if c < ' ' => out.push_str(&format!("\\u{:04X}", c as u32)),
                c if c > '\u{FFFF}' => {
                    let mut units = [0; 2];
                    for u in c.encode_utf16(&mut units) {
                        out.push_str(&format!("\\u{u:04X}"))
                    }
                }
                c => out.push(c),
            }
        }
        out + "\""
    }

    proptest! {
        #[test]
        fn quoted_is_what_jackson_writes(texts in proptest::collection::vec("(?s)[ -~]{0,40}.{0,30}[a-z\"\\\\\u{0}-\u{1f}]{0,40}", 1..4)) {
            let (mut out, mut want) = (Buffer::default(), String::new());
            for t in &texts {
                out.quoted(t.as_bytes());
                want.push_str(&slow(t));
            }
            prop_assert_eq!(std::str::from_utf8(&out).unwrap(), want);
        }

        #[test]
        fn put_and_near_append_what_they_are_given(parts in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..70), 0..20)) {
            let (mut a, mut b, mut want) = (Buffer::default(), Buffer::default(), vec![]);
            for part in &parts {
                a.put(part);
                let (mut short, n) = ([7; TAIL], part.len().min(TAIL));
                short[..n].copy_from_slice(&part[..n]);
                b.near(&short, n);
                b.put(&part[n..]);
                want.extend_from_slice(part);
            }
            prop_assert_eq!(&a[..], &want[..]);
            prop_assert_eq!(&b[..], &want[..]);
        }

        #[test]
        fn quoted_takes_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let mut out = Buffer::default();
            out.quoted(&bytes);
            prop_assert!(out.len() >= 2 && out.len() <= bytes.len() * 6 + 2);
        }
    }
}
