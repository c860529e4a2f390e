//! Pooled features of many photos, computed once and kept on the disk.
//!
//! The encoder is not trained, so a photo's features never change; computing them is minutes of
//! work that every training run would otherwise repeat. The cache folder has one folder for each
//! encoder (named by a digest of its weights), in it files of up to [`CHUNK`] photos: safetensors,
//! a tensor of 1,280 single-precision values for each photo's file name. A file is written when its
//! photos are done, so a run that was stopped goes on where it was.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use burn::tensor::Device;
use rayon::prelude::*;
use sha2::{Digest, Sha256};

use crate::captioner::encoder::{Encoder, FEATURES, tensor_shapes};
use crate::error::{Error, Result};
use crate::picture::Picture;
use crate::weights::{Tensors, sha256, write_atomic};

/// Photos in one file of the cache.
pub const CHUNK: usize = 256;
/// Photos between two looks at the stop flag: about a second.
const SPAN: usize = 32;
/// Counts up when the pixels that the encoder is given change, so that old features are left.
const PIXELS: &str = "pixels 1";

/// Pooled features by photo.
#[derive(Debug, Clone)]
pub struct Features {
    rows: BTreeMap<String, Vec<f32>>,
}

impl Features {
    /// Features of all `images`, from the cache where it has them and else computed on all cores.
    /// Photos are told apart by their file names. `progress` gets the number of photos done and the
    /// number of all.
    ///
    /// # Errors
    /// A photo can't be read, the encoder's tensors do not fit, the disk refuses, or `stop` was
    /// set; what is done is kept in each case. A damaged file of the cache is no error, its
    /// photos are computed again.
    pub fn load_or_compute(
        cache_dir: &Path,
        images: &[PathBuf],
        encoder: &Tensors,
        mut progress: impl FnMut(usize, usize),
        stop: &AtomicBool,
    ) -> Result<Self> {
        let folder = cache_dir.join(&digest(encoder)?[..16]);
        std::fs::create_dir_all(&folder).map_err(Error::io(&folder))?;
        let mut rows = read_folder(&folder)?;
        let mut missing = BTreeMap::new();
        for image in images {
            let name = name_of(image)?;
            if !rows.contains_key(name) {
                missing.insert(name, image.as_path());
            }
        }
        let missing: Vec<(&str, &Path)> = missing.into_iter().collect();
        let known = images.len() - missing.len();
        progress(known, images.len());
        if !missing.is_empty() {
            let encoder = Encoder::from_tensors(encoder, &Device::flex())?;
            for (i, chunk) in missing.chunks(CHUNK).enumerate() {
                let mut fresh = Tensors::new("features");
                let mut result = Ok(());
                for span in chunk.chunks(SPAN) {
                    if stop.load(Ordering::Relaxed) {
                        result = Err(Error::Training(format!(
                            "Stopped after the features of {} of {} photos. They are kept: run the same again to go on.",
                            rows.len(),
                            images.len()
                        )));
                        break;
                    }
                    match compute(&encoder, span) {
                        Ok(values) => {
                            for ((name, _), row) in span.iter().zip(values.chunks_exact(FEATURES)) {
                                fresh.insert(name, &[FEATURES], row.to_vec());
                                rows.insert((*name).into(), row.to_vec());
                            }
                        }
                        Err(error) => {
                            result = Err(error);
                            break;
                        }
                    }
                    progress((known + i * CHUNK + fresh.len() / FEATURES).min(images.len()), images.len());
                }
                if !fresh.is_empty() {
                    let bytes = fresh.to_safetensors(false)?;
                    write_atomic(&folder.join(format!("{}.safetensors", &sha256(&bytes)[..16])), &bytes)?;
                }
                result?;
            }
        }
        Ok(Self { rows })
    }

    /// The 1,280 features of the photo of that file name, if it was asked for or is in the cache.
    pub fn get(&self, name: &str) -> Option<&[f32]> {
        self.rows.get(name).map(Vec::as_slice)
    }

    /// Number of photos.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is no photo.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

fn name_of(image: &Path) -> Result<&str> {
    image
        .file_name()
        .and_then(|name| name.to_str())
        .ok_or_else(|| Error::Data(format!("{} has no file name in UTF-8", image.display())))
}

/// Digest of the encoder's weights and of the way that pixels are made.
fn digest(encoder: &Tensors) -> Result<String> {
    let mut hash = Sha256::new();
    hash.update(PIXELS);
    for (name, shape) in tensor_shapes() {
        hash.update(&name);
        for value in encoder.get(&name, &shape)? {
            hash.update(value.to_le_bytes());
        }
    }
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// All that the files of a cache folder hold.
fn read_folder(folder: &Path) -> Result<BTreeMap<String, Vec<f32>>> {
    let mut rows = BTreeMap::new();
    for entry in std::fs::read_dir(folder).map_err(Error::io(folder))? {
        let path = entry.map_err(Error::io(folder))?.path();
        if path.extension().is_none_or(|extension| extension != "safetensors") {
            continue;
        }
        let bytes = std::fs::read(&path).map_err(Error::io(&path))?;
        let Ok(tensors) = Tensors::from_safetensors("features", &bytes) else { continue };
        for name in tensors.names() {
            if let Ok(row) = tensors.get(name, &[FEATURES]) {
                rows.insert(name.into(), row.to_vec());
            }
        }
    }
    Ok(rows)
}

/// Decodes and encodes photos on all cores: `[photo, feature]`. One photo at a time on each core:
/// the layers of a larger batch do not fit the cache, which makes it slower.
fn compute(encoder: &Encoder, photos: &[(&str, &Path)]) -> Result<Vec<f32>> {
    let rows: Vec<Vec<f32>> = photos
        .par_iter()
        .map(|(_, path)| {
            let bytes = std::fs::read(path).map_err(Error::io(*path))?;
            let picture = Picture::from_bytes(&path.display().to_string(), &bytes)?;
            let pooled = encoder.pooled(encoder.input(&[picture])).into_data();
            pooled
                .try_to_vec::<f32>()
                .map_err(|e| Error::Device(format!("the features can't be read back: {e:?}")))
        })
        .collect::<Result<_>>()?;
    Ok(rows.concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An encoder of zeros, but for the last biases: features 0.0, 0.5, 1.0, 1.5, 0.0, ...
    fn toy() -> Tensors {
        let mut tensors = Tensors::new("toy");
        for (name, shape) in tensor_shapes() {
            let size = shape.iter().product();
            let value = |i: usize| if name == "encoder.head.bias" { (i % 4) as f32 / 2.0 } else { 0.0 };
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

    #[test]
    fn what_was_stopped_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let images = photos(folder.path(), SPAN + 3);
        let cache = folder.path().join("cache");
        let stop = AtomicBool::new(false);
        let halt = |done: usize, _: usize| stop.store(done > 0, Ordering::Relaxed);
        let error = Features::load_or_compute(&cache, &images, &toy(), halt, &stop).unwrap_err();
        assert!(error.to_string().contains(&format!("{SPAN} of {} photos", SPAN + 3)), "{error}");

        // Those that are done are not read again, so they need not be there.
        let kept = name_of(&images[0]).unwrap();
        std::fs::remove_file(&images[0]).unwrap();
        let mut seen = Vec::new();
        let stop = AtomicBool::new(false);
        let progress = |done, total| seen.push((done, total));
        let features = Features::load_or_compute(&cache, &images, &toy(), progress, &stop).unwrap();
        assert_eq!(seen, [(SPAN, SPAN + 3), (SPAN + 3, SPAN + 3)]);
        assert_eq!(features.len(), SPAN + 3);
        assert_eq!(features.get(kept).unwrap()[..5], [0.0, 0.5, 1.0, 1.5, 0.0]);
        assert!(features.get("none.png").is_none());
    }

    #[test]
    fn another_encoder_and_a_damaged_cache_start_anew() {
        let folder = tempfile::tempdir().unwrap();
        let images = photos(folder.path(), 2);
        let cache = folder.path().join("cache");
        let run = |encoder: &Tensors| {
            let stop = AtomicBool::new(false);
            let features = Features::load_or_compute(&cache, &images, encoder, |_, _| (), &stop).unwrap();
            features.get("1.png").unwrap()[1]
        };
        assert_eq!(run(&toy()), 0.5);
        let mut other = toy();
        other.insert("encoder.head.bias", &[FEATURES], vec![2.0; FEATURES]);
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
        let error = Features::load_or_compute(folder.path(), &images, &toy(), |_, _| (), &stop).unwrap_err();
        assert!(error.to_string().contains("gone.png"), "{error}");
    }
}
