//! The page's door: what its worker calls.
//!
//! The one place that knows `wasm-bindgen`. Everything crosses as plain objects, errors as
//! JavaScript `Error`s whose message is the crate's own sentence.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use burn::tensor::Device;
use js_sys::{Array, Function, Object, Promise, Uint8Array};
use serde::{Deserialize, Serialize};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;

use crate::nn::Compute;
use crate::weights::ModelFiles;
use crate::{Error, Picture, Prompt, SongOptions, Songwriter};

unsafe extern "C" {
    /// Runs the static constructors; the linker makes it.
    safe fn __wasm_call_ctors();
}

/// Runs once, when the module is instantiated.
#[wasm_bindgen(start)]
pub fn start() {
    // cubecl registers its operations in static constructors. As long as nothing here refers to
    // them, the linker takes the module for a program that is started afresh by each call, and
    // makes every export run all constructors again: milliseconds for each GPU command.
    __wasm_call_ctors();
    console_error_panic_hook::set_once();
}

/// What a picture shows.
#[derive(Serialize)]
struct CaptionAnswer {
    caption: String,
    log_prob: f32,
}

/// A song to write. The seed is text because a JavaScript number does not hold 64 bits.
#[derive(Deserialize)]
struct SongRequest {
    caption: String,
    temperature: f32,
    random_seed: String,
    max_chars: usize,
}

/// A written song.
#[derive(Serialize)]
struct SongAnswer {
    text: String,
    random_seed: String,
    temperature: f32,
}

/// What a song is like if nobody asks for more.
#[derive(Serialize)]
struct Defaults {
    temperature: f32,
    max_chars: usize,
}

/// The songwriter on one device.
#[wasm_bindgen]
pub struct Engine {
    songwriter: Songwriter,
    device: &'static str,
}

#[wasm_bindgen]
impl Engine {
    /// Sets up the models on `"webgpu"` or `"cpu"`. Each model is an object of file names and
    /// `Uint8Array`s.
    pub async fn open(device: String, captioner: Object, lyricist: Object) -> Result<Engine, JsError> {
        let (device, compute) = match device.as_str() {
            "cpu" => ("cpu", Compute::cpu()),
            "webgpu" => {
                let device = Device::wgpu_options()
                    .init_async()
                    .await
                    .map_err(|e| Error::Device(format!("WebGPU can't be opened: {e}")))?;
                ("webgpu", Compute::gpu(device))
            }
            other => return Err(Error::Device(format!("{other:?} is no device: say webgpu or cpu.")).into()),
        };
        let captioner = model_files("captioner", &captioner)?;
        let lyricist = model_files("lyricist", &lyricist)?;
        Ok(Self { songwriter: Songwriter::new(&captioner, &lyricist, &compute)?, device })
    }

    /// `"webgpu"` or `"cpu"`.
    pub fn device(&self) -> String {
        self.device.into()
    }

    /// Temperature and length of a song unless told otherwise.
    pub fn defaults() -> Result<JsValue, JsError> {
        let options = SongOptions::default();
        to_js(&Defaults { temperature: options.temperature, max_chars: options.max_chars })
    }

    /// Says what is in a picture: `{caption, log_prob}`.
    pub async fn caption(&self, bytes: Vec<u8>, name: String, beam: usize) -> Result<JsValue, JsError> {
        let picture = Picture::from_bytes(&name, &bytes)?;
        let caption = self.songwriter.caption(&picture, beam).await?;
        to_js(&CaptionAnswer { caption: caption.text, log_prob: caption.log_prob })
    }

    /// Writes a song from `{caption, temperature, random_seed, max_chars}` and gives
    /// `{text, random_seed, temperature}`. `on_text` is handed each piece of text; if it gives
    /// `false`, or a promise of it, the song ends there.
    pub async fn write(&self, request: JsValue, on_text: Function) -> Result<JsValue, JsError> {
        let request: SongRequest = serde_wasm_bindgen::from_value(request)?;
        let random_seed = request.random_seed.parse().map_err(|_| {
            Error::Data(format!(
                "{:?} is no random seed: it has to be a whole number from 0 to {}.",
                request.random_seed,
                u64::MAX
            ))
        })?;
        let options =
            SongOptions { temperature: request.temperature, random_seed, max_chars: request.max_chars };
        // What the page's function throws ends the song, and then the call with the same error.
        let mut thrown = None;
        let song = self
            .songwriter
            .write(&Prompt::from_caption(&request.caption), &options, async |piece: &str| {
                match hand_over(&on_text, piece).await {
                    Ok(true) => ControlFlow::Continue(()),
                    Ok(false) => ControlFlow::Break(()),
                    Err(error) => {
                        thrown = Some(error);
                        ControlFlow::Break(())
                    }
                }
            })
            .await?;
        if let Some(error) = thrown {
            return Err(JsError::new(&format!("The song could not be shown: {error:?}")));
        }
        to_js(&SongAnswer {
            text: song.text,
            random_seed: song.random_seed.to_string(),
            temperature: song.temperature,
        })
    }

    /// The encoder's view of a picture, for the tests.
    pub async fn picture_features(&self, bytes: Vec<u8>, name: String) -> Result<Vec<f32>, JsError> {
        let picture = Picture::from_bytes(&name, &bytes)?;
        Ok(self.songwriter.picture_features(&picture).await?)
    }

    /// Scores of each character as the one after `text`, for the tests.
    pub async fn lyricist_logits(&self, text: String) -> Result<Vec<f32>, JsError> {
        Ok(self.songwriter.lyricist_logits(&text).await?)
    }
}

/// Calls the page's function, waits if it asks for it, and tells whether to go on.
async fn hand_over(on_text: &Function, piece: &str) -> Result<bool, JsValue> {
    let mut answer = on_text.call1(&JsValue::NULL, &piece.into())?;
    if let Some(promise) = answer.dyn_ref::<Promise>() {
        answer = JsFuture::from(promise.clone()).await?;
    }
    Ok(answer != JsValue::FALSE)
}

fn to_js(value: &impl Serialize) -> Result<JsValue, JsError> {
    Ok(serde_wasm_bindgen::to_value(value)?)
}

/// Takes over the files of a model from an object of names and `Uint8Array`s.
fn model_files(name: &str, files: &Object) -> Result<ModelFiles, JsError> {
    let mut contents = BTreeMap::new();
    for entry in Object::entries(files) {
        let entry: Array = entry.unchecked_into();
        let bytes = entry.get(1).dyn_into::<Uint8Array>();
        let (Some(file), Ok(bytes)) = (entry.get(0).as_string(), bytes) else {
            return Err(Error::model(name, "its files did not reach the songwriter as bytes").into());
        };
        contents.insert(file, bytes.to_vec());
    }
    Ok(ModelFiles::from_bytes(name, contents)?)
}
