//! `songwriter report`: a file of results as one web page, which needs nothing beside it.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use clap::Args;
use jpeg_encoder::{ColorType, Encoder};
use rayon::prelude::*;
use serde::Serialize;
use serde_json::json;

use super::write::open_picture;
use super::{progress, tell};
use crate::error::{Error, Result};
use crate::picture::{Picture, SIDE};
use crate::results::{Blob, Results};
use crate::weights::write_atomic;

/// Options of `report`.
#[derive(Debug, Args)]
pub struct ReportArguments {
    /// What `songwriter caption --out` wrote
    #[arg(value_name = "RESULTS")]
    pub results: PathBuf,
    /// The page to write
    #[arg(long, default_value = "report.html", value_name = "FILE")]
    pub out: PathBuf,
    /// Folder of the pictures, where the results name them without one
    #[arg(long, value_name = "DIR")]
    pub pictures: Option<PathBuf>,
}

/// The page; its data goes where [`DATA`] stands.
const PAGE: &str = include_str!("report.html");
const DATA: &str = "@DATA@";
/// Of JPEG, from 1 to 100: some 12 kB a picture.
const QUALITY: u8 = 82;

/// A picture as the page has it.
#[derive(Debug, Serialize)]
struct Card<'a> {
    #[serde(flatten)]
    blob: &'a Blob,
    /// A data URL; none if the picture is not to be found.
    image: Option<String>,
    /// Width by height.
    ratio: f64,
    cider_d: Option<f64>,
}

/// Writes the page.
///
/// # Errors
/// The results can't be read, the page can't be written, or `stop` was set.
pub fn run(a: &ReportArguments, stop: &AtomicBool) -> Result<()> {
    let results = Results::read(&a.results)?;
    if results.imgblobs.is_empty() {
        return Err(Error::Data(format!("{} holds no pictures.", a.results.display())));
    }
    let scores = results.each_score();
    let mut counter = progress::Counter::new("pictures put in");
    let mut cards = Vec::with_capacity(results.imgblobs.len());
    let all: Vec<(&Blob, Option<f64>)> = results.imgblobs.iter().zip(scores).collect();
    for chunk in all.chunks(64) {
        if stop.load(Ordering::Relaxed) {
            return Err(Error::Usage("Stopped; no page was written.".into()));
        }
        let done: Vec<Card<'_>> = chunk.par_iter().map(|&(blob, score)| card(a, blob, score)).collect();
        cards.extend(done);
        counter.show(cards.len(), all.len());
    }
    counter.clear();
    let missing = cards.iter().filter(|card| card.image.is_none()).count();
    if missing == cards.len() {
        return Err(Error::Data(format!(
            "None of the pictures was found, {} for one. Say where they are with --pictures DIR.",
            cards[0].blob.img_path
        )));
    }
    let data = json!({ "scores": results.scores(), "beam": results.params.beam, "cards": cards });
    // Inside a script element only "<" could end it.
    let data = data.to_string().replace('<', "\\u003c");
    let page = PAGE.replacen(DATA, &data, 1);
    write_atomic(&a.out, page.as_bytes())?;
    if missing > 0 {
        tell(&format!(
            "{missing} of {} pictures were not found; the page has their captions alone.",
            cards.len()
        ));
    }
    tell(&format!("{} pictures, {:.1} MB: {}", cards.len(), page.len() as f64 / 1e6, a.out.display()));
    Ok(())
}

fn card<'a>(a: &ReportArguments, blob: &'a Blob, cider_d: Option<f64>) -> Card<'a> {
    let picture = find(a, &blob.img_path).and_then(|path| open_picture(&path).ok());
    let (width, height) = picture.as_ref().map_or((1, 1), Picture::size);
    Card {
        blob,
        ratio: f64::from(width) / f64::from(height),
        image: picture.and_then(|picture| data_url(&picture)),
        cider_d,
    }
}

/// Where a picture lies: in --pictures, from here, or from where the results lie.
fn find(a: &ReportArguments, name: &str) -> Option<PathBuf> {
    let beside = a.results.parent().map(|folder| folder.join(name));
    let given = a.pictures.as_ref().map(|folder| folder.join(name));
    [given, Some(PathBuf::from(name)), beside]
        .into_iter()
        .flatten()
        .find(|path: &PathBuf| Path::is_file(path))
}

/// The picture as the network sees it, in text.
fn data_url(picture: &Picture) -> Option<String> {
    let mut jpeg = Vec::new();
    let side = SIDE as u16;
    Encoder::new(&mut jpeg, QUALITY).encode(picture.pixels(), side, side, ColorType::Rgb).ok()?;
    Some(format!("data:image/jpeg;base64,{}", base64(&jpeg)))
}

/// RFC 4648, section 4.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let bits = group.iter().enumerate().fold(0u32, |bits, (i, &b)| bits | u32::from(b) << (16 - 8 * i));
        for i in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * i)) as usize & 63];
            out.push(if i <= group.len() { char::from(digit) } else { '=' });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    #[test]
    fn base64_is_that_of_the_standard() {
        // RFC 4648, section 10.
        let cases = [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")];
        for (text, wanted) in cases {
            assert_eq!(super::base64(text.as_bytes()), wanted);
        }
    }
}
