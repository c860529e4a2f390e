//! Whether a song is in English: by the share of its words that a dictionary knows, as the first
//! Neural Songwriter did it, with a language identifier for a second opinion.

use whatlang::Lang;

/// The share of words that are not in the dictionary, from 0 to 1; 1 if there are no words.
pub fn unknown_share(text: &str, is_word: &dyn Fn(&str) -> bool) -> f64 {
    let (mut all, mut unknown) = (0u32, 0u32);
    let words = text.split(|c: char| !c.is_alphabetic() && c != '\'');
    for word in words.map(|w| w.trim_matches('\'')).filter(|w| !w.is_empty()) {
        all += 1;
        unknown += u32::from(!is_known(&word.to_lowercase(), is_word));
    }
    if all == 0 { 1.0 } else { f64::from(unknown) / f64::from(all) }
}

fn is_known(word: &str, is_word: &dyn Fn(&str) -> bool) -> bool {
    is_word(word)
        // "the river's", "lovin" for "loving".
        || word.strip_suffix("'s").is_some_and(is_word)
        || word.strip_suffix("in").is_some_and(|stem| is_word(&format!("{stem}ing")))
}

/// The language that a text looks to be in, by its letters and their triples.
pub fn language(text: &str) -> &'static str {
    whatlang::detect_lang(text).map_or("unknown", |lang: Lang| lang.eng_name())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_counted_as_sung() {
        let is_word = |w: &str| ["the", "river", "loving", "don't", "is"].contains(&w);
        let share = |text: &str| unknown_share(text, &is_word);
        assert_eq!(share("The river's 'lovin\u{27}, don't, the RIVER"), 0.0);
        assert_eq!(share("the r\u{ed}o, the agua 1999"), 0.5);
        assert_eq!(share("1999 -- !"), 1.0);
        assert_eq!(share("\u{4f60}\u{597d} \u{4e16}\u{754c}"), 1.0);
    }

    #[test]
    fn languages_are_told_apart() {
        assert_eq!(language("The night is long and the road goes on without an end for us"), "English");
        assert_eq!(language("La noche es larga y el camino sigue sin fin para nosotros dos"), "Spanish");
        assert_eq!(language(""), "unknown");
    }
}
