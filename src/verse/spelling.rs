//! What a spelling says of a word's sound. The build script reads this file too: the table holds
//! only what these guesses get wrong.

/// The runs of letters that are vowels, as (begin, end): a final e that is not heard ("love",
/// "loved", "loves") is none, i before another vowel is heard by itself ("radio") but after t, s,
/// c, g or x is not ("nation").
pub fn vowel_groups(word: &[u8]) -> Vec<(usize, usize)> {
    let is_vowel = |i: usize| match word[i] {
        b'a' | b'e' | b'i' | b'o' | b'u' => !(word[i] == b'u' && i > 0 && word[i - 1] == b'q'),
        b'y' => i > 0,
        _ => false,
    };
    let mut groups: Vec<(usize, usize)> = Vec::new();
    for i in 0..word.len() {
        if !is_vowel(i) {
            continue;
        }
        let splits = i > 1
            && matches!((word[i - 1], word[i]), (b'i', b'a' | b'o' | b'u'))
            && !matches!(word[i - 2], b't' | b's' | b'c' | b'g' | b'x' | b'a' | b'e' | b'o');
        match groups.last_mut() {
            Some(group) if group.1 == i && !splits => group.1 += 1,
            _ => groups.push((i, i + 1)),
        }
    }
    if groups.len() > 1 && ends_in_silent_e(word, groups[groups.len() - 1]) {
        groups.pop();
    }
    groups
}

/// Whether the word's last vowel group is an e that only changes what stands before it.
fn ends_in_silent_e(word: &[u8], (begin, end): (usize, usize)) -> bool {
    if end - begin != 1 || word[begin] != b'e' || begin < 2 {
        return false;
    }
    let before = word[begin - 1];
    let consonant_before = !matches!(word[begin - 2], b'a' | b'e' | b'i' | b'o' | b'u' | b'y');
    match &word[end..] {
        // "little" and "acre" have a syllable there.
        b"" => !(matches!(before, b'l' | b'r') && consonant_before && word[begin - 2] != before),
        b"s" => !matches!(before, b's' | b'x' | b'z' | b'c' | b'g') && !ends_in_hush(word, begin),
        b"d" => !matches!(before, b't' | b'd'),
        _ => false,
    }
}

fn ends_in_hush(word: &[u8], begin: usize) -> bool {
    matches!(&word[begin - 2..begin], b"ch" | b"sh")
        || word[..begin].ends_with(b"l") && {
            !matches!(word[begin - 2], b'a' | b'e' | b'i' | b'o' | b'u' | b'y' | b'l')
        }
}

/// Syllables by spelling, at least one.
pub fn syllables(word: &str) -> usize {
    vowel_groups(word.as_bytes()).len().max(1)
}

/// The consonants in front of the last `syllables` syllables, with the letter behind them where
/// they sound by it (c, g, s, t, x).
pub fn onset_letters(word: &str, syllables: usize) -> &str {
    let bytes = word.as_bytes();
    let groups = vowel_groups(bytes);
    let Some(group) = groups.len().checked_sub(syllables) else { return "" };
    let begin = group.checked_sub(1).map_or(0, |before| groups[before].1);
    let Some(&(vowel, _)) = groups.get(group) else { return "" };
    let with_next = matches!(bytes[..vowel].last(), Some(b'c' | b'g' | b's' | b't' | b'x'));
    word.get(begin..vowel + usize::from(with_next)).unwrap_or("")
}
