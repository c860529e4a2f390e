//! `songwriter evaluate lyrics`: bits per character, and whether songs make sense.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::Args;
use serde_json::{Value, json};

use super::evaluate::round;
use super::{models_folder, print, tell};
use crate::corpus::lyrics::{Lyrics, Stanza};
use crate::error::{Error, Result};
use crate::evaluation::copying::longest_copies;
use crate::evaluation::lyrics::{Sense, Told};
use crate::lyricist::writer::describe;
use crate::lyricist::{Lyricist, Prompt, Rng, SongOptions};
use crate::nn::{Compute, block_on};
use crate::training::lyricist::{bits_per_char, encode};
use crate::verse::keywords::content_words;
use crate::verse::{KeywordVocabulary, Mood, Scheme};
use crate::weights::ModelFiles;

/// Options of `evaluate lyrics`.
#[derive(Debug, Args)]
pub struct LyricsArguments {
    /// CSV files (.csv or .csv.gz) with a column "lyrics" or "text"
    #[arg(long, required = true, num_args = 1.., value_name = "FILE")]
    pub data: Vec<PathBuf>,
    /// Column that holds the lyrics, if it is named otherwise
    #[arg(long)]
    pub column: Option<String>,
    /// Measure only on the per cent of the sources that training with this --held-out left aside
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..=50))]
    pub held_out: Option<u8>,
    /// Songs to write at each temperature; with 0 only bits per character are measured
    #[arg(long, default_value_t = 0)]
    pub songs: usize,
    /// Temperatures to write at
    #[arg(long, value_delimiter = ',', default_values_t = [0.3, 0.6, 0.8, 1.0, 1.2])]
    pub temperatures: Vec<f32>,
    /// Rhyme scheme of the songs: aabb, abab, abcb or off
    #[arg(long, default_value_t = SongOptions::default().scheme)]
    pub rhyme: Scheme,
    /// Take what the network draws first: one draft a line, no choice by rhyme, keywords and sense
    #[arg(long)]
    pub plain: bool,
    /// Also write joyful and sad songs at the first temperature and compare their moods
    #[arg(long)]
    pub moods: bool,
    /// Seed of everything that is drawn at random
    #[arg(long, default_value_t = 1)]
    pub random_seed: u64,
    /// Folder with the trained models (captioner/ and lyricist/)
    #[arg(long, value_name = "DIR", conflicts_with = "model")]
    pub models: Option<PathBuf>,
    /// Folder of the lyricist alone
    #[arg(long, value_name = "DIR")]
    pub model: Option<PathBuf>,
    /// One JSON object
    #[arg(long)]
    pub json: bool,
}

/// Lines of a stanza that is written, and of those of people that are compared.
const LINES: usize = 4;

/// Measures and prints.
///
/// # Errors
/// Model or data can't be used.
pub fn run(a: &LyricsArguments, stop: &AtomicBool) -> Result<()> {
    for &temperature in &a.temperatures {
        SongOptions { temperature, ..SongOptions::default() }.check()?;
    }
    let folder = a.model.clone().unwrap_or_else(|| models_folder(a.models.as_ref()).join("lyricist"));
    let files = ModelFiles::open(&folder)?;
    let mut lyrics = Lyrics::read(&a.data, a.column.as_deref())?;
    if a.held_out.is_some() {
        // The same stanzas as training held out, and none that it learnt from elsewhere.
        lyrics = lyrics.worth_learning();
    }
    let all: Vec<&Stanza> = lyrics.stanzas.iter().collect();
    let (learnt, measured) = match a.held_out {
        Some(percent) => lyrics.split(percent.into()),
        None => (all.clone(), all),
    };
    let mut report = bits(&files, &measured)?;
    if !a.json {
        let lines = report.iter().map(|(key, value)| format!("{key:>20}  {value}\n"));
        print(&lines.collect::<String>())?;
    }
    if a.songs > 0 {
        let vocabulary = describe(&files)?.1;
        let lyricist = Lyricist::new(&files, &Compute::cpu())?;
        let bench = Bench { lyricist, human: humans(&measured, &vocabulary, a)?, learnt, a, stop };
        bench.run(&mut report)?;
    }
    if a.json { print(&format!("{}\n", Value::Object(report))) } else { Ok(()) }
}

type Report = serde_json::Map<String, Value>;

fn bits(files: &ModelFiles, stanzas: &[&Stanza]) -> Result<Report> {
    let (alphabet, _, config) = describe(files)?;
    let device = burn::tensor::Device::flex();
    let model = config.load(&files.tensors()?, &device)?;
    let (encoded, dropped) = encode(&alphabet, stanzas.iter().map(|s| s.text.as_str()));
    let characters: usize = encoded.iter().map(|s| s.len() + 1).sum();
    let bits = bits_per_char(&model, &encoded, &[], &device)?;
    let report = json!({
        "bits_per_char": round(bits, 4), "characters": characters, "stanzas": encoded.len(),
        "characters_left_out": dropped,
    });
    Ok(report.as_object().cloned().unwrap_or_default())
}

/// A stanza that people wrote and the words that songs beside it are to hold.
struct Human {
    text: String,
    keywords: Vec<String>,
}

/// Stanzas of [`LINES`] lines, in random order, with one to three of their words that the network
/// knows.
fn humans(stanzas: &[&Stanza], vocabulary: &KeywordVocabulary, a: &LyricsArguments) -> Result<Vec<Human>> {
    let mut rng = Rng::new(a.random_seed);
    let mut found: Vec<Human> = Vec::new();
    let mut order: Vec<&&Stanza> = stanzas.iter().filter(|s| s.text.lines().count() == LINES).collect();
    rng.shuffle(&mut order);
    for stanza in order {
        let known = |word: &String| {
            vocabulary.words().is_empty() || vocabulary.find(word).is_some_and(|known| known.exact)
        };
        let mut keywords: Vec<String> = content_words(&stanza.text).into_iter().filter(known).collect();
        rng.shuffle(&mut keywords);
        keywords.truncate(1 + rng.below(3));
        if !keywords.is_empty() {
            found.push(Human { text: stanza.text.clone(), keywords });
        }
        if found.len() == a.songs {
            return Ok(found);
        }
    }
    Err(Error::Data(format!(
        "The data has only {} stanzas of {LINES} lines to compare {} songs with.",
        found.len(),
        a.songs
    )))
}

/// What songs are written with and held against.
struct Bench<'a> {
    lyricist: Lyricist,
    human: Vec<Human>,
    learnt: Vec<&'a Stanza>,
    a: &'a LyricsArguments,
    stop: &'a AtomicBool,
}

impl Bench<'_> {
    fn run(&self, report: &mut Report) -> Result<()> {
        let a = self.a;
        let header = format!("\n{:>12}  {}\n", "", Sense::HEADER);
        let mut show = |name: &str, sense: &Sense| {
            report.insert(name.to_string(), json!(sense));
            if a.json { Ok(()) } else { print(&format!("{name:>12} {}\n", sense.row())) }
        };
        if !a.json {
            print(&header)?;
        }
        let people: Vec<&str> = self.human.iter().map(|h| h.text.as_str()).collect();
        show("people", &self.measure(&people, None))?;
        for &temperature in &a.temperatures {
            let songs = self.songs(&SongOptions { temperature, ..self.options() })?;
            let texts: Vec<&str> = songs.iter().map(String::as_str).collect();
            show(&format!("T={temperature}"), &self.measure(&texts, Some(a.rhyme)))?;
        }
        if a.moods {
            let mut means = Vec::new();
            for mood in [Mood::Joyful, Mood::Sad] {
                let songs = self.songs(&SongOptions { mood: Some(mood), ..self.options() })?;
                let texts: Vec<&str> = songs.iter().map(String::as_str).collect();
                let sense = self.measure(&texts, Some(a.rhyme));
                means.push(sense.mood);
                show(mood.name(), &sense)?;
            }
            let apart = round(means[0] - means[1], 4);
            report.insert("moods_apart".into(), json!(apart));
            if !a.json {
                print(&format!("\nJoyful and sad songs are {apart} apart in VADER's compound score.\n"))?;
            }
        }
        Ok(())
    }

    fn options(&self) -> SongOptions {
        SongOptions {
            temperature: self.a.temperatures.first().copied().unwrap_or(0.8),
            random_seed: self.a.random_seed,
            lines: LINES,
            scheme: self.a.rhyme,
            choose: !self.a.plain,
            ..SongOptions::default()
        }
    }

    /// One song about the keywords of each stanza.
    fn songs(&self, options: &SongOptions) -> Result<Vec<String>> {
        let mut songs = Vec::new();
        for (k, human) in self.human.iter().enumerate() {
            if self.stop.load(Ordering::Relaxed) {
                return Err(Error::Training(format!("Stopped after {} songs.", songs.len())));
            }
            if k % 50 == 0 && k > 0 && !self.a.json {
                tell(&format!("{k}/{} songs", self.human.len()));
            }
            let prompt = Prompt::from_keywords(human.keywords.clone());
            let all = async |_: usize, _: &str| ControlFlow::Continue(());
            let options = SongOptions { random_seed: options.random_seed + k as u64, ..options.clone() };
            let written = block_on(self.lyricist.write(&prompt, &options, 1, all))?;
            songs.extend(written.into_iter().map(|song| song.text));
        }
        Ok(songs)
    }

    fn measure(&self, texts: &[&str], scheme: Option<Scheme>) -> Sense {
        let told: Vec<Told<'_>> = texts
            .iter()
            .zip(&self.human)
            .map(|(text, human)| Told { text, keywords: &human.keywords })
            .collect();
        let copied = longest_copies(texts, self.learnt.iter().map(|s| s.text.as_str()));
        Sense::of(&told, scheme, &copied)
    }
}
