//! Text of unknown encoding made readable.

/// What Windows-1252 has at 0x80 to 0x9f; the five gaps stand for themselves.
const WINDOWS_1252: [char; 32] = [
    '\u{20ac}', '\u{81}', '\u{201a}', '\u{192}', '\u{201e}', '\u{2026}', '\u{2020}', '\u{2021}', '\u{2c6}',
    '\u{2030}', '\u{160}', '\u{2039}', '\u{152}', '\u{8d}', '\u{17d}', '\u{8f}', '\u{90}', '\u{2018}',
    '\u{2019}', '\u{201c}', '\u{201d}', '\u{2022}', '\u{2013}', '\u{2014}', '\u{2dc}', '\u{2122}', '\u{161}',
    '\u{203a}', '\u{153}', '\u{9d}', '\u{17e}', '\u{178}',
];

/// Reads bytes as UTF-8, as UTF-16 if they begin with its mark, else as Windows-1252, which has a
/// sign for each byte. Also says whether they were something other than UTF-8.
pub fn decode(bytes: &[u8]) -> (String, bool) {
    let utf16 = |unit: fn([u8; 2]) -> u16| {
        let units: Vec<u16> = bytes[2..].as_chunks().0.iter().map(|pair| unit(*pair)).collect();
        String::from_utf16_lossy(&units)
    };
    match bytes {
        [0xff, 0xfe, ..] => return (utf16(u16::from_le_bytes), true),
        [0xfe, 0xff, ..] => return (utf16(u16::from_be_bytes), true),
        _ => {}
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => (text.strip_prefix('\u{feff}').unwrap_or(text).to_string(), false),
        Err(_) => (bytes.iter().map(|b| from_1252(*b)).collect(), true),
    }
}

fn from_1252(byte: u8) -> char {
    match byte {
        0x80..=0x9f => WINDOWS_1252[usize::from(byte - 0x80)],
        _ => char::from(byte),
    }
}

fn to_1252(c: char) -> Option<u8> {
    match u32::from(c) {
        code @ (0..0x80 | 0xa0..0x100) => Some(code as u8),
        _ => WINDOWS_1252.iter().position(|known| *known == c).map(|i| i as u8 + 0x80),
    }
}

/// Undoes the commonest accident of the web: UTF-8 that was read as Windows-1252 and written as
/// UTF-8 again, an apostrophe being three strange signs since. None if that is not what happened.
///
/// Bytes that came from other text hardly ever form UTF-8 by chance, so one that does tells.
pub fn undo_double_encoding(text: &str) -> Option<String> {
    if text.is_ascii() {
        return None;
    }
    let bytes: Vec<u8> = text.chars().map(to_1252).collect::<Option<_>>()?;
    let once = String::from_utf8(bytes).ok()?;
    // It may have happened twice.
    Some(undo_double_encoding(&once).unwrap_or(once))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodings_are_told_apart() {
        assert_eq!(decode("caf\u{e9}".as_bytes()), ("caf\u{e9}".into(), false));
        assert_eq!(decode(b"\xef\xbb\xbfplain"), ("plain".into(), false));
        assert_eq!(decode(b"caf\xe9 don\x92t"), ("caf\u{e9} don\u{2019}t".into(), true));
        let utf16 = |swap: bool| -> Vec<u8> {
            let units = "\u{feff}caf\u{e9}".encode_utf16();
            units.flat_map(|u| if swap { u.to_be_bytes() } else { u.to_le_bytes() }).collect()
        };
        assert_eq!(decode(&utf16(false)), ("caf\u{e9}".into(), true));
        assert_eq!(decode(&utf16(true)), ("caf\u{e9}".into(), true));
        assert_eq!(decode(b"\xff\xfe"), (String::new(), true));
    }

    #[test]
    fn double_encoding_is_undone() {
        let good = "I can\u{2019}t say na\u{ef}ve \u{2014} or caf\u{e9}";
        let again = |text: &str| -> String { text.bytes().map(from_1252).collect() };
        let once = again(good);
        assert_ne!(once, good);
        assert_eq!(undo_double_encoding(&once).as_deref(), Some(good));
        assert_eq!(undo_double_encoding(&again(&once)).as_deref(), Some(good));
        for fine in [good, "plain", "caf\u{e9}", "\u{4f60}\u{597d}", "d\u{e9}j\u{e0} vu"] {
            assert_eq!(undo_double_encoding(fine), None, "{fine}");
        }
    }
}
