//! Whether a word is English.

use std::collections::HashSet;
use std::sync::LazyLock;

use super::dictionary::contains;
use super::words::plain;

/// Words of verse that CMUdict lacks and no rule derives.
static POETIC: LazyLock<HashSet<&str>> = LazyLock::new(|| {
    let lines = include_str!("data/poetic.txt").lines().filter(|line| !line.starts_with('#'));
    lines.flat_map(str::split_whitespace).collect()
});

/// Whether a word, in capitals or not, is in the dictionary: CMUdict (of its words of one to three
/// letters only those that are English words, not names and abbreviations) and a list of ours of
/// the words of older verse; or derived from such a word by a rule:
///
/// - inflection and derivation by an ending ("wanders", "moonless", "cometh", "singin'"), with the
///   changes in spelling that go with it, and by a beginning ("unsung", "o'erhead");
/// - what poets' apostrophes leave out ("heav'n", "lov'd"), possessives, British spelling
///   ("colour"), pasts in t ("kist");
/// - compounds of two such words of together seven letters or more ("moonlight").
///
/// The word is made of letters and apostrophes inside, as [`words`](super::keywords::words) gives
/// it; a single letter is a word if it is a, i or o.
///
/// ```
/// use songwriter::verse::is_word;
///
/// assert!(["moon", "Goeth", "o'er", "heav'n", "singin'", "unsung"].into_iter().all(is_word));
/// assert!(!["moob", "thr", "whisserd"].into_iter().any(is_word));
/// ```
pub fn is_word(word: &str) -> bool {
    let word = word.trim_matches('\'').to_lowercase();
    is_listed(&word) || is_spelt_otherwise(&word) || is_derived(&word, 2) || is_compound(&word)
}

fn is_listed(word: &str) -> bool {
    contains(word) || POETIC.contains(word)
}

fn is_spelt_otherwise(word: &str) -> bool {
    if let Some((head, tail)) = word.split_once('\'') {
        return match (head, tail) {
            (_, "s" | "ll" | "ve" | "re" | "m" | "d") if is_word(head) => true,
            ("o" | "th" | "d" | "t", tail) => is_word(tail),
            _ => is_listed(&plain(word)) || is_derived(&plain(word), 1),
        };
    }
    const BRITISH: [(&str, &str); 8] = [
        ("our", "or"),
        ("ll", "l"),
        ("is", "iz"),
        ("re", "er"),
        ("ence", "ense"),
        ("ae", "e"),
        ("gg", "g"),
        ("ugh", ""),
    ];
    BRITISH.iter().any(|(ours, theirs)| {
        word.match_indices(ours).any(|(i, _)| {
            let other = format!("{}{theirs}{}", &word[..i], &word[i + ours.len()..]);
            i > 0 && word.len() > 4 && (is_listed(&other) || is_derived(&other, 1))
        })
    })
}

/// Endings with what may stand in their place in the word without them; `=` doubles: "run-n-ing".
const ENDINGS: &[(&str, &[&str])] = &[
    ("s", &[""]),
    ("es", &["", "e"]),
    ("ies", &["y"]),
    ("ves", &["f", "fe"]),
    ("ed", &["", "e", "="]),
    ("ied", &["y"]),
    ("ing", &["", "e", "="]),
    ("ings", &["", "e", "="]),
    ("in", &["ing"]),
    ("er", &["", "e", "="]),
    ("ers", &["", "e", "="]),
    ("ier", &["y"]),
    ("est", &["", "e", "="]),
    ("iest", &["y"]),
    ("eth", &["", "e", "="]),
    ("ieth", &["y"]),
    ("edst", &["", "e", "="]),
    ("th", &[""]),
    ("st", &[""]),
    ("ly", &["", "le"]),
    ("ily", &["y"]),
    ("ness", &[""]),
    ("iness", &["y"]),
    ("less", &[""]),
    ("ful", &[""]),
    ("iful", &["y"]),
    ("like", &[""]),
    ("ward", &[""]),
    ("wards", &[""]),
    ("some", &[""]),
    ("ship", &[""]),
    ("hood", &[""]),
    ("let", &[""]),
    ("ling", &[""]),
    ("ish", &["", "e", "="]),
    ("y", &["", "e", "="]),
    ("en", &["", "e", "="]),
    ("able", &["", "e", "="]),
    ("ment", &[""]),
    ("ous", &["", "y"]),
    ("t", &["ed", "ped", "sed"]),
];

const BEGINNINGS: [&str; 12] =
    ["un", "o'er", "over", "out", "up", "under", "fore", "re", "be", "mis", "dis", "en"];

/// Whether a listed word is left when up to `depth` endings and a beginning are taken away.
fn is_derived(word: &str, depth: usize) -> bool {
    /// Shorter stems are found in too many strings of letters.
    const SHORTEST: usize = 3;
    let is_known = |stem: &str| {
        stem.len() >= SHORTEST && (is_listed(stem) || (depth > 1 && is_derived(stem, depth - 1)))
    };
    let by_ending = ENDINGS.iter().any(|(ending, replaced)| {
        let Some(stem) = word.strip_suffix(ending).filter(|stem| stem.len() >= SHORTEST) else {
            return false;
        };
        replaced.iter().any(|with| match *with {
            "=" => undoubled(stem).is_some_and(is_known),
            with => is_known(&format!("{stem}{with}")),
        })
    });
    by_ending
        || BEGINNINGS.iter().any(|beginning| {
            let rest = word.strip_prefix(beginning).filter(|rest| rest.len() > SHORTEST);
            rest.is_some_and(is_known)
        })
}

/// "Run" of "runn".
fn undoubled(stem: &str) -> Option<&str> {
    let mut last = stem.bytes().rev();
    (last.next() == last.next()).then(|| &stem[..stem.len() - 1])
}

fn is_compound(word: &str) -> bool {
    const LONG_ENOUGH: usize = 7;
    word.is_ascii()
        && word.len() >= LONG_ENOUGH
        && (3..=word.len() - 3).any(|cut| is_listed(&word[..cut]) && is_listed(&word[cut..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_all_times_are_words() {
        for word in [
            "a",
            "I",
            "the",
            "moon",
            "singing",
            "Singin'",
            "goeth",
            "cometh",
            "runneth",
            "livest",
            "o'er",
            "o'erhead",
            "e'en",
            "'twas",
            "twas",
            "heav'n",
            "lov'd",
            "wand'ring",
            "heart's",
            "don't",
            "colour",
            "revelled",
            "kist",
            "drest",
            "moonlight",
            "unsung",
            "moonless",
            "loveliest",
            "drearily",
            "happiness",
            "foemen",
        ] {
            assert!(is_word(word), "{word}");
        }
    }

    #[test]
    fn strings_of_letters_are_none() {
        for word in
            ["", "'", "x", "thr", "moob", "whisserd", "gloamish'k", "tle", "brightlyer'n", "ghtni", "sllp"]
        {
            assert!(!is_word(word), "{word}");
        }
    }
}
