//! Flickr8k: photos with five captions each.
//!
//! M. Hodosh, P. Young and J. Hockenmaier, "Framing Image Description as a Ranking Task", Journal
//! of Artificial Intelligence Research 47 (2013). The folder holds `images/`,
//! `Flickr8k.token.txt` and the lists of the official splits.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// File with the captions: `NAME.jpg#K`, a tab, the caption.
pub const CAPTIONS: &str = "Flickr8k.token.txt";

/// A part of the corpus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Split {
    /// 6,000 photos to train on.
    Train,
    /// 1,000 photos to compare models with.
    Dev,
}

impl Split {
    /// Name of the file that lists the photos of the split.
    pub fn list(self) -> &'static str {
        match self {
            Self::Train => "Flickr_8k.trainImages.txt",
            Self::Dev => "Flickr_8k.devImages.txt",
        }
    }
}

/// A photo and what people said of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Captioned {
    /// Where the photo lies.
    pub image: PathBuf,
    /// Its file name.
    pub name: String,
    /// The captions as [`tokens`] gives them.
    pub captions: Vec<Vec<String>>,
}

/// The corpus, its captions in memory and its photos on the disk.
#[derive(Debug, Clone)]
pub struct Flickr8k {
    train: Vec<Captioned>,
    dev: Vec<Captioned>,
}

impl Flickr8k {
    /// Reads captions and lists of a folder, and looks whether each photo is there.
    ///
    /// # Errors
    /// A file is missing or malformed, a listed photo has no caption or is not there, or a photo is
    /// in both splits. The message names file and line.
    pub fn open(dir: &Path) -> Result<Self> {
        let mut captions = read_captions(&dir.join(CAPTIONS))?;
        let images = dir.join("images");
        let present: HashSet<std::ffi::OsString> = std::fs::read_dir(&images)
            .map_err(Error::io(&images))?
            .map(|entry| entry.map(|entry| entry.file_name()).map_err(Error::io(&images)))
            .collect::<Result<_>>()?;
        let mut read = |split: Split| -> Result<Vec<Captioned>> {
            let path = dir.join(split.list());
            let mut photos = Vec::new();
            for (number, name) in lines(&read_text(&path)?) {
                let fail =
                    |why: &str| Error::Data(format!("{}, line {number}: {name} {why}", path.display()));
                if !present.contains(std::ffi::OsStr::new(name)) {
                    return Err(fail("is not in the folder images"));
                }
                let captions = captions
                    .remove(name)
                    .ok_or_else(|| fail(&format!("has no caption in {CAPTIONS}, or is listed twice")))?;
                photos.push(Captioned { image: images.join(name), name: name.into(), captions });
            }
            if photos.is_empty() {
                return Err(Error::Data(format!("{} lists no photos", path.display())));
            }
            Ok(photos)
        };
        Ok(Self { train: read(Split::Train)?, dev: read(Split::Dev)? })
    }

    /// The photos of a split, in the order of its list.
    pub fn split(&self, split: Split) -> &[Captioned] {
        match split {
            Split::Train => &self.train,
            Split::Dev => &self.dev,
        }
    }
}

/// Words of a caption as BLEU compares them: lower case, nothing but `a` to `z`, digits,
/// apostrophe and hyphen, and no token that is punctuation alone.
pub fn tokens(caption: &str) -> Vec<String> {
    caption
        .split_whitespace()
        .map(|token| {
            let kept = token.chars().map(|c| c.to_ascii_lowercase());
            kept.filter(|c| matches!(c, 'a'..='z' | '0'..='9' | '\'' | '-')).collect::<String>()
        })
        .filter(|token| token.contains(|c: char| c.is_ascii_alphanumeric()))
        .collect()
}

/// Captions as [`tokens`] gives them, with spaces between the words, by the names of the photos.
///
/// # Errors
/// The file can't be read or is malformed.
pub fn read_references(path: &Path) -> Result<BTreeMap<String, Vec<String>>> {
    let captions = read_captions(path)?;
    Ok(captions.into_iter().map(|(name, said)| (name, said.iter().map(|w| w.join(" ")).collect())).collect())
}

fn read_text(path: &Path) -> Result<String> {
    let bytes = std::fs::read(path).map_err(Error::io(path))?;
    String::from_utf8(bytes).map_err(|e| {
        let valid = &e.as_bytes()[..e.utf8_error().valid_up_to()];
        let line = valid.iter().filter(|b| **b == b'\n').count() + 1;
        Error::Data(format!("{}, line {line}: this is not UTF-8 text", path.display()))
    })
}

/// Lines that are not blank, with their numbers.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().map(|(i, line)| (i + 1, line.trim())).filter(|(_, line)| !line.is_empty())
}

fn read_captions(path: &Path) -> Result<BTreeMap<String, Vec<Vec<String>>>> {
    let mut captions = BTreeMap::<String, Vec<Vec<String>>>::new();
    for (number, line) in lines(&read_text(path)?) {
        let fail = |why: &str| Error::Data(format!("{}, line {number}: {why}", path.display()));
        let (key, caption) =
            line.split_once('\t').ok_or_else(|| fail("no tab between the photo's name and the caption"))?;
        let (name, _) = key.split_once('#').ok_or_else(|| fail("no # behind the photo's name"))?;
        let words = tokens(caption);
        if words.is_empty() {
            return Err(fail("the caption has no words"));
        }
        captions.entry(name.into()).or_default().push(words);
    }
    Ok(captions)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(captions: &str, train: &str, dev: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path();
        std::fs::create_dir(dir.join("images")).unwrap();
        for name in ["a.jpg", "b.jpg"] {
            std::fs::write(dir.join("images").join(name), "").unwrap();
        }
        std::fs::write(dir.join(CAPTIONS), captions).unwrap();
        std::fs::write(dir.join(Split::Train.list()), train).unwrap();
        std::fs::write(dir.join(Split::Dev.list()), dev).unwrap();
        folder
    }

    const GOOD: &str = "a.jpg#0\tA dog runs .\na.jpg#1\tA brown dog .\r\nb.jpg#0\tTwo cats .\n";

    #[test]
    fn captions_go_with_their_photos() {
        let folder = folder(GOOD, "a.jpg\n\n", "b.jpg\n");
        let corpus = Flickr8k::open(folder.path()).unwrap();
        let [photo] = corpus.split(Split::Train) else { panic!() };
        assert_eq!(photo.name, "a.jpg");
        assert!(photo.image.ends_with("images/a.jpg"));
        assert_eq!(photo.captions, [vec!["a", "dog", "runs"], vec!["a", "brown", "dog"]]);
        assert_eq!(corpus.split(Split::Dev).len(), 1);
    }

    #[test]
    fn punctuation_is_no_word() {
        let words = tokens("A man 's T-shirt , \"red\" & blue , says #1 -- caf\u{e9} !");
        assert_eq!(words, ["a", "man", "'s", "t-shirt", "red", "blue", "says", "1", "caf"]);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        for (captions, train, dev, expected) in [
            ("a.jpg#0 no tab\n", "a.jpg\n", "b.jpg\n", "token.txt, line 1: no tab"),
            ("a.jpg#0\tA dog\nb.jpg\tA cat\n", "a.jpg\n", "b.jpg\n", "line 2: no #"),
            ("a.jpg#0\t. !\n", "a.jpg\n", "b.jpg\n", "line 1: the caption has no words"),
            (GOOD, "a.jpg\nc.jpg\n", "b.jpg\n", "trainImages.txt, line 2: c.jpg is not in"),
            (GOOD, "a.jpg\n", "\nb.jpg\na.jpg\n", "devImages.txt, line 3: a.jpg has no caption"),
            (GOOD, "\n", "b.jpg\n", "trainImages.txt lists no photos"),
        ] {
            let folder = folder(captions, train, dev);
            let error = Flickr8k::open(folder.path()).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
        let error = Flickr8k::open(Path::new("no-such-folder")).unwrap_err().to_string();
        assert!(error.contains("no-such-folder"), "{error}");
    }
}
