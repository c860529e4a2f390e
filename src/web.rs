//! The page's door: what its worker calls.
//!
//! The one place that knows `wasm-bindgen`. Everything crosses as plain objects, errors as
//! JavaScript `Error`s whose message is the crate's own sentence.

mod messages;

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use burn::tensor::Device;
use js_sys::{Array, Function, Object, Promise, Uint8Array};
use serde::Serialize;
use serde_wasm_bindgen::Serializer;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;

use crate::lyricist::Kind;
use crate::lyricist::brief::{MAX_KEYWORDS, MAX_LINES};
use crate::lyricist::options::MAX_STANZAS;
use crate::nn::Compute;
use crate::verse::{Mood, Scheme};
use crate::weights::ModelFiles;
use crate::{Error, Picture, Prompt, SongOptions, Songwriter};
use messages::{
    DefaultsAnswer, ForesightAnswer, KeywordAnswer, LimitsAnswer, MOST_SONGS, OptionsAnswer, Piece, SHOWN,
    SongAnswer, SongRequest, SongsAnswer,
};

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

    /// What can be asked for, the defaults, and the limits.
    pub fn options() -> Result<JsValue, JsError> {
        to_js(&OptionsAnswer {
            moods: Mood::ALL,
            kinds: Kind::ALL,
            schemes: Scheme::ALL,
            defaults: DefaultsAnswer { options: SongOptions::default(), songs: SongRequest::default().songs },
            limits: LimitsAnswer {
                lines: [1, MAX_LINES],
                stanzas: [1, MAX_STANZAS],
                temperature: [0.05, 2.0],
                top_p: [0.05, 1.0],
                songs: [1, MOST_SONGS],
                keywords: MAX_KEYWORDS,
            },
        })
    }

    /// Says what is in a picture: `{caption, log_prob, words: [{word, attention}], candidates:
    /// [{caption, log_prob}]}`; `attention` has the shares of 7 x 7 regions, row by row.
    pub async fn caption(&self, bytes: Vec<u8>, name: String, beam: usize) -> Result<JsValue, JsError> {
        let picture = Picture::from_bytes(&name, &bytes)?;
        let caption = self.songwriter.caption(&picture, beam).await?;
        to_js(&caption)
    }

    /// The words that songs about a caption, or about words with commas between them, can hold:
    /// a list of `{word, used}`, where `used` is the word that stands for it, or `null`.
    pub fn keywords(&self, text: String) -> Result<JsValue, JsError> {
        let words = match text.contains(',') {
            true => text.split(',').map(|word| word.trim().to_string()).filter(|w| !w.is_empty()).collect(),
            false => Prompt::from_caption(&text).keywords,
        };
        // One by one, since the visitor chooses which of them are used.
        let lyricist = self.songwriter.lyricist();
        let resolved = words.into_iter().flat_map(|word| lyricist.resolve(&[word]));
        let answers = resolved.map(|k| KeywordAnswer { word: k.word, used: k.used, present: None });
        to_js(&answers.collect::<Vec<_>>())
    }

    /// Writes songs (`{caption, keywords, seed_text, mood, kind, scheme, lines, stanzas,
    /// temperature, top_p, choose, random_seed, songs}`) and gives `{songs: [{text, random_seed,
    /// temperature, keywords: [{word, used, present}], left_out}]}`. `on_text` is handed `{song,
    /// text}`, the number of a song and its whole text so far; if it gives `false`, or a promise of
    /// it, the songs end there.
    pub async fn write(&self, request: JsValue, on_text: Function) -> Result<JsValue, JsError> {
        let request: SongRequest = serde_wasm_bindgen::from_value(request)?;
        let count = request.songs;
        if !(1..=MOST_SONGS).contains(&count) {
            let why = format!("{count} songs at once are out of range: 1 to {MOST_SONGS}.");
            return Err(Error::Usage(why).into());
        }
        let (prompt, options) = request.prompt_and_options()?;
        // What the page's function throws ends the song, and then the call with the same error.
        let mut thrown = None;
        let songs = self
            .songwriter
            .write(&prompt, &options, count, async |song: usize, text: &str| {
                match hand_over(&on_text, &Piece { song, text }).await {
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
        let songs = songs.into_iter().map(SongAnswer::from).collect();
        to_js(&SongsAnswer { songs })
    }

    /// What the network expected at each character of a song (`request` as for [`Engine::write`]) and
    /// behind it: `[{next, p, likeliest: [[character, p]]}]`.
    pub async fn foresee(&self, text: String, request: JsValue) -> Result<JsValue, JsError> {
        let request: SongRequest = serde_wasm_bindgen::from_value(request)?;
        let (prompt, options) = request.prompt_and_options()?;
        let seen = self.songwriter.lyricist().foresee(&text, &prompt.keywords, &options, SHOWN).await?;
        to_js(&seen.into_iter().map(ForesightAnswer::from).collect::<Vec<_>>())
    }

    /// Digest of the pixels that the encoder is given, for the tests.
    pub fn picture_digest(bytes: Vec<u8>, name: String) -> Result<String, JsError> {
        Ok(Picture::from_bytes(&name, &bytes)?.digest())
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
async fn hand_over(on_text: &Function, piece: &Piece<'_>) -> Result<bool, JsValue> {
    let mut answer = on_text.call1(&JsValue::NULL, &piece.serialize(&Serializer::json_compatible())?)?;
    if let Some(promise) = answer.dyn_ref::<Promise>() {
        answer = JsFuture::from(promise.clone()).await?;
    }
    Ok(answer != JsValue::FALSE)
}

fn to_js(value: &impl Serialize) -> Result<JsValue, JsError> {
    // Plain objects, also for what serde calls maps, and null for what is missing.
    Ok(value.serialize(&Serializer::json_compatible())?)
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
