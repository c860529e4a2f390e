//! The shipped models: whole, of the right shape, and able to speak.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use songwriter::nn::{Compute, block_on};
use songwriter::verse::keywords::words;
use songwriter::verse::{Scheme, is_word, rhymes};
use songwriter::weights::{MANIFEST, ModelFiles};
use songwriter::{Picture, Prompt, SongOptions, Songwriter};

fn models() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("models")
}

fn open(model: &str) -> ModelFiles {
    ModelFiles::open(&models().join(model)).unwrap()
}

fn songwriter() -> Songwriter {
    Songwriter::new(&open("captioner"), &open("lyricist"), &Compute::cpu()).unwrap()
}

#[test]
fn all_models_together_are_small() {
    let size = |model: &str| -> u64 {
        open(model).manifest.files.iter().map(|f| f.bytes).sum::<u64>()
            + std::fs::metadata(models().join(model).join(MANIFEST)).unwrap().len()
    };
    let bytes = size("captioner") + size("lyricist");
    assert!(bytes <= 16_000_000, "{bytes} bytes");
    assert!(size("captioner") <= 12_000_000);
}

#[test]
fn manifests_say_licence_data_and_quality() {
    let bars: [(&str, &[(&str, f64)]); 2] = [
        (
            "captioner",
            &[
                ("bleu_1", 66.0),
                ("bleu_4", 21.0),
                ("cider_d", 0.55),
                ("meteor", 20.0),
                ("distinct_share", 0.6),
            ],
        ),
        // The fewer, the better.
        ("lyricist", &[("bits_per_char", -1.9)]),
    ];
    for (model, bars) in bars {
        let manifest = open(model).manifest;
        assert_eq!(manifest.name, model);
        assert!(manifest.licence.len() > 5 && manifest.data.len() > 20, "{model}");
        for &(metric, bar) in bars {
            let value = manifest.metrics[metric].as_f64().unwrap();
            assert!(value * bar.signum() >= bar, "{model}: {metric} {value}");
        }
        assert!(models().join(model).join("MODEL_CARD.md").exists());
    }
}

#[test]
fn every_sample_picture_gets_a_caption_and_a_song() {
    let songwriter = songwriter();
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("www/samples");
    let mut captions = std::collections::BTreeSet::new();
    let mut pictures = 0;
    for entry in std::fs::read_dir(samples).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|e| e != "jpg") {
            continue;
        }
        pictures += 1;
        let picture = Picture::from_bytes("sample", &std::fs::read(&path).unwrap()).unwrap();
        let caption = block_on(songwriter.caption(&picture, 3)).unwrap();
        let greedy = block_on(songwriter.caption(&picture, 1)).unwrap();
        assert!(caption.text.split(' ').count() >= 3, "{}: {}", path.display(), caption.text);
        assert!(!greedy.text.is_empty());
        let prompt = Prompt::from_caption(&caption.text);
        let mut streamed = Vec::new();
        let songs =
            block_on(songwriter.write(&prompt, &SongOptions::default(), 1, async |song, text: &str| {
                streamed.push((song, text.to_string()));
                ControlFlow::Continue(())
            }))
            .unwrap();
        assert_eq!(songs[0].text.lines().count(), 4, "{}", songs[0].text);
        assert_eq!(streamed.len(), 4);
        assert_eq!(streamed.last(), Some(&(0, songs[0].text.clone())));
        captions.insert(caption.text);
    }
    assert!(pictures >= 4 && captions.len() > pictures / 2, "{captions:?}");
}

#[test]
fn songs_hold_their_keywords_rhyme_and_are_english() {
    let songwriter = songwriter();
    let prompt = Prompt::from_keywords(["dog", "beach", "ball"]);
    let options = SongOptions { scheme: Scheme::Aabb, ..SongOptions::default() };
    let songs =
        block_on(songwriter.write(&prompt, &options, 12, async |_, _: &str| ControlFlow::Continue(())))
            .unwrap();
    let (mut pairs, mut held, mut spoken, mut known) = (0, 0, 0, 0);
    for song in &songs {
        let lines: Vec<&str> = song.text.lines().collect();
        assert_eq!(lines.len(), 4, "{}", song.text);
        pairs += usize::from(rhymes(lines[0], lines[1])) + usize::from(rhymes(lines[2], lines[3]));
        held += song.keywords.iter().filter(|keyword| song.holds(keyword)).count();
        let said = words(&song.text);
        spoken += said.len();
        known += said.iter().filter(|word| is_word(word)).count();
    }
    assert!(pairs >= 20, "{pairs} of 24 pairs rhyme");
    assert!(held >= 32, "{held} of 36 keywords are held");
    assert!(known * 100 >= spoken * 96, "{known} of {spoken} words are English");
}

#[test]
fn writing_stops_when_it_is_asked_to() {
    let songwriter = songwriter();
    let options = SongOptions { choose: false, ..SongOptions::default() };
    let mut left = 10;
    let songs = block_on(songwriter.write(&Prompt::default(), &options, 1, async |_, _: &str| {
        left -= 1;
        if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }))
    .unwrap();
    assert_eq!(songs[0].text.lines().count(), 1);
    assert!(songs[0].text.chars().count() <= 10);
}
