//! Packs CMUdict into what rhyme and syllables need, a tenth of its size.
//!
//! Words are sorted by their letters from the last to the first, so that neighbours end alike in
//! letters and mostly in sounds; a word says only how it differs from the one before, and where
//! spelling misleads. `src/verse/dictionary.rs` unpacks it and describes the streams.

use std::collections::{BTreeMap, BTreeSet};

use crate::{phonemes, spelling};

/// How a word sounds from its last stressed vowel on.
#[derive(Clone, PartialEq, Eq)]
struct Sound {
    rime: Vec<u8>,
    onset: u8,
    syllables: u8,
}

/// The packed table of a dictionary in CMUdict's format. Of words of up to three letters only
/// those in `short` are kept.
pub fn pack(dictionary: &str, short: &str) -> Vec<u8> {
    let words = read(dictionary, short);
    let mut order: Vec<&String> = words.keys().collect();
    order.sort_by(|a, b| a.bytes().rev().cmp(b.bytes().rev()));

    let onsets = onsets_by_letters(&words);
    let mut map = Vec::new();
    for (letters, onset) in &onsets {
        map.extend(letters.bytes().chain([b'\n', *onset]));
    }
    // Letters, rimes, onsets, syllables, other pronunciations.
    let mut streams = [map, vec![], vec![], vec![], vec![], vec![], vec![], vec![]];
    let [_, kept_letters, letters, kept_sounds, new_sounds, onset, syllables, others] = &mut streams;
    let (mut last_word, mut last_rime): (Vec<u8>, Vec<u8>) = Default::default();
    let mut last_other = 0;
    for (i, &word) in order.iter().enumerate() {
        let reversed: Vec<u8> = word.bytes().rev().collect();
        let kept = shared(&reversed, &last_word);
        kept_letters.push(kept as u8);
        letters.extend(reversed[kept..].iter().copied().chain([b'\n']));
        last_word = reversed;

        let sounds = &words[word];
        let rime: Vec<u8> = sounds[0].rime.iter().rev().copied().collect();
        let kept = shared(&rime, &last_rime).min(last_rime.len());
        let (dropped, added) = (last_rime.len() - kept, rime.len() - kept);
        assert!(dropped < 16 && added < 16, "{word} has too long a rime");
        kept_sounds.push((dropped << 4 | added) as u8);
        new_sounds.extend(&rime[kept..]);
        last_rime = rime;

        onset.push(match onsets.get(letters_of(word, &sounds[0])) {
            Some(&guess) if guess == sounds[0].onset => 0,
            _ => sounds[0].onset + 1,
        });
        syllables.push(sounds[0].syllables.wrapping_sub(spelling::syllables(word) as u8));
        for other in &sounds[1..] {
            let mut skip = i - last_other;
            while skip >= 255 {
                others.push(255);
                skip -= 255;
            }
            last_other = i;
            others.extend([skip as u8, other.onset, other.syllables, other.rime.len() as u8]);
            others.extend(&other.rime);
        }
    }
    let mut packed = Vec::new();
    for stream in &streams {
        packed.extend((stream.len() as u32).to_le_bytes());
    }
    packed.extend(streams.concat());
    packed
}

fn shared(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

/// Words with their pronunciations, the usual one first.
fn read(dictionary: &str, short: &str) -> BTreeMap<String, Vec<Sound>> {
    let short: BTreeSet<&str> = lines(short).flat_map(str::split_whitespace).collect();
    let mut words: BTreeMap<String, Vec<(bool, Sound)>> = BTreeMap::new();
    for line in lines(dictionary) {
        let mut fields = line.split_whitespace();
        let Some(name) = fields.next() else { continue };
        let word = name.split('(').next().unwrap_or(name).trim_start_matches('\'');
        let is_plain = word.bytes().all(|b| b.is_ascii_lowercase() || b == b'\'');
        // Possessives and "singin'" are told by rule.
        if !is_plain
            || word.is_empty()
            || word.ends_with("'s")
            || word.ends_with('\'')
            || (word.len() < 4 && !short.contains(word))
        {
            continue;
        }
        let Some(sound) = sound(fields) else { continue };
        let sounds = words.entry(word.to_string()).or_default();
        if !sounds.contains(&sound) {
            sounds.push(sound);
        }
    }
    // How "been" sounds where nobody stresses it ("bun") is no rhyme of it.
    let stressed = |mut sounds: Vec<(bool, Sound)>| {
        if sounds.iter().any(|(stressed, _)| *stressed) {
            sounds.retain(|(stressed, _)| *stressed);
        }
        sounds.into_iter().map(|(_, sound)| sound).collect()
    };
    words.into_iter().map(|(word, sounds)| (word, stressed(sounds))).collect()
}

/// Lines without their comments.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(|line| line.split('#').next().unwrap_or("").trim()).filter(|line| !line.is_empty())
}

/// From the last vowel with a stress, primary or secondary, on; from the last vowel where none
/// has; and whether one has. Nothing for what has no vowel.
fn sound<'a>(pronunciation: impl Iterator<Item = &'a str>) -> Option<(bool, Sound)> {
    let sounds = merged(&pronunciation.collect::<Vec<_>>());
    let vowels: Vec<usize> = (0..sounds.len()).filter(|&i| phonemes::is_vowel(sounds[i].0)).collect();
    let last = vowels.len().checked_sub(1)?;
    let stressed = vowels.iter().rposition(|&i| sounds[i].1).unwrap_or(last);
    let begin = stressed.checked_sub(1).map_or(0, |before| vowels[before] + 1);
    let bytes: Vec<u8> = sounds.iter().map(|s| s.0).collect();
    let sound = Sound {
        rime: bytes[vowels[stressed]..].to_vec(),
        onset: phonemes::onset(&bytes[begin..vowels[stressed]]),
        syllables: vowels.len() as u8,
    };
    Some((sounds[vowels[stressed]].1, sound))
}

/// Sounds with whether they are stressed. Those that CMUdict itself does not keep apart are made
/// one: "dog" and "log" differ in it, so do "here" and "near", and "fire" has one syllable or two.
fn merged(pronunciation: &[&str]) -> Vec<(u8, bool)> {
    let mut sounds = Vec::new();
    for (i, &phoneme) in pronunciation.iter().enumerate() {
        let before_r = pronunciation.get(i + 1) == Some(&"R");
        let stressed = phoneme.ends_with(['1', '2']);
        let name = phoneme.trim_end_matches(|c: char| c.is_ascii_digit());
        let name = match (name, before_r, stressed) {
            ("AO", false, _) => "AA",
            ("OW", true, _) => "AO",
            ("IY", true, _) => "IH",
            ("UW", true, _) => "UH",
            ("EY" | "AE", true, true) => "EH",
            ("IH", false, false) => "AH",
            _ => name,
        };
        let follows_glide =
            i > 0 && matches!(&pronunciation[i - 1][..2.min(pronunciation[i - 1].len())], "AY" | "AW" | "OY");
        let name = if name == "R" && follows_glide { "ER" } else { name };
        // "Which" and "witch" begin alike for most speakers.
        if name == "HH" && pronunciation.get(i + 1) == Some(&"W") {
            continue;
        }
        sounds.push((byte(name).unwrap_or_else(|| panic!("no sound {phoneme}")), stressed));
    }
    sounds
}

/// The byte of a phoneme.
fn byte(phoneme: &str) -> Option<u8> {
    phonemes::PHONEMES.iter().position(|p| *p == phoneme).and_then(|i| u8::try_from(i).ok())
}

fn letters_of<'a>(word: &'a str, sound: &Sound) -> &'a str {
    let syllables = sound.rime.iter().filter(|s| phonemes::is_vowel(**s)).count();
    spelling::onset_letters(word, syllables)
}

/// The usual onset of each run of letters that is seen at least three times.
fn onsets_by_letters(words: &BTreeMap<String, Vec<Sound>>) -> BTreeMap<&str, u8> {
    let mut counts: BTreeMap<&str, BTreeMap<u8, usize>> = BTreeMap::new();
    for (word, sounds) in words {
        *counts.entry(letters_of(word, &sounds[0])).or_default().entry(sounds[0].onset).or_default() += 1;
    }
    let usual = |(letters, onsets): (_, BTreeMap<u8, usize>)| {
        let (onset, count) = onsets.into_iter().max_by_key(|&(onset, count)| (count, u8::MAX - onset))?;
        (count > 2).then_some((letters, onset))
    };
    counts.into_iter().filter_map(usual).collect()
}
