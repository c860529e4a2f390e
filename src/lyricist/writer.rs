//! The lyricist at work: a trained network, its alphabet, and the loop that writes.

use std::ops::ControlFlow;

use super::alphabet::{Alphabet, END};
use super::brief::Brief;
use super::char_rnn::CharRnnConfig;
use super::drafts::{Draft, Drawing, Symbols, end_in, finish, graft};
use super::judge;
use super::options::SongOptions;
use super::prompt::{Keyword, Prompt, resolve};
use super::sampling::Rng;
use super::tape::{Place, Tape};
use crate::error::{Error, Result};
use crate::nn::{Compute, Stepper};
use crate::verse::keywords::{KeywordVocabulary, closing_words, stem, words};
use crate::verse::{Rhymer, last_word, rhymes};
use crate::weights::{CONFIG, ModelFiles};

/// Name of the vocabulary file in a lyricist's folder.
pub const ALPHABET: &str = "alphabet.json";

/// Name of the file with the words that can be keywords.
pub const KEYWORDS: &str = "keywords.json";

/// Drafts of a line among which one is chosen.
const DRAFTS: usize = 8;

/// Rhyming words that are tried, the most frequent ones.
const RHYMES: usize = 80;

/// A written song.
#[derive(Debug, Clone, PartialEq)]
pub struct Song {
    /// The text, a seed text in front.
    pub text: String,
    /// The seed that gives it again.
    pub random_seed: u64,
    /// The temperature it was drawn at.
    pub temperature: f32,
    /// What became of the keywords.
    pub keywords: Vec<Keyword>,
    /// Characters of the seed text that are not in the alphabet and were left out.
    pub left_out: usize,
}

impl Song {
    /// Whether the word that stands for a keyword is in the song, in this or another form.
    pub fn holds(&self, keyword: &Keyword) -> bool {
        keyword.stem().is_some_and(|keyword| words(&self.text).iter().any(|word| stem(word) == keyword))
    }
}

/// Alphabet, words that can be keywords, and architecture of a model folder, which have to fit each
/// other. A network that is told nothing has no keywords.
///
/// # Errors
/// They do not, or can't be read.
pub fn describe(files: &ModelFiles) -> Result<(Alphabet, KeywordVocabulary, CharRnnConfig)> {
    let alphabet: Alphabet = files.json(ALPHABET)?;
    let config: CharRnnConfig = files.json(CONFIG)?;
    config.check()?;
    let keywords: KeywordVocabulary =
        if config.context_rows > 0 { files.json(KEYWORDS)? } else { KeywordVocabulary::default() };
    let fits = |file: &str, found: usize, wanted: usize| {
        let why = || format!("{file} stands for {found} rows, {CONFIG} says {wanted}");
        if found == wanted { Ok(()) } else { Err(Error::model("lyricist", why())) }
    };
    fits(ALPHABET, alphabet.len(), config.alphabet_size)?;
    if config.context_rows > 0 {
        fits(KEYWORDS, Brief::rows(&keywords), config.context_rows)?;
    }
    Ok((alphabet, keywords, config))
}

/// A trained lyricist.
pub struct Lyricist {
    pub(super) alphabet: Alphabet,
    symbols: Symbols,
    keywords: KeywordVocabulary,
    rhymer: Rhymer,
    pub(super) network: Stepper,
    /// Whether the network learnt whole songs and so knows what a stanza follows on.
    whole_songs: bool,
}

impl std::fmt::Debug for Lyricist {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lyricist").field("network", &self.network).finish_non_exhaustive()
    }
}

/// A song on its way.
struct Work {
    rng: Rng,
    /// All that is in front of the stanza at work, a seed text included.
    before: String,
    /// Whole lines of the stanza at work.
    lines: Vec<String>,
    /// The beginning of the line at work that the seed text gives.
    given: Vec<usize>,
    /// Stems of the keywords that are in no line yet, and the words.
    missing: Vec<(String, String)>,
    /// Stems of the other keywords.
    present: Vec<String>,
    place: Place,
}

impl Work {
    /// The song up to here, with a line at work behind it.
    fn text(&self, line: &str) -> String {
        let mut text = self.before.clone();
        for line in self.lines.iter().map(String::as_str).chain(Some(line).filter(|line| !line.is_empty())) {
            text.push_str(line);
            text.push('\n');
        }
        text.truncate(text.trim_end().len());
        text
    }
}

impl Lyricist {
    /// Sets up the network of a model folder on a device.
    ///
    /// # Errors
    /// The folder's files do not fit together.
    pub fn new(files: &ModelFiles, compute: &Compute) -> Result<Self> {
        let (alphabet, keywords, config) = describe(files)?;
        let network = Stepper::new(config.stepper(), &files.tensors()?, compute)?;
        let mut ends = closing_words();
        ends.extend(keywords.words().iter().map(String::as_str));
        let (symbols, rhymer) = (Symbols::of(&alphabet), Rhymer::new(&ends));
        Ok(Self { network, symbols, rhymer, alphabet, keywords, whole_songs: config.whole_songs })
    }

    /// For each keyword, the word that stands for it in a song.
    pub fn resolve(&self, keywords: &[String]) -> Vec<Keyword> {
        resolve(keywords, &self.keywords)
    }

    /// Scores of the character after a text, `[alphabet]`.
    ///
    /// # Errors
    /// The GPU does not answer.
    pub async fn logits(&self, text: &str) -> Result<Vec<f32>> {
        let mut state = self.network.state(1);
        let mut scores = self.network.step(&[END], &mut state).await?;
        for id in self.alphabet.encode(text).0 {
            scores = self.network.step(&[id], &mut state).await?;
        }
        Ok(scores)
    }

    /// Writes songs with the seeds `random_seed`, `random_seed + 1` and so on, all at once; each is
    /// the same as if it were written alone. `on_text` is handed the number of a song and its text so
    /// far whenever a line is done (with [`SongOptions::choose`] off: a character) and may stop the
    /// writing; the songs up to there are returned.
    ///
    /// # Errors
    /// An option is out of range, the seed text has no character that is known, or the GPU does not
    /// answer.
    pub async fn write(
        &self,
        prompt: &Prompt,
        options: &SongOptions,
        songs: usize,
        mut on_text: impl AsyncFnMut(usize, &str) -> ControlFlow<()>,
    ) -> Result<Vec<Song>> {
        options.check()?;
        let (seed_ids, left_out) = self.alphabet.encode(&prompt.text);
        if seed_ids.is_empty() && left_out > 0 {
            return Err(Error::Usage(format!(
                "The songwriter knows none of the characters of {:?}; it writes English.",
                prompt.text.trim()
            )));
        }
        let keywords = self.resolve(&prompt.keywords);
        let subject = [prompt.keywords.join(" "), prompt.text.clone()].join("\n");
        let seeds: Vec<u64> = (0..songs as u64).map(|k| options.random_seed.wrapping_add(k)).collect();
        let mut tape = Tape::new(&self.network);
        let mut works: Vec<Work> = Vec::new();
        let mut flow = ControlFlow::Continue(());
        for stanza in 0..options.stanzas {
            let missing = || {
                let used = keywords.iter().filter_map(|k| k.used.as_deref());
                used.map(|word| (stem(word), word.to_string())).collect::<Vec<_>>()
            };
            if stanza == 0 {
                let mut place = self.begin(&mut tape, options, &keywords).await?;
                let (before, given) = self.read_seed(&mut tape, &mut place, &seed_ids).await?;
                works.extend(seeds.iter().map(|&seed| Work {
                    rng: Rng::for_text(seed, &subject),
                    before: before.clone(),
                    lines: Vec::new(),
                    given: given.clone(),
                    missing: missing(),
                    present: Vec::new(),
                    place,
                }));
            } else {
                for work in &mut works {
                    work.before = work.text("") + "\n\n";
                    work.lines.clear();
                    if work.missing.is_empty() {
                        work.missing = missing();
                        work.present.clear();
                    }
                }
                self.go_on(&mut tape, &mut works, options, &keywords).await?;
            }
            for line in 0..options.lines {
                flow = self.write_line(&mut tape, &mut works, options, line, &mut on_text).await?;
                if flow.is_break() {
                    break;
                }
            }
            if flow.is_break() {
                break;
            }
        }
        let song = |(work, random_seed): (Work, u64)| Song {
            text: work.text(""),
            random_seed,
            temperature: options.temperature,
            keywords: keywords.clone(),
            left_out,
        };
        Ok(works.into_iter().zip(seeds).map(song).collect())
    }

    /// Begins a stanza: what the network is told, and the symbol that begins texts.
    async fn begin(&self, tape: &mut Tape<'_>, options: &SongOptions, keywords: &[Keyword]) -> Result<Place> {
        let places = tape.begin(&[self.brief(options, keywords).ids()], END).await?;
        Ok(places[0])
    }

    /// What the network is told of a stanza.
    pub(super) fn brief(&self, options: &SongOptions, keywords: &[Keyword]) -> Brief {
        Brief {
            kind: options.kind,
            mood: options.mood,
            lines: Some(options.lines),
            keywords: keywords.iter().filter_map(|k| k.index).collect(),
        }
    }

    /// Begins a further stanza: behind a blank line where the network knows such, else afresh.
    async fn go_on(
        &self,
        tape: &mut Tape<'_>,
        works: &mut [Work],
        options: &SongOptions,
        keywords: &[Keyword],
    ) -> Result<()> {
        let Some(newline) = self.alphabet.id('\n').filter(|_| self.whole_songs) else {
            let place = self.begin(tape, options, keywords).await?;
            works.iter_mut().for_each(|work| work.place = place);
            return Ok(());
        };
        let from: Vec<Place> = works.iter().map(|work| work.place).collect();
        let places = tape.read(&from, &vec![newline; works.len()]).await?;
        works.iter_mut().zip(places).for_each(|(work, place)| work.place = place);
        Ok(())
    }

    /// Reads a seed text; gives its whole lines, and the symbols of the one that it leaves open.
    async fn read_seed(
        &self,
        tape: &mut Tape<'_>,
        place: &mut Place,
        ids: &[usize],
    ) -> Result<(String, Vec<usize>)> {
        for &id in ids {
            *place = tape.read(&[*place], &[id]).await?[0];
            tape.keep(std::slice::from_mut(place));
        }
        let text: String = ids.iter().filter_map(|&id| self.alphabet.character(id)).collect();
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        let given = ids[text[..whole].chars().count()..].to_vec();
        Ok((text[..whole].to_string(), given))
    }

    /// Writes one line of each song.
    async fn write_line(
        &self,
        tape: &mut Tape<'_>,
        works: &mut [Work],
        options: &SongOptions,
        line: usize,
        on_text: &mut impl AsyncFnMut(usize, &str) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>> {
        let last = line + 1 == options.lines;
        // A song goes on behind a stanza that is not its last where the network knows whole songs.
        let drawing = Drawing {
            temperature: options.temperature,
            top_p: options.top_p,
            last: last && !self.whole_songs,
        };
        let count = if options.choose { DRAFTS } else { 1 };
        let mut drafts: Vec<Draft> = Vec::with_capacity(works.len() * count);
        for (song, work) in works.iter_mut().enumerate() {
            for _ in 0..count {
                let rng = Rng::new(work.rng.next_u64());
                drafts.push(Draft::new(song, &work.given, work.place, rng));
            }
        }
        let mut flow = ControlFlow::Continue(());
        finish(tape, &mut drafts, &self.symbols, drawing, async |drafts: &[Draft]| {
            if !options.choose {
                for (draft, work) in drafts.iter().zip(works.iter()) {
                    if flow.is_continue() && !draft.is_done() {
                        flow = on_text(draft.song, &work.text(&draft.text(&self.symbols))).await;
                    }
                }
            }
            flow.is_continue()
        })
        .await?;
        if options.choose {
            self.improve(tape, &mut drafts, works, options, drawing, line).await?;
        }
        for (song, work) in works.iter_mut().enumerate() {
            let of_song = drafts.iter().filter(|draft| draft.song == song);
            let best = of_song
                .map(|draft| (self.judge(draft, work, options, line), draft))
                .reduce(|best, next| if next.0 > best.0 { next } else { best });
            let Some((_, draft)) = best else { continue };
            let text = draft.text(&self.symbols);
            let said: Vec<String> = words(&text).iter().map(|word| stem(word)).collect();
            let (held, missing) = work.missing.drain(..).partition(|(keyword, _)| said.contains(keyword));
            work.missing = missing;
            work.present.extend(Vec::into_iter(held).map(|(keyword, _): (String, String)| keyword));
            work.given.clear();
            work.lines.push(text);
            work.place = draft.place;
            if flow.is_continue() {
                flow = on_text(song, &work.text("")).await;
            }
        }
        let mut places: Vec<Place> = works.iter().map(|work| work.place).collect();
        tape.keep(&mut places);
        works.iter_mut().zip(places).for_each(|(work, place)| work.place = place);
        Ok(flow)
    }

    /// Works missing keywords into drafts and makes them rhyme.
    async fn improve(
        &self,
        tape: &mut Tape<'_>,
        drafts: &mut [Draft],
        works: &[Work],
        options: &SongOptions,
        drawing: Drawing,
        line: usize,
    ) -> Result<()> {
        let keep_going = async |_: &[Draft]| true;
        let grafts: Vec<Option<[Vec<usize>; 2]>> = drafts
            .iter()
            .enumerate()
            .map(|(d, draft)| {
                // Counted within the song: what stands beside it must not matter.
                let d = d % DRAFTS;
                let work = &works[draft.song];
                // As long as lines are left for them, keywords that come by themselves may.
                let pressed = work.missing.len() >= options.lines - line;
                if work.missing.is_empty() || (!pressed && d % 2 == 1) {
                    return None;
                }
                let said: Vec<String> = words(&draft.text(&self.symbols)).iter().map(|w| stem(w)).collect();
                let is_held = work.missing.iter().any(|(keyword, _)| said.contains(keyword));
                let word = &work.missing[(d / 2) % work.missing.len()].1;
                (!is_held).then(|| self.spell(word)).flatten()
            })
            .collect();
        graft(tape, drafts, &grafts, &self.symbols, options.temperature).await?;
        finish(tape, drafts, &self.symbols, drawing, keep_going).await?;

        let Some(partner) = options.scheme.partner(line) else { return Ok(()) };
        let rhymes_of: Vec<Vec<Vec<usize>>> = works.iter().map(|work| self.rhymes(work, partner)).collect();
        let wanted: Vec<&[Vec<usize>]> = drafts
            .iter()
            .map(|draft| {
                let with = works[draft.song].lines.get(partner).map_or("", String::as_str);
                let is_fine = rhymes(&draft.text(&self.symbols), with);
                if is_fine { &[][..] } else { rhymes_of[draft.song].as_slice() }
            })
            .collect();
        end_in(tape, drafts, &wanted, &self.symbols, options.temperature).await?;
        finish(tape, drafts, &self.symbols, drawing, keep_going).await
    }

    /// The symbols of words that rhyme with a line and end no line yet, in order.
    fn rhymes(&self, work: &Work, partner: usize) -> Vec<Vec<usize>> {
        let Some(partner) = work.lines.get(partner) else { return Vec::new() };
        let ends: Vec<String> =
            work.lines.iter().filter_map(|line| last_word(line)).map(str::to_lowercase).collect();
        let words = self.rhymer.rhyme_words(partner).into_iter();
        let fresh = words.filter(|word| !ends.iter().any(|end| end == word)).take(RHYMES);
        let mut spelt: Vec<Vec<usize>> =
            fresh.filter_map(|word| self.spell(word)).map(|[small, _]| small).collect();
        spelt.sort();
        spelt.dedup();
        spelt
    }

    /// The symbols of a word in small letters and with a capital, if all are in the alphabet.
    fn spell(&self, word: &str) -> Option<[Vec<usize>; 2]> {
        let mut chars = word.chars();
        let capital: String = chars.next()?.to_uppercase().chain(chars).collect();
        let encode = |word: &str| match self.alphabet.encode(word) {
            (ids, 0) if !ids.is_empty() => Some(ids),
            _ => None,
        };
        Some([encode(word)?, encode(&capital)?])
    }

    fn judge(&self, draft: &Draft, work: &Work, options: &SongOptions, line: usize) -> f64 {
        if !options.choose {
            return 0.0;
        }
        let text = draft.text(&self.symbols);
        let scheme = options.scheme;
        let leads = (line + 1..options.lines).any(|later| scheme.partner(later) == Some(line));
        let partner = scheme.partner(line).and_then(|p| work.lines.get(p)).map(String::as_str);
        let missing: Vec<String> = work.missing.iter().map(|(keyword, _)| keyword.clone()).collect();
        let place = judge::Place {
            lines: &work.lines,
            partner,
            leads,
            pressed: missing.len() >= options.lines - line,
            missing: &missing,
            present: &work.present,
            mood: options.mood,
            last: line + 1 == options.lines,
        };
        let candidate = judge::Candidate {
            text: &text,
            mean_log_prob: draft.mean_log_prob(),
            is_whole: draft.is_whole(),
            rhyme_words: if leads { self.rhymer.rhyme_words(&text).len() } else { 0 },
        };
        judge::score(&candidate, &place)
    }
}

#[cfg(all(test, feature = "native"))]
mod tests {
    use burn::tensor::{Device, Int, Tensor, TensorData};

    use super::*;
    use crate::nn::{Cell, math};
    use crate::verse::Scheme;

    /// A small network with random weights that knows a few keywords.
    fn lyricist(cell: Cell) -> (Lyricist, super::super::CharRnn) {
        let device = Device::flex();
        device.seed(5);
        let alphabet = Alphabet::of(["abcdefghijklmnopqrstuvwxyz ABCDEFGHIJKLMNOPQRSTUVWXYZ,.'\n"], 1);
        let keywords = KeywordVocabulary::from(["sea", "ship", "moon", "tune"].map(String::from).to_vec());
        let config = CharRnnConfig {
            alphabet_size: alphabet.len(),
            hidden_size: 16,
            layers: 2,
            cell,
            context_rows: Brief::rows(&keywords),
            context_size: 6,
            ..CharRnnConfig::default()
        };
        let model = config.init(&device);
        let tensors = model.tensors().unwrap();
        let network = Stepper::new(config.stepper(), &tensors, &Compute::cpu()).unwrap();
        let symbols = Symbols::of(&alphabet);
        let lyricist = Lyricist {
            alphabet,
            symbols,
            keywords,
            rhymer: Rhymer::new(&["moon", "tune"]),
            network,
            whole_songs: false,
        };
        (lyricist, model)
    }

    fn write(lyricist: &Lyricist, prompt: &Prompt, options: &SongOptions, songs: usize) -> Vec<Song> {
        let all = async |_: usize, _: &str| ControlFlow::Continue(());
        crate::nn::block_on(lyricist.write(prompt, options, songs, all)).unwrap()
    }

    #[test]
    fn the_network_at_work_is_the_one_that_was_trained() {
        for cell in [Cell::Lstm, Cell::Gru, Cell::Rnn] {
            let (lyricist, model) = lyricist(cell);
            let device = Device::flex();
            let (briefs, ids) = (vec![vec![1, 7], vec![]], [[0usize, 3, 9, 20], [0, 5, 5, 31]]);
            let transposed: Vec<i32> = (0..4).flat_map(|t| ids.map(|row| row[t] as i32)).collect();
            let input = Tensor::<2, Int>::from_data(TensorData::new(transposed, [4, 2]), &device);
            let context = model.context.as_ref().map(|context| context.gates(&briefs));
            let expected = model.forward(input, context, None).0.into_data().try_into_vec::<f32>().unwrap();
            let mut state = lyricist.network.told(&briefs);
            let mut found = Vec::new();
            for t in 0..4 {
                // Rows change places on the way, as they do when drafts are chosen.
                state = state.select(&[1, 0]).select(&[1, 0]);
                let now = ids.map(|row| row[t]);
                found.extend(crate::nn::block_on(lyricist.network.step(&now, &mut state)).unwrap());
            }
            for (a, b) in found.iter().zip(&expected) {
                assert!((a - b).abs() < 1e-4 * (1.0 + b.abs()), "{cell:?}: {a} and {b}");
            }
        }
    }

    #[test]
    fn a_song_is_the_same_alone_and_among_others() {
        let (lyricist, _) = lyricist(Cell::Lstm);
        // Three keywords, so that a count over all drafts would give each song others.
        let prompt = Prompt::from_keywords(["sea", "ships", "moon"]);
        for scheme in [Scheme::Abab, Scheme::Off] {
            let options = SongOptions { scheme, random_seed: 7, ..SongOptions::default() };
            let three = write(&lyricist, &prompt, &options, 3);
            let last = SongOptions { random_seed: 9, ..options.clone() };
            assert_eq!(write(&lyricist, &prompt, &last, 1)[0], three[2]);
            assert_ne!(three[0].text, three[1].text);
        }
    }

    #[test]
    fn songs_have_the_lines_and_stanzas_that_were_asked_for() {
        let (lyricist, _) = lyricist(Cell::Gru);
        for (lines, stanzas, choose) in [(1, 1, true), (5, 1, false), (3, 2, true), (4, 3, false)] {
            let options = SongOptions { lines, stanzas, choose, ..SongOptions::default() };
            let song = &write(&lyricist, &Prompt::default(), &options, 1)[0];
            let counts: Vec<usize> = song.text.split("\n\n").map(|stanza| stanza.lines().count()).collect();
            assert_eq!(counts, vec![lines; stanzas], "{:?}", song.text);
        }
    }

    #[test]
    fn what_is_foreseen_is_what_the_network_that_writes_expects() {
        let (lyricist, _) = lyricist(Cell::Lstm);
        let keywords = ["sea".to_string(), "xyz".to_string()];
        let options = SongOptions { lines: 3, ..SongOptions::default() };
        let seen = crate::nn::block_on(lyricist.foresee("Moon", &keywords, &options, 4)).unwrap();
        assert_eq!(
            seen.iter().map(|f| f.next).collect::<Vec<_>>(),
            [Some('M'), Some('o'), Some('o'), Some('n'), None]
        );
        assert!(seen.iter().all(|f| f.likeliest.len() == 4 && f.likeliest.is_sorted_by(|a, b| a.1 >= b.1)));
        // The same by another road: the state of a song that was told the same.
        let told = Brief { lines: Some(3), keywords: vec![0], ..Brief::default() };
        let mut state = lyricist.network.told(&[told.ids()]);
        let mut scores = crate::nn::block_on(lyricist.network.step(&[END], &mut state)).unwrap();
        math::log_softmax(&mut scores);
        let id = lyricist.alphabet.id('M').unwrap();
        assert!((seen[0].p - scores[id].exp()).abs() < 1e-6);
        let other = crate::nn::block_on(lyricist.foresee("Moon", &[], &options, 4)).unwrap();
        assert_ne!(other[0].p, seen[0].p, "keywords matter");
    }

    #[test]
    fn a_seed_text_stands_in_front() {
        let (lyricist, _) = lyricist(Cell::Lstm);
        let prompt = Prompt::from_seed("Far away\nthe moo");
        let options = SongOptions { lines: 2, ..SongOptions::default() };
        let song = &write(&lyricist, &prompt, &options, 1)[0];
        assert!(song.text.starts_with("Far away\nthe moo"), "{}", song.text);
        assert_eq!(song.text.lines().count(), 3);
        let refused = Prompt::from_seed("\u{65e5}\u{672c}");
        let all = async |_: usize, _: &str| ControlFlow::Continue(());
        assert!(crate::nn::block_on(lyricist.write(&refused, &options, 1, all)).is_err());
    }

    #[test]
    fn a_random_network_can_still_be_made_to_rhyme_and_to_hold_a_keyword() {
        let (lyricist, _) = lyricist(Cell::Lstm);
        let prompt = Prompt { keywords: vec!["ship".into()], text: "The silver moon\n".into() };
        let options = SongOptions { lines: 4, scheme: Scheme::Aabb, ..SongOptions::default() };
        let songs = write(&lyricist, &prompt, &options, 4);
        assert!(songs.iter().all(|song| song.holds(&song.keywords[0])), "{songs:?}");
    }
}
