//! What the encoder's trunk makes of many photos, computed once and kept on the disk.
//!
//! The trunk is not trained, so what it gives for a photo never changes; computing it is minutes of
//! work that every training run would otherwise repeat. The cache folder has one folder for each
//! trunk (named by a digest of its weights), in it files of up to [`CHUNK`] photos: safetensors,
//! a tensor of 49 x 192 half-precision values for each photo, by its file name. A file is written
//! when its photos are done, so a run that was stopped goes on where it was.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use burn::tensor::Device;
use half::f16;
use rayon::prelude::*;
use sha2::{Digest, Sha256};

use crate::captioner::encoder::{Encoder, REGIONS, TRUNK_FEATURES, trunk_shapes};
use crate::error::{Error, Result};
use crate::picture::Picture;
use crate::weights::{Tensors, sha256, write_atomic};

/// Photos in one file of the cache.
pub const CHUNK: usize = 256;
/// Photos between two looks at the stop flag: about a second.
const SPAN: usize = 32;
/// Values of one photo.
const VALUES: usize = REGIONS * TRUNK_FEATURES;
/// Counts up when the pixels that the encoder is given or the form of the files change, so that
/// old features are left.
const FORM: &str = "pixels 1, trunk 1";

/// How a photo is shown to the encoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum View {
    /// As it is.
    Whole,
    /// Left and right changed.
    Mirrored,
    /// A part of it, as large as a photo: which one, from 0 up, follows from the number. Odd ones
    /// are mirrored.
    Part(u8),
}

/// What the trunk gives for a photo, as it is kept: `[region, feature]`, 49 x 192.
pub type Grid = Box<[f16]>;

/// The trunk's grids by photo and view.
#[derive(Debug, Default)]
pub struct Features {
    grids: BTreeMap<String, Grid>,
}

/// One thing to compute.
struct Wanted<'a> {
    key: String,
    path: &'a Path,
    view: View,
}

impl View {
    /// The name that a photo has in the cache when seen so.
    fn key(self, name: &str) -> String {
        match self {
            Self::Whole => name.into(),
            Self::Mirrored => format!("{name}/mirrored"),
            Self::Part(n) => format!("{name}/part {n}"),
        }
    }

    /// Whether left is right here.
    pub fn is_mirrored(self) -> bool {
        match self {
            Self::Whole => false,
            Self::Mirrored => true,
            Self::Part(n) => n % 2 == 1,
        }
    }

    /// The picture as it is seen.
    fn show(self, picture: &Picture, key: &str) -> Picture {
        match self {
            Self::Whole => picture.clone(),
            Self::Mirrored => picture.mirrored(),
            Self::Part(_) => {
                // The place follows from the photo's name, so that it is the same in each run.
                let digest = Sha256::digest(key.as_bytes());
                let share = |i: usize| f64::from(digest[i]) / 255.0;
                // At least 0.8 of each side: the captions speak of the whole photo.
                let (width, height) = (0.8 + 0.2 * share(0), 0.8 + 0.2 * share(1));
                let part =
                    picture.part(((1.0 - width) * share(2), (1.0 - height) * share(3)), (width, height));
                if self.is_mirrored() { part.mirrored() } else { part }
            }
        }
    }
}

impl Features {
    /// Grids of all `images` in all `views`, from the cache where it has them and else computed on
    /// all cores. Photos are told apart by their file names. `progress` gets the number of grids
    /// done and the number of all.
    ///
    /// # Errors
    /// A photo can't be read, the encoder's tensors do not fit, the disk refuses, or `stop` was
    /// set; what is done is kept in each case. A damaged file of the cache is no error, its
    /// photos are computed again.
    pub fn load_or_compute(
        cache_dir: &Path,
        images: &[(&Path, &[View])],
        encoder: &Tensors,
        mut progress: impl FnMut(usize, usize),
        stop: &AtomicBool,
    ) -> Result<Self> {
        let folder = cache_dir.join(&digest(encoder)?[..16]);
        std::fs::create_dir_all(&folder).map_err(Error::io(&folder))?;
        let mut wanted = BTreeMap::new();
        for &(path, views) in images {
            let name = name_of(path)?;
            for &view in views {
                let key = view.key(name);
                wanted.insert(key.clone(), Wanted { key, path, view });
            }
        }
        let all = wanted.len();
        let mut grids = read_folder(&folder, &wanted)?;
        let missing: Vec<Wanted<'_>> = wanted.into_values().filter(|w| !grids.contains_key(&w.key)).collect();
        progress(grids.len(), all);
        if missing.is_empty() {
            return Ok(Self { grids });
        }
        let encoder = Encoder::from_tensors(encoder, &Device::flex())?;
        for chunk in missing.chunks(CHUNK) {
            let mut fresh = Tensors::new("features");
            let mut result = Ok(());
            for span in chunk.chunks(SPAN) {
                if stop.load(Ordering::Relaxed) {
                    result = Err(Error::Training(format!(
                        "Stopped after the features of {} of {all} photos. They are kept: run the same again to go on.",
                        grids.len(),
                    )));
                    break;
                }
                match span.par_iter().map(|w| compute(&encoder, w)).collect::<Result<Vec<_>>>() {
                    Ok(rows) => {
                        for (wanted, row) in span.iter().zip(rows) {
                            grids
                                .insert(wanted.key.clone(), row.iter().copied().map(f16::from_f32).collect());
                            fresh.insert(&wanted.key, &[REGIONS, TRUNK_FEATURES], row);
                        }
                    }
                    Err(error) => {
                        result = Err(error);
                        break;
                    }
                }
                progress(grids.len(), all);
            }
            if !fresh.is_empty() {
                let bytes = fresh.to_safetensors(true)?;
                write_atomic(&folder.join(format!("{}.safetensors", &sha256(&bytes)[..16])), &bytes)?;
            }
            result?;
        }
        Ok(Self { grids })
    }

    /// Takes out the grid of the photo of that file name, seen so.
    ///
    /// # Errors
    /// It was not asked for, or was taken before.
    pub fn take(&mut self, name: &str, view: View) -> Result<Grid> {
        let missing = || Error::Data(format!("{name} is listed twice, or has no features"));
        self.grids.remove(&view.key(name)).ok_or_else(missing)
    }

    /// Number of grids.
    pub fn len(&self) -> usize {
        self.grids.len()
    }

    /// Whether there is no grid.
    pub fn is_empty(&self) -> bool {
        self.grids.is_empty()
    }
}

fn name_of(image: &Path) -> Result<&str> {
    image
        .file_name()
        .and_then(|name| name.to_str())
        .ok_or_else(|| Error::Data(format!("{} has no file name in UTF-8", image.display())))
}

/// Digest of the trunk's weights and of the way that pixels are made.
fn digest(encoder: &Tensors) -> Result<String> {
    let mut hash = Sha256::new();
    hash.update(FORM);
    for (name, shape) in trunk_shapes() {
        hash.update(&name);
        for value in encoder.get(&name, &shape)? {
            hash.update(value.to_le_bytes());
        }
    }
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// What is wanted of what the files of a cache folder hold.
fn read_folder(folder: &Path, wanted: &BTreeMap<String, Wanted<'_>>) -> Result<BTreeMap<String, Grid>> {
    let mut grids = BTreeMap::new();
    for entry in std::fs::read_dir(folder).map_err(Error::io(folder))? {
        let path = entry.map_err(Error::io(folder))?.path();
        if path.extension().is_none_or(|extension| extension != "safetensors") {
            continue;
        }
        let bytes = std::fs::read(&path).map_err(Error::io(&path))?;
        let Ok(tensors) = Tensors::from_safetensors("features", &bytes) else { continue };
        for name in tensors.names().filter(|name| wanted.contains_key(*name)) {
            if let Ok(grid) = tensors.get(name, &[REGIONS, TRUNK_FEATURES]) {
                grids.insert(name.into(), grid.iter().copied().map(f16::from_f32).collect());
            }
        }
    }
    Ok(grids)
}

/// Decodes and encodes a photo: `[region, feature]`. One photo at a time on each core: the layers
/// of a larger batch do not fit the cache, which makes it slower.
fn compute(encoder: &Encoder, wanted: &Wanted<'_>) -> Result<Vec<f32>> {
    let bytes = std::fs::read(wanted.path).map_err(Error::io(wanted.path))?;
    let picture = Picture::from_bytes(&wanted.path.display().to_string(), &bytes)?;
    let picture = wanted.view.show(&picture, &wanted.key);
    let grid = encoder.trunk(encoder.input(&[picture]));
    let regions = grid.reshape([TRUNK_FEATURES, REGIONS]).swap_dims(0, 1).into_data();
    let values = regions
        .try_to_vec::<f32>()
        .map_err(|e| Error::Device(format!("the features can't be read back: {e:?}")))?;
    debug_assert_eq!(values.len(), VALUES);
    Ok(values)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    /// The last bias of the trunk.
    const LAST: &str = "encoder.blocks.11.project.bias";

    /// A trunk of zeros, but for the last biases: features 0.0, 0.5, 1.0, 1.5, 0.0, ...
    fn toy() -> Tensors {
        let mut tensors = Tensors::new("toy");
        for (name, shape) in crate::captioner::encoder::tensor_shapes() {
            let size = shape.iter().product();
            let value = |i: usize| if name == LAST { (i % 4) as f32 / 2.0 } else { 0.0 };
            tensors.insert(&name, &shape, (0..size).map(value).collect());
        }
        tensors
    }

    fn photos(folder: &Path, count: usize) -> Vec<PathBuf> {
        let photo = include_bytes!("../../tests/fixtures/chelsea-224.png");
        let paths: Vec<PathBuf> = (0..count).map(|i| folder.join(format!("{i}.png"))).collect();
        paths.iter().for_each(|path| std::fs::write(path, photo).unwrap());
        paths
    }

    fn whole(paths: &[PathBuf]) -> Vec<(&Path, &[View])> {
        paths.iter().map(|path| (path.as_path(), &[View::Whole] as &[View])).collect()
    }

    #[test]
    fn what_was_stopped_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let images = photos(folder.path(), SPAN + 3);
        let cache = folder.path().join("cache");
        let stop = AtomicBool::new(false);
        let halt = |done: usize, _: usize| stop.store(done > 0, Ordering::Relaxed);
        let error = Features::load_or_compute(&cache, &whole(&images), &toy(), halt, &stop).unwrap_err();
        assert!(error.to_string().contains(&format!("{SPAN} of {} photos", SPAN + 3)), "{error}");

        // Those that are done are not read again, so they need not be there.
        let kept = name_of(&images[0]).unwrap();
        std::fs::remove_file(&images[0]).unwrap();
        let mut seen = Vec::new();
        let stop = AtomicBool::new(false);
        let progress = |done, total| seen.push((done, total));
        let mut features =
            Features::load_or_compute(&cache, &whole(&images), &toy(), progress, &stop).unwrap();
        assert_eq!(seen, [(SPAN, SPAN + 3), (SPAN + 3, SPAN + 3)]);
        assert_eq!(features.len(), SPAN + 3);
        let grid = features.take(kept, View::Whole).unwrap();
        assert_eq!(grid.len(), VALUES);
        assert_eq!(grid[..5], [0.0, 0.5, 1.0, 1.5, 0.0].map(f16::from_f32));
        assert!(features.take(kept, View::Whole).is_err());
    }

    #[test]
    fn another_encoder_and_a_damaged_cache_start_anew() {
        let folder = tempfile::tempdir().unwrap();
        let images = photos(folder.path(), 2);
        let cache = folder.path().join("cache");
        let run = |encoder: &Tensors| {
            let stop = AtomicBool::new(false);
            let mut features =
                Features::load_or_compute(&cache, &whole(&images), encoder, |_, _| (), &stop).unwrap();
            features.take("1.png", View::Whole).unwrap()[1].to_f32()
        };
        assert_eq!(run(&toy()), 0.5);
        let mut other = toy();
        other.insert(LAST, &[TRUNK_FEATURES], vec![2.0; TRUNK_FEATURES]);
        assert_eq!(run(&other), 2.0);
        for entry in std::fs::read_dir(&cache).unwrap() {
            for file in std::fs::read_dir(entry.unwrap().path()).unwrap() {
                std::fs::write(file.unwrap().path(), "damaged").unwrap();
            }
        }
        assert_eq!(run(&toy()), 0.5);
    }

    #[test]
    fn a_photo_that_cannot_be_read_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let mut images = photos(folder.path(), 1);
        images.push(folder.path().join("gone.png"));
        let stop = AtomicBool::new(false);
        let error =
            Features::load_or_compute(folder.path(), &whole(&images), &toy(), |_, _| (), &stop).unwrap_err();
        assert!(error.to_string().contains("gone.png"), "{error}");
    }

    #[test]
    fn views_are_what_they_are_called() {
        let photo = include_bytes!("../../tests/fixtures/chelsea-224.png");
        let picture = Picture::from_bytes("cat", photo).unwrap();
        let side = crate::picture::SIDE;
        let pixel = |p: &Picture, row: usize, column: usize| p.pixels()[(row * side + column) * 3];
        let mirrored = View::Mirrored.show(&picture, "cat");
        assert_eq!(pixel(&mirrored, 10, 3), pixel(&picture, 10, side - 4));
        assert_eq!(mirrored.mirrored(), picture);
        assert_eq!(picture.part((0.0, 0.0), (1.0, 1.0)), picture);
        // The lower right quarter, twice as large: its last pixel stays where it is.
        let quarter = picture.part((0.5, 0.5), (0.5, 0.5));
        assert_eq!(pixel(&quarter, side - 1, side - 1), pixel(&picture, side - 1, side - 1));
        let [one, two] = [0, 2].map(|n| View::Part(n).show(&picture, &View::Part(n).key("cat")));
        assert!(one != two && one != picture);
        assert_eq!(one, View::Part(0).show(&picture, &View::Part(0).key("cat")));
    }
}
