//! The sounds of English as one byte each. The build script reads this file too.

/// CMUdict's phonemes, vowels first; a sound is its place here.
pub const PHONEMES: [&str; 39] = [
    "AA", "AE", "AH", "AO", "AW", "AY", "EH", "ER", "EY", "IH", "IY", "OW", "OY", "UH", "UW", // vowels
    "B", "CH", "D", "DH", "F", "G", "HH", "JH", "K", "L", "M", "N", "NG", "P", "R", "S", "SH", "T", "TH",
    "V", "W", "Y", "Z", "ZH",
];

/// How many of them are vowels.
const VOWELS: u8 = 15;

/// The clusters that an English syllable begins with, as far as they have more than one sound.
const ONSETS: &str = "B L,B R,B Y,D R,D W,D Y,F L,F R,F Y,G L,G R,G W,G Y,HH Y,K L,K R,K W,K Y,M Y,N Y,P L,P R,\
    P Y,S F,S K,S K L,S K R,S K W,S K Y,S L,S M,S N,S P,S P L,S P R,S P Y,S T,S T R,S T Y,S W,SH L,SH M,SH N,\
    SH R,SH W,T R,T W,T Y,TH R,TH W,V Y";

/// Whether the sound is a vowel.
pub fn is_vowel(sound: u8) -> bool {
    sound < VOWELS
}

/// What stands in front of a vowel in its syllable, of all consonants between it and the vowel
/// before: the longest cluster that a word could begin with ("maximal onset"). "Com-plain" and
/// "plain" so begin their rhyming syllable alike, "light" and "slight" don't. The glide of "new"
/// is not counted, since half of the speakers leave it out.
///
/// A number that is equal for equal onsets: 0 for none.
pub fn onset(consonants: &[u8]) -> u8 {
    const Y: u8 = 36;
    let consonants = match consonants {
        [head @ .., Y] if !head.is_empty() => head,
        all => all,
    };
    let name = |sounds: &[u8]| {
        let names: Vec<&str> = sounds.iter().map(|&s| PHONEMES[usize::from(s)]).collect();
        names.join(" ")
    };
    for length in (2..=consonants.len().min(3)).rev() {
        let cluster = name(&consonants[consonants.len() - length..]);
        if let Some(place) = ONSETS.split(',').position(|onset| onset == cluster) {
            return 64 + place as u8;
        }
    }
    consonants.last().copied().unwrap_or(0)
}
