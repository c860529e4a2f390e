//! `songwriter caption`: what is in pictures, line by line or as a file of results.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clap::Args;
use rayon::prelude::*;
use serde::Serialize;

use super::write::{Common, json, open_captioner, open_picture};
use super::{DeviceKind, models_folder, print, progress, tell};
use crate::captioner::{Caption, Captioner};
use crate::corpus::flickr8k::{CAPTIONS, read_references};
use crate::error::{Error, Result};
use crate::lyricist::{Lyricist, Prompt, SongOptions};
use crate::nn::block_on;
use crate::results::{Blob, Params, Results};
use crate::weights::{ModelFiles, TENSORS};

/// Options of `caption`.
#[derive(Debug, Args)]
pub struct CaptionArguments {
    /// Pictures (JPEG, PNG, WebP, GIF or BMP), or folders of such
    #[arg(required = true, value_name = "PICTURE")]
    pub pictures: Vec<PathBuf>,
    /// Write all that was found to this file, for `songwriter report`; what it holds already is kept
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// What people say of the pictures, to be put beside (`NAME.jpg#0`, a tab, a caption); default:
    /// Flickr8k.token.txt beside or in a folder of pictures
    #[arg(long, value_name = "FILE", requires = "out")]
    pub references: Option<PathBuf>,
    /// Only pictures whose names stand in this file, one a line
    #[arg(long, value_name = "FILE")]
    pub list: Option<PathBuf>,
    /// Songs to write about each picture
    #[arg(long, default_value_t = 0, value_name = "N", requires = "out", value_parser = clap::value_parser!(u32).range(0..=20))]
    pub songs: u32,
    /// What `caption` and `write` share
    #[command(flatten)]
    pub common: Common,
}

/// Names of files that may be pictures.
const ENDINGS: [&str; 6] = ["jpg", "jpeg", "png", "webp", "gif", "bmp"];
/// Between two savings of the results.
const SAVE_EVERY: Duration = Duration::from_secs(30);

#[derive(Debug, Serialize)]
struct CaptionLine<'a> {
    picture: &'a str,
    #[serde(flatten)]
    caption: &'a Caption,
}

/// A picture to be captioned.
struct Wanted {
    path: PathBuf,
    /// From the folder that was named; the path itself of a picture that was named.
    name: String,
}

/// Says what is in each picture. A picture that can't be read does not keep the others from being
/// captioned.
///
/// # Errors
/// The models can't be loaded, or a picture could not be read (the last one is named).
pub fn run(a: &CaptionArguments, stop: &AtomicBool) -> Result<()> {
    let wanted = find(a)?;
    let compute = a.common.device.compute()?;
    let captioner = open_captioner(&a.common, &compute)?;
    match &a.out {
        Some(out) => write_results(a, out, wanted, &captioner, stop),
        None => print_lines(a, &wanted, &captioner, stop),
    }
}

/// All pictures that were named, those of folders in the order of their names.
fn find(a: &CaptionArguments) -> Result<Vec<Wanted>> {
    let listed = a.list.as_ref().map(|file| -> Result<std::collections::HashSet<String>> {
        let text = std::fs::read_to_string(file).map_err(Error::io(file))?;
        Ok(text.lines().map(|line| line.trim().to_string()).collect())
    });
    let listed = listed.transpose()?;
    let mut wanted = Vec::new();
    for given in &a.pictures {
        if !given.is_dir() {
            wanted.push(Wanted { path: given.clone(), name: given.display().to_string() });
            continue;
        }
        let before = wanted.len();
        for entry in std::fs::read_dir(given).map_err(Error::io(given))? {
            let path = entry.map_err(Error::io(given))?.path();
            let ending = path.extension().and_then(|e| e.to_str()).unwrap_or_default().to_lowercase();
            if ENDINGS.contains(&ending.as_str()) {
                let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
                wanted.push(Wanted { path, name });
            }
        }
        if wanted.len() == before {
            return Err(Error::Data(format!(
                "{} holds no pictures (JPEG, PNG, WebP, GIF or BMP). Folders in it are not looked into.",
                given.display()
            )));
        }
        wanted[before..].sort_by(|a, b| a.name.cmp(&b.name));
    }
    if let Some(listed) = listed {
        let name = |w: &Wanted| w.path.file_name().map(|n| n.to_string_lossy().into_owned());
        wanted.retain(|w| name(w).is_some_and(|name| listed.contains(&name)));
        if wanted.is_empty() {
            return Err(Error::Data("None of the pictures stands in the list.".into()));
        }
    }
    Ok(wanted)
}

fn print_lines(
    a: &CaptionArguments,
    wanted: &[Wanted],
    captioner: &Captioner,
    stop: &AtomicBool,
) -> Result<()> {
    let mut failed = None;
    for Wanted { path, .. } in wanted {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let picture = match open_picture(path) {
            Ok(picture) => picture,
            Err(error) => {
                if let Some(before) = failed.replace(error) {
                    tell(&format!("songwriter: {before}"));
                }
                continue;
            }
        };
        let caption = block_on(captioner.caption(&picture, a.common.beam))?;
        let name = path.display().to_string();
        print(&if a.common.json {
            json(&CaptionLine { picture: &name, caption: &caption })?
        } else if wanted.len() > 1 {
            format!("{name}: {}\n", caption.text)
        } else {
            format!("{}\n", caption.text)
        })?;
    }
    failed.map_or(Ok(()), Err)
}

/// The file of what people say: the one named, or the corpus's own beside a folder of pictures.
fn references(a: &CaptionArguments) -> Result<BTreeMap<String, Vec<String>>> {
    let beside = a.pictures.iter().filter(|path| path.is_dir()).flat_map(|dir| {
        [Some(dir.join(CAPTIONS)), dir.parent().map(|parent| parent.join(CAPTIONS))].into_iter().flatten()
    });
    match a.references.clone().or_else(|| beside.into_iter().find(|file| file.is_file())) {
        Some(file) => read_references(&file),
        None => Ok(BTreeMap::new()),
    }
}

fn write_results(
    a: &CaptionArguments,
    out: &Path,
    wanted: Vec<Wanted>,
    captioner: &Captioner,
    stop: &AtomicBool,
) -> Result<()> {
    let references = references(a)?;
    let folder = models_folder(a.common.models.as_ref());
    let files = ModelFiles::open(&folder.join("captioner"))?;
    let weights = files.manifest.files.iter().find(|f| f.path == TENSORS);
    let params = Params {
        model: weights.map(|f| f.sha256.clone()).unwrap_or_default(),
        beam: a.common.beam,
        songs: a.songs,
    };
    let mut results = if out.exists() { Results::read(out)? } else { Results::default() };
    if results.imgblobs.is_empty() {
        results.params = params.clone();
    } else if results.params != params {
        return Err(Error::Usage(format!(
            "{} holds results of another model or with other options. Name another file with --out.",
            out.display()
        )));
    }
    let known: std::collections::HashSet<String> =
        results.imgblobs.iter().map(|b| b.img_path.clone()).collect();
    let all = wanted.len();
    let missing: Vec<Wanted> = wanted.into_iter().filter(|w| !known.contains(&w.name)).collect();
    let lyricist = (a.songs > 0)
        .then(|| Lyricist::new(&ModelFiles::open(&folder.join("lyricist"))?, &a.common.device.compute()?))
        .transpose()?;
    let look = |wanted: &Wanted| -> Result<Blob> {
        let picture = open_picture(&wanted.path)?;
        let caption = block_on(captioner.caption(&picture, a.common.beam))?;
        let songs = match &lyricist {
            Some(lyricist) => songs_about(lyricist, &caption.text, a.songs)?,
            None => Vec::new(),
        };
        let file = wanted.path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        let said = references.get(&file).map_or(&[] as &[String], Vec::as_slice);
        Ok(Blob::new(wanted.name.clone(), caption, said, songs))
    };
    // A core for each picture; a GPU is one.
    let span = if a.common.device == DeviceKind::Cpu { 4 * rayon::current_num_threads() } else { 1 };
    let mut counter = progress::Counter::new("pictures looked at");
    let (mut failed, mut saved) = (0, Instant::now());
    counter.show(all - missing.len(), all);
    for chunk in missing.chunks(span) {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let found: Vec<Result<Blob>> = match chunk {
            [one] => vec![look(one)],
            many => many.par_iter().map(look).collect(),
        };
        for blob in found {
            match blob {
                Ok(blob) => results.imgblobs.push(blob),
                Err(error @ (Error::Picture { .. } | Error::PictureTooLarge { .. } | Error::Io { .. })) => {
                    failed += 1;
                    tell(&format!("songwriter: {error}"));
                }
                Err(error) => return Err(error),
            }
        }
        counter.show(results.imgblobs.len() + failed, all);
        if saved.elapsed() > SAVE_EVERY {
            results.write(out)?;
            saved = Instant::now();
        }
    }
    counter.clear();
    results.write(out)?;
    if stop.load(Ordering::Relaxed) {
        tell(&format!(
            "Stopped after {} of {all} pictures, kept in {}. The same command goes on from there.",
            results.imgblobs.len(),
            out.display()
        ));
        return Ok(());
    }
    tell(&format!("{} pictures written to {}.", results.imgblobs.len(), out.display()));
    if let Some(scores) = results.scores() {
        tell(&format!(
            "{} of them described by people: BLEU-1 {:.1}, BLEU-4 {:.1}, METEOR {:.1}, CIDEr-D {:.3}, {:.0} % different captions.",
            scores.pictures,
            scores.bleu[0],
            scores.bleu[3],
            scores.meteor,
            scores.cider_d,
            100.0 * scores.distinct_share
        ));
    }
    match failed {
        0 => Ok(()),
        n => Err(Error::Data(format!("{n} of {all} pictures could not be read; see above."))),
    }
}

fn songs_about(lyricist: &Lyricist, caption: &str, count: u32) -> Result<Vec<String>> {
    let options = SongOptions::default();
    let prompt = Prompt::from_caption(caption);
    let songs = block_on(
        lyricist.write(&prompt, &options, count as usize, async |_, _| std::ops::ControlFlow::Continue(())),
    )?;
    Ok(songs.into_iter().map(|song| song.text).collect())
}
