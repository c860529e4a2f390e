//! Drafts of a line: several are drawn at once, a keyword is worked into those that lack it, and
//! the last word is changed for one that rhymes.
//!
//! Both changes ask the network where, or with which word, they are likeliest: a draft that is cut
//! and goes on differently is a draw from the network's own distribution of lines that hold the
//! word, with the part before it as proposal (sampling importance resampling: Rubin 1988).

use super::alphabet::{Alphabet, END};
use super::sampling::{Rng, sample, weigh};
use super::tape::{Place, Tape};
use crate::error::Result;
use crate::nn::math;

/// A line does not end before it has so many characters.
const SHORTEST_LINE: usize = 10;
/// A line is ended after so many characters.
const LONGEST_LINE: usize = 72;
/// Places of a draft at which a keyword is tried.
const GRAFTS: usize = 4;
/// Beginnings of rhyming words that are followed up for each draft.
const BEGINNINGS: usize = 10;
/// Marks that may stand behind the last word of a line.
const MARKS: &str = ",.;:!?-";
/// Most of them in a row.
const MOST_MARKS: usize = 2;

/// What the alphabet's symbols are.
#[derive(Debug)]
pub struct Symbols {
    newline: usize,
    letters: Vec<bool>,
    marks: Vec<bool>,
    characters: Vec<char>,
}

impl Symbols {
    /// Those of an alphabet.
    pub fn of(alphabet: &Alphabet) -> Self {
        let characters: Vec<char> =
            (0..alphabet.len()).map(|id| alphabet.character(id).unwrap_or('\0')).collect();
        Self {
            newline: alphabet.id('\n').unwrap_or(END),
            letters: characters.iter().map(|c| c.is_alphabetic() || *c == '\'').collect(),
            marks: characters.iter().map(|&c| MARKS.contains(c)).collect(),
            characters,
        }
    }

    /// Whether the symbol ends a line.
    fn ends_line(&self, id: usize) -> bool {
        id == END || id == self.newline
    }

    /// Where the words of a line begin.
    fn word_starts(&self, ids: &[usize]) -> Vec<usize> {
        (0..ids.len()).filter(|&i| self.letters[ids[i]] && (i == 0 || !self.letters[ids[i - 1]])).collect()
    }
}

/// What may come next in a draft.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// Anything.
    Free,
    /// No letter, since a word has to end here.
    WordEnd,
    /// What ends the line.
    Tail,
    /// Nothing: the line is done.
    Done,
}

/// A draft of a line.
#[derive(Debug, Clone)]
pub struct Draft {
    /// Number of the song that it is for.
    pub song: usize,
    /// The line's symbols, without the one that ended it.
    ids: Vec<usize>,
    /// Natural logarithm of each symbol's probability; of the line's end behind them.
    log_probs: Vec<f64>,
    /// Where the network was before each symbol.
    places: Vec<Place>,
    /// Where it is now.
    pub place: Place,
    /// Symbols in front that are given and can't be changed.
    given: usize,
    mode: Mode,
    rng: Rng,
}

/// How drafts are drawn.
#[derive(Debug, Clone, Copy)]
pub struct Drawing {
    /// See [`super::SongOptions`].
    pub temperature: f32,
    /// See [`super::SongOptions`].
    pub top_p: f32,
    /// Whether the line is the stanza's last.
    pub last: bool,
}

impl Draft {
    /// A draft that begins at a place, behind the symbols of the line that are given.
    pub fn new(song: usize, given: &[usize], place: Place, rng: Rng) -> Self {
        Self {
            song,
            ids: given.to_vec(),
            log_probs: vec![0.0; given.len()],
            places: vec![place; given.len()],
            place,
            given: given.len(),
            mode: Mode::Free,
            rng,
        }
    }

    /// The line.
    pub fn text(&self, symbols: &Symbols) -> String {
        self.ids.iter().map(|&id| symbols.characters[id]).collect::<String>().trim_end().to_string()
    }

    /// Mean of the logarithms of the symbols' probabilities, the line's end counted.
    pub fn mean_log_prob(&self) -> f64 {
        let own = &self.log_probs[self.given..];
        own.iter().sum::<f64>() / own.len().max(1) as f64
    }

    /// Whether the line came to an end by itself.
    pub fn is_whole(&self) -> bool {
        self.mode == Mode::Done && self.ids.len() < LONGEST_LINE
    }

    /// Whether the line has ended.
    pub fn is_done(&self) -> bool {
        self.mode == Mode::Done
    }

    /// Whether the symbol may be drawn.
    fn allows(&self, id: usize, symbols: &Symbols, last: bool) -> bool {
        if id == END && !last {
            return false;
        }
        if self.ids.len() >= LONGEST_LINE {
            return symbols.ends_line(id);
        }
        match self.mode {
            Mode::Free => !symbols.ends_line(id) || self.ids.len() >= SHORTEST_LINE,
            Mode::WordEnd => {
                !symbols.letters[id] && (!symbols.ends_line(id) || self.ids.len() >= SHORTEST_LINE)
            }
            Mode::Tail => {
                let marks = self.ids.iter().rev().take_while(|&&id| symbols.marks[id]).count();
                symbols.ends_line(id) || (symbols.marks[id] && marks < MOST_MARKS)
            }
            Mode::Done => false,
        }
    }

    /// Draws the next symbol and takes it down.
    fn draw(&mut self, tape: &Tape<'_>, symbols: &Symbols, drawing: Drawing) -> usize {
        let log_probs = tape.log_probs(self.place);
        let mut rng = self.rng.clone();
        let allowed = |id: usize| self.allows(id, symbols, drawing.last);
        let id = sample(log_probs, drawing.temperature, drawing.top_p, allowed, &mut rng);
        self.rng = rng;
        self.log_probs.push(f64::from(log_probs[id]));
        if symbols.ends_line(id) {
            self.mode = Mode::Done;
        } else {
            self.ids.push(id);
            self.places.push(self.place);
            if self.mode == Mode::WordEnd {
                self.mode = Mode::Free;
            }
        }
        id
    }

    /// Goes back to symbol `cut` and takes down a word that was found likely behind it.
    fn replace(&mut self, cut: usize, word: &[usize], log_prob: f64, place: Place, mode: Mode) {
        self.ids.truncate(cut);
        self.log_probs.truncate(cut);
        self.places.truncate(cut);
        self.ids.extend_from_slice(word);
        self.log_probs.resize(self.ids.len(), log_prob / word.len().max(1) as f64);
        // Nothing goes back into the middle of a word.
        self.places.resize(self.ids.len(), place);
        self.place = place;
        self.mode = mode;
    }
}

/// Draws all drafts to the ends of their lines. `each` is handed the drafts after every symbol and
/// tells whether to go on.
///
/// # Errors
/// The GPU does not answer.
pub async fn finish(
    tape: &mut Tape<'_>,
    drafts: &mut [Draft],
    symbols: &Symbols,
    drawing: Drawing,
    mut each: impl AsyncFnMut(&[Draft]) -> bool,
) -> Result<()> {
    loop {
        let (mut who, mut from, mut ids) = (Vec::new(), Vec::new(), Vec::new());
        for (d, draft) in drafts.iter_mut().enumerate().filter(|(_, draft)| draft.mode != Mode::Done) {
            let id = draft.draw(tape, symbols, drawing);
            if id != END {
                who.push(d);
                from.push(draft.place);
                ids.push(id);
            }
        }
        let places = tape.read(&from, &ids).await?;
        for (&d, &place) in who.iter().zip(&places) {
            drafts[d].place = place;
        }
        if !each(drafts).await || drafts.iter().all(|draft| draft.mode == Mode::Done) {
            return Ok(());
        }
    }
}

/// Works a word into each of the given drafts where the network finds it likeliest to stand, and
/// leaves the draft unfinished behind it. `words` are the symbols of the word for each draft, in
/// small letters and with a capital; a draft with none is left as it is.
///
/// # Errors
/// The GPU does not answer.
pub async fn graft(
    tape: &mut Tape<'_>,
    drafts: &mut [Draft],
    words: &[Option<[Vec<usize>; 2]>],
    symbols: &Symbols,
    temperature: f32,
) -> Result<()> {
    struct Try<'w> {
        draft: usize,
        cut: usize,
        word: &'w [usize],
        place: Place,
        log_prob: f64,
    }
    let mut tries: Vec<Try<'_>> = Vec::new();
    for (d, (draft, word)) in drafts.iter().zip(words).enumerate() {
        let Some([small, capital]) = word else { continue };
        let mut here: Vec<Try<'_>> = symbols
            .word_starts(&draft.ids)
            .into_iter()
            .filter(|&cut| cut >= draft.given && cut + small.len() < LONGEST_LINE - SHORTEST_LINE)
            .map(|cut| {
                let word = if cut == 0 { capital } else { small };
                let place = draft.places[cut];
                let log_prob = f64::from(tape.log_probs(place)[word[0]]);
                Try { draft: d, cut, word, place, log_prob }
            })
            .collect();
        here.sort_by(|a, b| b.log_prob.total_cmp(&a.log_prob));
        here.truncate(GRAFTS);
        tries.extend(here);
    }
    let longest = tries.iter().map(|t| t.word.len()).max().unwrap_or(0);
    for i in 0..longest {
        let (who, (from, ids)): (Vec<usize>, (Vec<Place>, Vec<usize>)) = (0..tries.len())
            .filter(|&t| i < tries[t].word.len())
            .map(|t| (t, (tries[t].place, tries[t].word[i])))
            .unzip();
        for (&t, place) in who.iter().zip(tape.read(&from, &ids).await?) {
            let t = &mut tries[t];
            t.place = place;
            let log_probs = tape.log_probs(place);
            t.log_prob += match t.word.get(i + 1) {
                Some(&next) => f64::from(log_probs[next]),
                None => log_share(log_probs, |id| !symbols.letters[id]),
            };
        }
    }
    for (d, draft) in drafts.iter_mut().enumerate() {
        let here: Vec<&Try<'_>> = tries.iter().filter(|t| t.draft == d).collect();
        let log_probs: Vec<f64> = here.iter().map(|t| t.log_prob).collect();
        if let Some(chosen) = weigh(&log_probs, temperature, &mut draft.rng).map(|i| here[i]) {
            draft.replace(chosen.cut, chosen.word, chosen.log_prob, chosen.place, Mode::WordEnd);
        }
    }
    Ok(())
}

/// Changes the last word of each of the given drafts for one of the words that the network finds
/// likely there, and leaves the draft unfinished behind it. `words` are the symbols of the words for
/// each draft, in the order of their ids; a draft with none is left as it is.
///
/// # Errors
/// The GPU does not answer.
pub async fn end_in(
    tape: &mut Tape<'_>,
    drafts: &mut [Draft],
    words: &[&[Vec<usize>]],
    symbols: &Symbols,
    temperature: f32,
) -> Result<()> {
    /// Words from `first` to `last` share their first `depth` symbols, which have been read.
    struct Node {
        draft: usize,
        first: usize,
        last: usize,
        depth: usize,
        place: Place,
        log_prob: f64,
    }
    let cut = |draft: &Draft| symbols.word_starts(&draft.ids).pop().filter(|&cut| cut > draft.given);
    let mut level: Vec<Node> = Vec::new();
    for (d, (draft, words)) in drafts.iter().zip(words).enumerate() {
        if let (Some(cut), false) = (cut(draft), words.is_empty()) {
            let place = draft.places[cut];
            level.push(Node { draft: d, first: 0, last: words.len(), depth: 0, place, log_prob: 0.0 });
        }
    }
    // Per draft: place in the list of words, where the network is behind it, how likely.
    let mut found: Vec<Vec<(usize, Place, f64)>> = vec![Vec::new(); drafts.len()];
    while !level.is_empty() {
        let (mut next, mut ids): (Vec<Node>, Vec<usize>) = (Vec::new(), Vec::new());
        for nodes in level.chunk_by(|a, b| a.draft == b.draft) {
            let mut children: Vec<(Node, usize)> = Vec::new();
            for node in nodes {
                let words = words[node.draft];
                let log_probs = tape.log_probs(node.place);
                let mut first = node.first;
                while first < node.last {
                    let Some(&id) = words[first].get(node.depth) else {
                        let end = log_share(log_probs, |id| symbols.ends_line(id) || symbols.marks[id]);
                        found[node.draft].push((first, node.place, node.log_prob + end));
                        first += 1;
                        continue;
                    };
                    let same = words[first..node.last].iter().take_while(|w| w.get(node.depth) == Some(&id));
                    let last = first + same.count();
                    let log_prob = node.log_prob + f64::from(log_probs[id]);
                    children.push((Node { first, last, depth: node.depth + 1, log_prob, ..*node }, id));
                    first = last;
                }
            }
            children.sort_by(|a, b| b.0.log_prob.total_cmp(&a.0.log_prob));
            children.truncate(BEGINNINGS);
            for (node, id) in children {
                next.push(node);
                ids.push(id);
            }
        }
        let from: Vec<Place> = next.iter().map(|node| node.place).collect();
        for (node, place) in next.iter_mut().zip(tape.read(&from, &ids).await?) {
            node.place = place;
        }
        level = next;
    }
    for ((draft, found), words) in drafts.iter_mut().zip(found).zip(words) {
        let log_probs: Vec<f64> = found.iter().map(|f| f.2).collect();
        let chosen = weigh(&log_probs, temperature, &mut draft.rng).map(|i| found[i]);
        if let (Some((word, place, log_prob)), Some(cut)) = (chosen, cut(draft)) {
            draft.replace(cut, &words[word], log_prob, place, Mode::Tail);
        }
    }
    Ok(())
}

/// Natural logarithm of the probability that the next symbol is one of these.
fn log_share(log_probs: &[f32], is_one: impl Fn(usize) -> bool) -> f64 {
    let all = log_probs.iter().enumerate().filter(|(id, _)| is_one(*id));
    let share: f64 = all.map(|(_, &v)| f64::from(math::exp(v))).sum();
    f64::from(math::ln(share.max(1e-30)))
}
