//! From the bytes of a picture file to the 224 x 224 pixels that the captioner looks at.
//!
//! The same file has to give the same caption in the browser and on the command line, so every
//! step is bit-identical on all machines: JPEG is decoded by the scalar code that wasm32 runs too
//! (`zune-jpeg` is built without its SIMD code), and the squash uses integer sums with weights that come from plain IEEE double
//! arithmetic.

use std::io::Cursor;

use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, Limits};
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use crate::error::{Error, Result};

/// Width and height of a [`Picture`] in pixels: the input size of EfficientNet-Lite0.
pub const SIDE: usize = 224;

/// Largest picture that is unpacked, in millions of pixels. A browser's WebAssembly has little
/// memory and never gives any back.
const MAX_MEGAPIXELS: u64 = if cfg!(target_arch = "wasm32") { 50 } else { 100 };
/// Longest side that is unpacked: all that JPEG can say, and no camera makes longer.
const MAX_SIDE: u32 = 65_535;
/// Fractional bits of a filter weight: 8 bits of pixel and 2 bits of headroom fill an i32.
const WEIGHT_BITS: u32 = 32 - 8 - 2;

/// A picture squashed to [`SIDE`] x [`SIDE`] pixels, 8-bit RGB.
#[derive(Clone, PartialEq, Eq)]
pub struct Picture {
    /// `[row, column, channel]`
    pixels: Vec<u8>,
    /// Width and height before it was squashed, upright.
    size: (u32, u32),
}

impl std::fmt::Debug for Picture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Picture({SIDE} x {SIDE})")
    }
}

impl Picture {
    /// Reads a JPEG, PNG, WebP, GIF (its first frame) or BMP file; `name` is what errors call it.
    ///
    /// The format is told by the content, not by the name. EXIF orientation is applied,
    /// transparent parts are laid on white, and the picture is squashed to a square: its aspect
    /// ratio is not kept, for the captioner was trained on pictures prepared so.
    ///
    /// # Errors
    /// [`Error::Picture`] if the bytes are no whole picture of these formats,
    /// [`Error::PictureTooLarge`] if the header tells of more than 100 million pixels.
    pub fn from_bytes(name: &str, bytes: &[u8]) -> Result<Self> {
        let fail = |why: String| Error::Picture { name: name.into(), why };
        if bytes.is_empty() {
            return Err(fail("the file is empty".into()));
        }
        let format = image::guess_format(bytes).map_err(|_| fail(describe_unknown(bytes)))?;
        let (source, orientation) = match format {
            ImageFormat::Jpeg => decode_jpeg(name, bytes)?,
            ImageFormat::Png | ImageFormat::WebP | ImageFormat::Gif | ImageFormat::Bmp => {
                decode_other(name, format, bytes)?
            }
            other => return Err(fail(format!("it is of the format {other:?}"))),
        };
        let pixels = squash(&source);
        let (width, height) = (source.width as u32, source.height as u32);
        let upright = matches!(
            orientation,
            Orientation::NoTransforms
                | Orientation::FlipHorizontal
                | Orientation::FlipVertical
                | Orientation::Rotate180
        );
        let size = if upright { (width, height) } else { (height, width) };
        Ok(Self { pixels: turn(pixels, orientation), size })
    }

    /// Width and height that it had before it was squashed, upright, in pixels.
    pub fn size(&self) -> (u32, u32) {
        self.size
    }

    /// The pixels, `[row, column, channel]` with channels red, green, blue.
    pub fn pixels(&self) -> &[u8] {
        &self.pixels
    }

    /// SHA-256 of the pixels, in hexadecimal: the same for the same file on every machine.
    pub fn digest(&self) -> String {
        crate::weights::sha256(&self.pixels)
    }

    /// Left and right changed.
    #[must_use]
    pub fn mirrored(&self) -> Self {
        let row = |row: &[u8]| row.chunks_exact(3).rev().flatten().copied().collect::<Vec<u8>>();
        Self { pixels: self.pixels.chunks_exact(3 * SIDE).flat_map(row).collect(), size: self.size }
    }

    /// A part of it brought to full size (bilinear), as shares of width and height: where it
    /// begins and how large it is.
    #[must_use]
    pub fn part(&self, (x, y): (f64, f64), (width, height): (f64, f64)) -> Self {
        let side = SIDE as f64;
        // Along one side: the two pixels next to each place and the share of the second.
        let places = |begin: f64, size: f64| -> Vec<(usize, usize, f64)> {
            (0..SIDE)
                .map(|i| {
                    let at = ((i as f64 + 0.5) * size + begin * side - 0.5).clamp(0.0, side - 1.0);
                    let low = at as usize;
                    (low, (low + 1).min(SIDE - 1), at - low as f64)
                })
                .collect()
        };
        let (columns, rows) = (places(x, width), places(y, height));
        let pixel = |row: usize, column: usize, channel: usize| {
            f64::from(self.pixels[(row * SIDE + column) * 3 + channel])
        };
        let mut pixels = Vec::with_capacity(self.pixels.len());
        for &(top, bottom, down) in &rows {
            for &(left, right, across) in &columns {
                for channel in 0..3 {
                    let line = |row| {
                        pixel(row, left, channel) * (1.0 - across) + pixel(row, right, channel) * across
                    };
                    pixels.push((line(top) * (1.0 - down) + line(bottom) * down).round() as u8);
                }
            }
        }
        Self { pixels, size: self.size }
    }

    /// The encoder's input, `[channel, row, column]`, each value `(x - 127) / 128` as in the
    /// preprocessing of EfficientNet-Lite.
    pub fn to_tensor_values(&self) -> Vec<f32> {
        (0..3)
            .flat_map(|channel| self.pixels.iter().skip(channel).step_by(3))
            .map(|&x| (f32::from(x) - 127.0) / 128.0)
            .collect()
    }
}

/// What to say of bytes that no decoder knows.
fn describe_unknown(bytes: &[u8]) -> String {
    let brand = bytes.get(4..12).unwrap_or_default();
    if matches!(brand, b"ftypheic" | b"ftypheix" | b"ftypmif1" | b"ftypmsf1" | b"ftyphevc") {
        return "it is a HEIC photo; save it as JPEG first".into();
    }
    if bytes.iter().take(512).all(|b| matches!(b, b'\t' | b'\n' | b'\r' | b' '..=b'~')) {
        return "it holds text".into();
    }
    "its first bytes are those of no known format".into()
}

/// Refuses a picture before anything of its size is allocated.
fn check_size(name: &str, width: u32, height: u32) -> Result<()> {
    let fail = |why: String| Error::Picture { name: name.into(), why };
    if width == 0 || height == 0 {
        return Err(fail("it has no pixels".into()));
    }
    if u64::from(width) * u64::from(height) > MAX_MEGAPIXELS * 1_000_000 {
        return Err(Error::PictureTooLarge { name: name.into(), width, height, limit: MAX_MEGAPIXELS });
    }
    if width > MAX_SIDE || height > MAX_SIDE {
        return Err(fail(format!(
            "it is {width} x {height} pixels, and sides of more than {MAX_SIDE} are not read"
        )));
    }
    Ok(())
}

/// A decoded picture as its decoder left it.
struct Source {
    width: usize,
    height: usize,
    /// Grey, grey and alpha, RGB, or RGB and alpha.
    channels: usize,
    samples: Samples,
}

/// Row-major samples, channels interleaved.
enum Samples {
    Eight(Vec<u8>),
    Sixteen(Vec<u16>),
}

impl Source {
    /// Writes row `y` as 8-bit RGB, transparent parts on white, into `row` (`3 * width` bytes).
    fn read_row(&self, y: usize, row: &mut [u8]) {
        let start = y * self.width * self.channels;
        let range = start..start + self.width * self.channels;
        match &self.samples {
            Samples::Eight(samples) => to_rgb(&samples[range], self.channels, row, |v| v),
            // 65,535 is 255 * 257: this rounds v / 257 to the nearest.
            Samples::Sixteen(samples) => {
                to_rgb(&samples[range], self.channels, row, |v| ((u32::from(v) * 255 + 32_895) >> 16) as u8)
            }
        }
    }
}

fn to_rgb<T: Copy>(samples: &[T], channels: usize, row: &mut [u8], to_eight: impl Fn(T) -> u8) {
    for (pixel, rgb) in samples.chunks_exact(channels).zip(row.chunks_exact_mut(3)) {
        for (i, out) in rgb.iter_mut().enumerate() {
            *out = to_eight(pixel[if channels < 3 { 0 } else { i }]);
        }
        if channels.is_multiple_of(2) {
            let alpha = u32::from(to_eight(pixel[channels - 1]));
            for out in rgb.iter_mut() {
                *out = ((u32::from(*out) * alpha + 255 * (255 - alpha) + 127) / 255) as u8;
            }
        }
    }
}

/// Options of the JPEG decoder.
fn jpeg_options() -> DecoderOptions {
    DecoderOptions::default()
        // Many cameras write files that are slightly off; a cut file is found by `is_cut_jpeg`.
        .set_strict_mode(false)
        .set_max_width(usize::MAX)
        .set_max_height(usize::MAX)
}

fn decode_jpeg(name: &str, bytes: &[u8]) -> Result<(Source, Orientation)> {
    let fail = |why: String| Error::Picture { name: name.into(), why };
    let broken = |e: zune_jpeg::errors::DecodeErrors| fail(friendly(&e.to_string()));
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), jpeg_options());
    decoder.decode_headers().map_err(broken)?;
    let (width, height) = decoder.dimensions().ok_or_else(|| fail("its header gives no size".into()))?;
    check_size(name, width.try_into().unwrap_or(u32::MAX), height.try_into().unwrap_or(u32::MAX))?;
    if is_cut_jpeg(bytes) {
        return Err(fail(CUT.into()));
    }
    let orientation = decoder
        .exif()
        .and_then(|exif| Orientation::from_exif_chunk(exif))
        .unwrap_or(Orientation::NoTransforms);
    // CMYK, YCCK and YCbCr all become RGB in the decoder.
    let (space, channels) = match decoder.input_colorspace() {
        Some(ColorSpace::Luma) => (ColorSpace::Luma, 1),
        _ => (ColorSpace::RGB, 3),
    };
    decoder.set_options(jpeg_options().jpeg_set_out_colorspace(space));
    let samples = decoder.decode().map_err(broken)?;
    if samples.len() != width * height * channels {
        return Err(fail("its size and its content do not agree".into()));
    }
    Ok((Source { width, height, channels, samples: Samples::Eight(samples) }, orientation))
}

/// What is said of a file that ends before its picture does.
const CUT: &str = "the file ends early, it may have been cut while it was copied";

/// Whether a JPEG has no end-of-image marker behind its first start-of-scan. The decoder fills
/// what is missing with grey, and a caption of that would puzzle. Inside a scan 0xFF is always
/// followed by 0x00 or a restart marker, so the marker can't be met by chance.
fn is_cut_jpeg(bytes: &[u8]) -> bool {
    let mut at = 2;
    while let Some(&[0xff, marker]) = bytes.get(at..).and_then(|b| b.first_chunk::<2>()) {
        match marker {
            0xda => return !bytes[at..].windows(2).any(|pair| pair == [0xff, 0xd9]),
            0xff => at += 1,
            0x01 | 0xd0..=0xd8 => at += 2,
            _ => match bytes.get(at + 2..).and_then(|b| b.first_chunk::<2>()) {
                Some(length) => at += 2 + usize::from(u16::from_be_bytes(*length)),
                None => return true,
            },
        }
    }
    // Stray bytes between segments: leave the judgement to the decoder.
    at >= bytes.len()
}

fn decode_other(name: &str, format: ImageFormat, bytes: &[u8]) -> Result<(Source, Orientation)> {
    let fail = |why: String| Error::Picture { name: name.into(), why };
    let broken = |e: ImageError| fail(friendly(&e.to_string()));
    if format == ImageFormat::Png
        && let Some(&[w0, w1, w2, w3, h0, h1, h2, h3]) = bytes.get(16..).and_then(|b| b.first_chunk::<8>())
    {
        // The decoder reads up to the first data chunk before it tells the size; the size is
        // always the first thing in the file.
        check_size(name, u32::from_be_bytes([w0, w1, w2, w3]), u32::from_be_bytes([h0, h1, h2, h3]))?;
    }
    if format == ImageFormat::WebP
        && let Some(&size) = bytes.get(4..).and_then(|b| b.first_chunk::<4>())
        && u64::from(u32::from_le_bytes(size)) + 8 > bytes.len() as u64
    {
        // The decoder calls such a file corrupt, which helps less.
        return Err(fail(CUT.into()));
    }
    let mut limits = Limits::default();
    // 16-bit RGBA of the largest picture and as much again for the decoder's own rows and frames.
    limits.max_alloc = Some(2 * 8 * MAX_MEGAPIXELS * 1_000_000);
    let mut reader = image::ImageReader::with_format(Cursor::new(bytes), format);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(broken)?;
    let (width, height) = decoder.dimensions();
    check_size(name, width, height)?;
    // Metadata that can't be read is no reason to refuse the pixels.
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let image = DynamicImage::from_decoder(decoder).map_err(broken)?;
    let (width, height) = (image.width() as usize, image.height() as usize);
    let (channels, samples) = match image {
        DynamicImage::ImageLuma8(image) => (1, Samples::Eight(image.into_raw())),
        DynamicImage::ImageLumaA8(image) => (2, Samples::Eight(image.into_raw())),
        DynamicImage::ImageRgb8(image) => (3, Samples::Eight(image.into_raw())),
        DynamicImage::ImageRgba8(image) => (4, Samples::Eight(image.into_raw())),
        DynamicImage::ImageLuma16(image) => (1, Samples::Sixteen(image.into_raw())),
        DynamicImage::ImageLumaA16(image) => (2, Samples::Sixteen(image.into_raw())),
        DynamicImage::ImageRgb16(image) => (3, Samples::Sixteen(image.into_raw())),
        DynamicImage::ImageRgba16(image) => (4, Samples::Sixteen(image.into_raw())),
        // None of the formats above holds floats; should one learn to, this still gives pixels.
        other => (4, Samples::Eight(other.into_rgba8().into_raw())),
    };
    Ok((Source { width, height, channels, samples }, orientation))
}

/// Turns a decoder's words into ours where they are about the most common mishap.
fn friendly(why: &str) -> String {
    let lower = why.to_lowercase();
    let cut = ["eof", "end of file", "end of image", "exhausted", "no more bytes", "failed to fill"];
    if cut.iter().any(|word| lower.contains(word)) {
        return CUT.into();
    }
    // The sentence around this one has its own full stop.
    why.trim().trim_end_matches('.').replace('\n', " ")
}

/// How one output pixel is made of a run of input pixels.
struct Taps {
    first: usize,
    /// Fixed point with [`WEIGHT_BITS`] fractional bits, none negative, sum about 1.
    weights: Vec<i32>,
}

/// Weights of the triangle filter, widened by the scale when shrinking so that every input pixel
/// counts: what Pillow calls `BILINEAR` and `image` calls `Triangle`, in Pillow's fixed point.
fn taps(from: usize) -> Vec<Taps> {
    let scale = from as f64 / SIDE as f64;
    let support = scale.max(1.0);
    (0..SIDE)
        .map(|i| {
            let centre = (i as f64 + 0.5) * scale;
            let first = (centre - support + 0.5).max(0.0) as usize;
            let end = ((centre + support + 0.5) as usize).min(from);
            let weight = |x: usize| (1.0 - ((x as f64 - centre + 0.5) / support).abs()).max(0.0);
            let sum: f64 = (first..end).map(weight).sum();
            let fixed = |x| (weight(x) / sum * f64::from(1 << WEIGHT_BITS) + 0.5) as i32;
            Taps { first, weights: (first..end).map(fixed).collect() }
        })
        .collect()
}

/// Squashes to [`SIDE`] x [`SIDE`] RGB. Rows are filtered across and added into the output rows
/// that they touch, so the memory used does not depend on the picture's size.
fn squash(source: &Source) -> Vec<u8> {
    const HALF: i32 = 1 << (WEIGHT_BITS - 1);
    let to_byte = |sum: i32| (sum >> WEIGHT_BITS).clamp(0, 255) as u8;
    let (across, down) = (taps(source.width), taps(source.height));
    let mut sums = vec![HALF; SIDE * SIDE * 3];
    let mut row = vec![0; source.width * 3];
    let mut narrow = [0_u8; SIDE * 3];
    let mut top = 0;
    for y in 0..source.height {
        source.read_row(y, &mut row);
        for (taps, out) in across.iter().zip(narrow.chunks_exact_mut(3)) {
            let mut sum = [HALF; 3];
            for (weight, pixel) in taps.weights.iter().zip(row[taps.first * 3..].chunks_exact(3)) {
                for (sum, &value) in sum.iter_mut().zip(pixel) {
                    *sum += weight * i32::from(value);
                }
            }
            for (out, sum) in out.iter_mut().zip(sum) {
                *out = to_byte(sum);
            }
        }
        while top < SIDE && down[top].first + down[top].weights.len() <= y {
            top += 1;
        }
        for (taps, sums) in down.iter().zip(sums.chunks_exact_mut(SIDE * 3)).skip(top) {
            if taps.first > y {
                break;
            }
            if let Some(weight) = taps.weights.get(y - taps.first) {
                for (sum, &value) in sums.iter_mut().zip(&narrow) {
                    *sum += weight * i32::from(value);
                }
            }
        }
    }
    sums.into_iter().map(to_byte).collect()
}

/// Applies the EXIF orientation to the square, which is cheaper than to the whole picture and
/// gives the same.
fn turn(pixels: Vec<u8>, orientation: Orientation) -> Vec<u8> {
    const LAST: usize = SIDE - 1;
    // Where the pixel that goes to (x, y) comes from.
    let origin = |x: usize, y: usize| match orientation {
        Orientation::NoTransforms => (x, y),
        Orientation::FlipHorizontal => (LAST - x, y),
        Orientation::FlipVertical => (x, LAST - y),
        Orientation::Rotate180 => (LAST - x, LAST - y),
        Orientation::Rotate90 => (y, LAST - x),
        Orientation::Rotate270 => (LAST - y, x),
        Orientation::Rotate90FlipH => (y, x),
        Orientation::Rotate270FlipH => (LAST - y, LAST - x),
    };
    if orientation == Orientation::NoTransforms {
        return pixels;
    }
    (0..SIDE * SIDE)
        .flat_map(|i| {
            let (x, y) = origin(i % SIDE, i / SIDE);
            let at = (y * SIDE + x) * 3;
            [pixels[at], pixels[at + 1], pixels[at + 2]]
        })
        .collect()
}

#[cfg(test)]
#[path = "picture_tests.rs"]
mod tests;
