//! The shipped models: whole, of the right shape, and able to speak.

use std::path::{Path, PathBuf};

use songwriter::nn::{Compute, block_on};
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
    assert!(bytes <= 25_000_000, "{bytes} bytes");
}

#[test]
fn manifests_say_licence_data_and_quality() {
    for (model, metric, bar) in [("captioner", "bleu_4", 15.0), ("lyricist", "bits_per_char", 2.2)] {
        let manifest = open(model).manifest;
        assert_eq!(manifest.name, model);
        assert!(manifest.licence.len() > 5 && manifest.data.len() > 20, "{model}");
        let value = manifest.metrics[metric].as_f64().unwrap();
        assert!(if model == "captioner" { value >= bar } else { value <= bar }, "{model}: {metric} {value}");
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
        let mut streamed = String::new();
        let song = block_on(songwriter.write(&prompt, &SongOptions::default(), async |piece: &str| {
            streamed.push_str(piece);
            std::ops::ControlFlow::Continue(())
        }))
        .unwrap();
        assert!(song.text.len() > prompt.text().len() + 40, "{}", song.text);
        assert_eq!(streamed.trim_end(), song.text);
        captions.insert(caption.text);
    }
    assert!(pictures >= 4 && captions.len() > pictures / 2, "{captions:?}");
}

#[test]
fn most_songs_end_by_themselves() {
    let songwriter = songwriter();
    let prompt = Prompt::from_caption("a dog runs through the grass");
    let max_chars = 1500;
    let ended = (0..20)
        .filter(|&random_seed| {
            let options = SongOptions { temperature: 0.7, random_seed, max_chars };
            let song = block_on(
                songwriter.write(&prompt, &options, async |_: &str| std::ops::ControlFlow::Continue(())),
            );
            song.unwrap().text.chars().count() < max_chars
        })
        .count();
    assert!(ended >= 16, "{ended} of 20");
}

#[test]
fn writing_stops_when_it_is_asked_to() {
    let songwriter = songwriter();
    let mut left = 10;
    let song = block_on(songwriter.write(&Prompt::default(), &SongOptions::default(), async |_: &str| {
        left -= 1;
        if left == 0 { std::ops::ControlFlow::Break(()) } else { std::ops::ControlFlow::Continue(()) }
    }))
    .unwrap();
    assert!(song.text.chars().count() <= 10);
}
