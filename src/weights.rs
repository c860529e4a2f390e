//! Model folders: what a trained model looks like on disk and on the wire.
//!
//! A folder holds `manifest.json` and the files that it lists, each with its size and sha256:
//!
//! | file | what |
//! |---|---|
//! | `config.json` | the architecture: all that is needed to build the network |
//! | `words.json` or `alphabet.json` | the vocabulary, a JSON array; the index is the id |
//! | `tensors.safetensors` | the weights, half precision |
//!
//! The manifest also names licence, training data and measured quality. Nothing is used before
//! its digest has been compared, so a cut download or a bad disk is told as such.

use std::collections::BTreeMap;

use burn::module::Param;
use burn::tensor::{Device, Tensor, TensorData};
use half::f16;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::{Error, Result};

/// Name of the file that lists the others.
pub const MANIFEST: &str = "manifest.json";
/// Name of the file with the architecture.
pub const CONFIG: &str = "config.json";
/// Name of the file with the weights.
pub const TENSORS: &str = "tensors.safetensors";

#[cfg(not(target_arch = "wasm32"))]
/// Largest model file that is read, in bytes: a wrong file should not fill the memory.
const MAX_FILE: u64 = 1 << 30;

/// One file of a model folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    /// Name inside the folder.
    pub path: String,
    /// Size in bytes.
    pub bytes: u64,
    /// Lower-case hexadecimal SHA-256 of the content.
    pub sha256: String,
}

/// `manifest.json`: what the folder holds, where it comes from, how good it is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Manifest {
    /// Name of the model, `captioner` or `lyricist`.
    pub name: String,
    /// The other files.
    pub files: Vec<FileEntry>,
    /// Terms under which the weights may be used.
    pub licence: String,
    /// What the weights were trained on.
    pub data: String,
    /// Measured quality, each under the key that `songwriter evaluate` prints.
    #[serde(default)]
    pub metrics: serde_json::Map<String, serde_json::Value>,
}

/// The checked content of a model folder.
#[derive(Debug, Clone)]
pub struct ModelFiles {
    /// The manifest.
    pub manifest: Manifest,
    files: BTreeMap<String, Vec<u8>>,
}

impl ModelFiles {
    /// Takes the bytes of a folder's files, `manifest.json` among them, and checks each against
    /// the manifest.
    ///
    /// # Errors
    /// A file is missing, damaged, or the manifest can't be read.
    pub fn from_bytes(folder: &str, mut files: BTreeMap<String, Vec<u8>>) -> Result<Self> {
        let missing = |file: &str| Error::ModelMissing { folder: folder.into(), file: file.into() };
        let text = files.remove(MANIFEST).ok_or_else(|| missing(MANIFEST))?;
        let manifest: Manifest = serde_json::from_slice(&text)
            .map_err(|e| Error::model(folder, format!("its {MANIFEST} can't be read: {e}")))?;
        for entry in &manifest.files {
            let bytes = files.get(&entry.path).ok_or_else(|| missing(&entry.path))?;
            let found = sha256(bytes);
            if found != entry.sha256 {
                return Err(Error::ModelDamaged {
                    model: manifest.name.clone(),
                    file: entry.path.clone(),
                    found,
                    expected: entry.sha256.clone(),
                });
            }
        }
        Ok(Self { manifest, files })
    }

    /// Reads a folder.
    ///
    /// # Errors
    /// As [`ModelFiles::from_bytes`], or the file system refuses.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn open(folder: &std::path::Path) -> Result<Self> {
        let name = folder.display().to_string();
        let read = |file: &str| -> Result<Vec<u8>> {
            let path = folder.join(file);
            let missing = || Error::ModelMissing { folder: name.clone(), file: file.into() };
            let size = std::fs::metadata(&path).map_err(|_| missing())?.len();
            if size > MAX_FILE {
                return Err(Error::model(
                    &name,
                    format!("{file} is {size} bytes, too large for a model file"),
                ));
            }
            std::fs::read(&path).map_err(Error::io(path))
        };
        let mut files = BTreeMap::new();
        let manifest = read(MANIFEST)?;
        let listed: Manifest = serde_json::from_slice(&manifest)
            .map_err(|e| Error::model(&name, format!("its {MANIFEST} can't be read: {e}")))?;
        for entry in listed.files {
            // A manifest is data: it must not make us read outside its folder.
            if entry.path.contains(['/', '\\']) || entry.path.starts_with('.') {
                return Err(Error::model(
                    &name,
                    format!("its {MANIFEST} names {:?}, which is no plain file name", entry.path),
                ));
            }
            let bytes = read(&entry.path)?;
            files.insert(entry.path, bytes);
        }
        files.insert(MANIFEST.into(), manifest);
        Self::from_bytes(&name, files)
    }

    /// The bytes of one file.
    ///
    /// # Errors
    /// The manifest does not list it.
    pub fn bytes(&self, file: &str) -> Result<&[u8]> {
        self.files
            .get(file)
            .map(Vec::as_slice)
            .ok_or_else(|| Error::ModelMissing { folder: self.manifest.name.clone(), file: file.into() })
    }

    /// One file read as JSON.
    ///
    /// # Errors
    /// The file is missing or is not the JSON expected.
    pub fn json<T: serde::de::DeserializeOwned>(&self, file: &str) -> Result<T> {
        serde_json::from_slice(self.bytes(file)?)
            .map_err(|e| Error::model(&self.manifest.name, format!("its {file} can't be read: {e}")))
    }

    /// The weights, widened to single precision.
    ///
    /// # Errors
    /// The file is missing or malformed.
    pub fn tensors(&self) -> Result<Tensors> {
        Tensors::from_safetensors(&self.manifest.name, self.bytes(TENSORS)?)
    }
}

/// How a tensor's values are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precision {
    /// 32-bit floats.
    Single,
    /// 16-bit floats; a value past 65,504 saturates.
    Half,
    /// 16-bit integers and one 32-bit float for each index of the first axis, the largest
    /// magnitude there being 32,767. As small as [`Precision::Half`] and closer to the values, about
    /// five times so where a filter's weights are of one size, for no bits go into exponents.
    Steps,
    /// As [`Precision::Steps`], with integers of 8 bits, the largest magnitude being 127.
    CoarseSteps,
}

/// What is added to the name of a tensor of [`Precision::Steps`] to name its scales.
const SCALE: &str = ".scale";

/// Named weights in single precision, row-major.
#[derive(Debug, Clone, Default)]
pub struct Tensors {
    model: String,
    map: BTreeMap<String, (Vec<usize>, Vec<f32>)>,
}

impl Tensors {
    /// An empty set for the model of that name.
    pub fn new(model: &str) -> Self {
        Self { model: model.into(), map: BTreeMap::new() }
    }

    /// Reads a safetensors file of f16, f32 or (with their scales, see [`Precision::Steps`]) i16 or i8
    /// tensors.
    ///
    /// # Errors
    /// The bytes are no such file.
    pub fn from_safetensors(model: &str, bytes: &[u8]) -> Result<Self> {
        let file = SafeTensors::deserialize(bytes)
            .map_err(|e| Error::model(model, format!("its {TENSORS} can't be read: {e}")))?;
        let single = |data: &[u8]| -> Vec<f32> {
            data.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect()
        };
        let mut tensors = Self::new(model);
        for (name, view) in file.tensors() {
            let data = view.data();
            let values = match view.dtype() {
                Dtype::F16 => {
                    data.as_chunks::<2>().0.iter().map(|b| f16::from_le_bytes(*b).to_f32()).collect()
                }
                Dtype::F32 if name.ends_with(SCALE) => continue,
                Dtype::F32 => single(data),
                dtype @ (Dtype::I16 | Dtype::I8) => {
                    let scales = file
                        .tensor(&format!("{name}{SCALE}"))
                        .ok()
                        .filter(|s| {
                            s.dtype() == Dtype::F32
                                && s.shape().len() == 1
                                && s.shape().first() == view.shape().first()
                        })
                        .map(|s| single(s.data()))
                        .ok_or_else(|| Error::model(model, format!("tensor {name} lacks its scales")))?;
                    let row = view.shape()[1..].iter().product::<usize>().max(1);
                    let steps: Vec<f32> = match dtype {
                        Dtype::I16 => {
                            let pairs = data.as_chunks::<2>().0.iter();
                            pairs.map(|b| f32::from(i16::from_le_bytes(*b))).collect()
                        }
                        _ => data.iter().map(|b| f32::from(b.cast_signed())).collect(),
                    };
                    let rows = steps.chunks(row).zip(scales);
                    rows.flat_map(|(row, scale)| row.iter().map(move |step| step * scale)).collect()
                }
                other => {
                    return Err(Error::model(
                        model,
                        format!("tensor {name} is of type {other:?}, not f16, f32, i16 or i8"),
                    ));
                }
            };
            tensors.insert(&name, view.shape(), values);
        }
        Ok(tensors)
    }

    /// Writes the set as safetensors, in half precision if `half` (a value past 65,504 saturates).
    ///
    /// # Errors
    /// A value is not finite: such weights are of no use to anyone.
    pub fn to_safetensors(&self, half: bool) -> Result<Vec<u8>> {
        self.to_safetensors_as(|_, _| if half { Precision::Half } else { Precision::Single })
    }

    /// Writes the set as safetensors, each tensor in the precision that `choose` gives for its name
    /// and shape.
    ///
    /// # Errors
    /// A value is not finite, or steps are chosen for a tensor without axes.
    pub fn to_safetensors_as(&self, choose: impl Fn(&str, &[usize]) -> Precision) -> Result<Vec<u8>> {
        let limit = f16::MAX.to_f32();
        let single = |values: &[f32]| values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
        let mut packed = Vec::with_capacity(self.map.len());
        for (name, (shape, values)) in &self.map {
            let fail = |why: &str| Error::model(&self.model, format!("tensor {name} {why}"));
            if values.iter().any(|v| !v.is_finite()) {
                return Err(fail("holds values that are not finite"));
            }
            let (dtype, bytes) = match choose(name, shape) {
                Precision::Single => (Dtype::F32, single(values)),
                Precision::Half => {
                    let halves = values.iter().map(|v| f16::from_f32(v.clamp(-limit, limit)));
                    (Dtype::F16, halves.flat_map(f16::to_le_bytes).collect())
                }
                steps @ (Precision::Steps | Precision::CoarseSteps) => {
                    let fine = steps == Precision::Steps;
                    let limit = if fine { f32::from(i16::MAX) } else { f32::from(i8::MAX) };
                    let rows = *shape.first().ok_or_else(|| fail("has no axis to scale along"))?;
                    let mut scales = Vec::with_capacity(rows);
                    let mut bytes = Vec::with_capacity(values.len() * 2);
                    for row in values.chunks((values.len() / rows.max(1)).max(1)) {
                        let largest = row.iter().fold(0.0_f32, |largest, v| largest.max(v.abs()));
                        // A row of zeros has no scale of its own; a row of next to nothing would
                        // divide by a subnormal. Both are written as zeros.
                        let scale = (largest / limit).max(f32::MIN_POSITIVE);
                        for v in row {
                            let step = (v / scale).round().clamp(-limit, limit) as i16;
                            // The low byte of a small number is the number in 8 bits.
                            bytes.extend_from_slice(&step.to_le_bytes()[..if fine { 2 } else { 1 }]);
                        }
                        scales.push(scale);
                    }
                    packed.push((format!("{name}{SCALE}"), vec![rows], Dtype::F32, single(&scales)));
                    (if fine { Dtype::I16 } else { Dtype::I8 }, bytes)
                }
            };
            packed.push((name.clone(), shape.clone(), dtype, bytes));
        }
        let views = packed
            .iter()
            .map(|(name, shape, dtype, bytes)| {
                Ok((name.as_str(), TensorView::new(*dtype, shape.clone(), bytes)?))
            })
            .collect::<std::result::Result<Vec<_>, safetensors::SafeTensorError>>();
        views
            .and_then(|views| safetensors::serialize(views, None))
            .map_err(|e| Error::model(&self.model, e.to_string()))
    }

    /// Adds a tensor.
    pub fn insert(&mut self, name: &str, shape: &[usize], values: Vec<f32>) {
        debug_assert_eq!(shape.iter().product::<usize>(), values.len(), "{name}");
        self.map.insert(name.into(), (shape.to_vec(), values));
    }

    /// Values of the tensor of that name, which must have that shape.
    ///
    /// # Errors
    /// It is missing, or of another shape than the architecture asks for.
    pub fn get(&self, name: &str, shape: &[usize]) -> Result<&[f32]> {
        let (found, values) = self
            .map
            .get(name)
            .ok_or_else(|| Error::model(&self.model, format!("it has no tensor {name}")))?;
        if found != shape {
            return Err(Error::model(
                &self.model,
                format!("tensor {name} has shape {found:?}, the configuration asks for {shape:?}"),
            ));
        }
        Ok(values)
    }

    /// The tensor of that name as a parameter of a network on a device.
    ///
    /// # Errors
    /// As [`Tensors::get`].
    pub fn param<const D: usize>(
        &self,
        name: &str,
        shape: [usize; D],
        device: &Device,
    ) -> Result<Param<Tensor<D>>> {
        Ok(Param::from_data(TensorData::new(self.get(name, &shape)?.to_vec(), shape), device))
    }

    /// Adds the values of a network's parameter.
    ///
    /// # Errors
    /// The device gives them back in no form that we know.
    pub fn put<const D: usize>(&mut self, name: &str, param: &Param<Tensor<D>>) -> Result<()> {
        self.put_tensor(name, param.val())
    }

    /// Adds the values of a tensor.
    ///
    /// # Errors
    /// As [`Self::put`].
    pub fn put_tensor<const D: usize>(&mut self, name: &str, tensor: Tensor<D>) -> Result<()> {
        let shape = tensor.dims();
        let values = tensor.into_data().try_into_vec::<f32>();
        let values =
            values.map_err(|e| Error::model(&self.model, format!("tensor {name} can't be read: {e:?}")))?;
        self.insert(name, &shape, values);
        Ok(())
    }

    /// Shape of the tensor of that name, if there is one.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.map.get(name).map(|(shape, _)| shape.as_slice())
    }

    /// The tensors whose names begin so.
    pub fn only(&self, prefix: &str) -> Self {
        let map = self.map.iter().filter(|(name, _)| name.starts_with(prefix));
        Self { model: self.model.clone(), map: map.map(|(n, t)| (n.clone(), t.clone())).collect() }
    }

    /// Names in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.map.keys().map(String::as_str)
    }

    /// Number of values in all tensors together.
    pub fn len(&self) -> usize {
        self.map.values().map(|(_, v)| v.len()).sum()
    }

    /// Whether there is no tensor.
    pub fn is_empty(&self) -> bool {
        self.map.is_empty()
    }
}

/// Lower-case hexadecimal SHA-256.
pub fn sha256(bytes: &[u8]) -> String {
    use std::fmt::Write;
    Sha256::digest(bytes).iter().fold(String::with_capacity(64), |mut hex, byte| {
        // Writing to a String can't fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// Writes a model folder: the given files and a manifest that describes them. Each file is
/// written beside its place and renamed, the manifest last, so that a reader sees the old folder
/// or a mismatch that [`ModelFiles::open`] reports, never a half file that it trusts.
///
/// # Errors
/// The file system refuses.
#[cfg(feature = "native")]
pub fn write_folder(
    folder: &std::path::Path,
    mut manifest: Manifest,
    files: &[(&str, Vec<u8>)],
) -> Result<()> {
    std::fs::create_dir_all(folder).map_err(Error::io(folder))?;
    manifest.files = files
        .iter()
        .map(|(path, bytes)| FileEntry {
            path: (*path).into(),
            bytes: bytes.len() as u64,
            sha256: sha256(bytes),
        })
        .collect();
    for (name, bytes) in files {
        write_atomic(&folder.join(name), bytes)?;
    }
    let text =
        serde_json::to_string_pretty(&manifest).map_err(|e| Error::model(&manifest.name, e.to_string()))?;
    write_atomic(&folder.join(MANIFEST), (text + "\n").as_bytes())
}

/// Writes a file so that its name always stands for a whole content: a temporary file in the
/// same folder, flushed to the disk, then renamed.
///
/// # Errors
/// The file system refuses.
#[cfg(feature = "native")]
pub fn write_atomic(path: &std::path::Path, bytes: &[u8]) -> Result<()> {
    use std::io::Write;
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => std::path::Path::new("."),
    };
    let write = || -> std::io::Result<()> {
        let mut file = tempfile::Builder::new().prefix(".part-").tempfile_in(folder)?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            file.as_file().set_permissions(std::fs::Permissions::from_mode(0o644))?;
        }
        file.persist(path).map_err(|e| e.error)?;
        Ok(())
    };
    write().map_err(Error::io(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(tensor: Vec<u8>) -> BTreeMap<String, Vec<u8>> {
        let manifest = serde_json::json!({
            "name": "toy", "licence": "none", "data": "none",
            "files": [{"path": TENSORS, "bytes": tensor.len(), "sha256": sha256(&tensor)}],
        });
        BTreeMap::from([
            (MANIFEST.to_string(), manifest.to_string().into_bytes()),
            (TENSORS.to_string(), tensor),
        ])
    }

    fn toy() -> Tensors {
        let mut tensors = Tensors::new("toy");
        tensors.insert("w", &[2, 3], vec![0.5, -1.0, 2.0, 0.25, 1e6, -0.125]);
        tensors
    }

    #[test]
    fn half_precision_round_trip_saturates() {
        let bytes = toy().to_safetensors(true).unwrap();
        let files = ModelFiles::from_bytes("toy", folder(bytes)).unwrap();
        let back = files.tensors().unwrap();
        assert_eq!(back.get("w", &[2, 3]).unwrap(), [0.5, -1.0, 2.0, 0.25, 65504.0, -0.125]);
        assert!(back.get("w", &[3, 2]).unwrap_err().to_string().contains("[2, 3]"));
        assert!(back.get("v", &[1]).is_err());
    }

    #[test]
    fn steps_keep_rows_of_any_size() {
        let mut tensors = Tensors::new("toy");
        let rows = vec![1e-6, -5e-7, 0.0, 0.0, 3e4, 1.0, f32::MIN_POSITIVE / 8.0, 0.0];
        tensors.insert("w", &[4, 2], rows.clone());
        for (precision, steps) in [(Precision::Steps, 65_000.0), (Precision::CoarseSteps, 250.0)] {
            let bytes = tensors.to_safetensors_as(|_, _| precision).unwrap();
            let back = Tensors::from_safetensors("toy", &bytes).unwrap();
            assert_eq!(back.names().collect::<Vec<_>>(), ["w"]);
            for (found, wanted) in back.get("w", &[4, 2]).unwrap().chunks(2).zip(rows.chunks(2)) {
                let largest = wanted.iter().fold(f32::MIN_POSITIVE, |m, v| m.max(v.abs()));
                for (a, b) in found.iter().zip(wanted) {
                    assert!((a - b).abs() <= largest / steps + f32::MIN_POSITIVE, "{found:?} {wanted:?}");
                }
            }
        }
    }

    #[test]
    fn steps_without_scales_are_refused() {
        let view = TensorView::new(Dtype::I16, vec![2], &[1, 0, 2, 0]).unwrap();
        let bytes = safetensors::serialize([("w", view)], None).unwrap();
        assert!(Tensors::from_safetensors("toy", &bytes).unwrap_err().to_string().contains("scales"));
        let view = TensorView::new(Dtype::I16, vec![], &[1, 0]).unwrap();
        let bytes = safetensors::serialize([("w", view)], None).unwrap();
        assert!(Tensors::from_safetensors("toy", &bytes).is_err());
    }

    #[test]
    fn a_changed_byte_is_noticed() {
        let mut files = folder(toy().to_safetensors(true).unwrap());
        *files.get_mut(TENSORS).unwrap().last_mut().unwrap() ^= 1;
        let error = ModelFiles::from_bytes("toy", files).unwrap_err();
        assert!(matches!(error, Error::ModelDamaged { .. }), "{error}");
    }

    #[test]
    fn weights_that_are_not_numbers_are_refused() {
        let mut tensors = toy();
        tensors.insert("bad", &[1], vec![f32::NAN]);
        assert!(tensors.to_safetensors(true).is_err());
    }

    #[test]
    fn digest_is_sha256() {
        // The empty input's digest as FIPS 180-4's examples give it.
        assert_eq!(sha256(b""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    }
}
