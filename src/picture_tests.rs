use image::{ImageBuffer, Luma, LumaA, Rgb, RgbImage, Rgba};

use super::*;

/// Left half red, right half blue, top row of blocks darker: no symmetry at all.
fn flag(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        let level = if y < height / 2 { 100 } else { 240 };
        if x < width / 2 { Rgb([level, 0, 0]) } else { Rgb([0, 0, level]) }
    })
}

fn encode(image: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
    let image = image.into();
    if format == ImageFormat::Jpeg {
        return match image {
            DynamicImage::ImageLuma8(grey) => {
                jpeg_of(&grey, grey.dimensions(), jpeg_encoder::ColorType::Luma)
            }
            other => jpeg(&other.into_rgb8()),
        };
    }
    let mut bytes = Cursor::new(Vec::new());
    image.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

fn jpeg(image: &RgbImage) -> Vec<u8> {
    jpeg_of(image, image.dimensions(), jpeg_encoder::ColorType::Rgb)
}

fn jpeg_of(samples: &[u8], (width, height): (u32, u32), colour: jpeg_encoder::ColorType) -> Vec<u8> {
    let mut bytes = Vec::new();
    jpeg_encoder::Encoder::new(&mut bytes, 95).encode(samples, width as u16, height as u16, colour).unwrap();
    bytes
}

/// Puts an EXIF segment with nothing but the orientation behind the start-of-image marker.
fn with_orientation(jpeg: &[u8], orientation: u8) -> Vec<u8> {
    let mut exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0".to_vec();
    exif.extend([orientation, 0, 0, 0, 0, 0, 0, 0]);
    let mut bytes = jpeg[..2].to_vec();
    bytes.extend([0xff, 0xe1]);
    bytes.extend(u16::try_from(exif.len() + 2).unwrap().to_be_bytes());
    bytes.extend(exif);
    bytes.extend(&jpeg[2..]);
    bytes
}

fn pixel(picture: &Picture, x: usize, y: usize) -> [u8; 3] {
    let at = (y * SIDE + x) * 3;
    picture.pixels[at..at + 3].try_into().unwrap()
}

#[track_caller]
fn near(found: [u8; 3], expected: [u8; 3]) {
    let close = found.iter().zip(expected).all(|(a, b)| a.abs_diff(b) <= 6);
    assert!(close, "{found:?} is not {expected:?}");
}

fn why(bytes: &[u8]) -> String {
    Picture::from_bytes("holiday.jpg", bytes).unwrap_err().to_string()
}

#[test]
fn a_square_of_the_right_size_is_left_alone() {
    let image = RgbImage::from_fn(224, 224, |x, y| Rgb([x as u8, y as u8, (x * y % 251) as u8]));
    let picture = Picture::from_bytes("a.png", &encode(image.clone(), ImageFormat::Png)).unwrap();
    assert_eq!(picture.pixels(), image.as_raw());
    let values = picture.to_tensor_values();
    assert_eq!(values.len(), 3 * 224 * 224);
    assert_eq!(values[..2], [-127.0 / 128.0, -126.0 / 128.0], "first row of the red plane");
    assert_eq!(values[224 * 224 + 224], -126.0 / 128.0, "second row of the green plane");
}

#[test]
fn aspect_is_squashed_for_every_format() {
    for format in [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::WebP, ImageFormat::Gif, ImageFormat::Bmp]
    {
        let picture = Picture::from_bytes("flag", &encode(flag(640, 96), format)).unwrap();
        near(pixel(&picture, 50, 50), [100, 0, 0]);
        near(pixel(&picture, 170, 50), [0, 0, 100]);
        near(pixel(&picture, 50, 170), [240, 0, 0]);
        near(pixel(&picture, 170, 170), [0, 0, 240]);
    }
}

#[test]
fn tiny_pictures_are_blown_up() {
    let one = RgbImage::from_pixel(1, 1, Rgb([9, 8, 7]));
    let picture = Picture::from_bytes("dot.png", &encode(one, ImageFormat::Png)).unwrap();
    assert!(picture.pixels().chunks(3).all(|p| p == [9, 8, 7]));
}

#[test]
fn exif_orientation_is_applied() {
    // Where the picture's red dark (A), blue dark (B), red light (C), blue light (D) quarters are
    // seen: top left, top right, bottom left, bottom right.
    let [a, b, c, d] = [[100, 0, 0], [0, 0, 100], [240, 0, 0], [0, 0, 240]];
    let seen = [
        [a, b, c, d],
        [b, a, d, c],
        [d, c, b, a],
        [c, d, a, b],
        [a, c, b, d],
        [c, a, d, b],
        [d, b, c, a],
        [b, d, a, c],
    ];
    let stored = jpeg(&flag(160, 96));
    for (i, quarters) in seen.iter().enumerate() {
        let bytes = with_orientation(&stored, i as u8 + 1);
        let picture = Picture::from_bytes("turned.jpg", &bytes).unwrap();
        for (quarter, (x, y)) in quarters.iter().zip([(50, 50), (170, 50), (50, 170), (170, 170)]) {
            near(pixel(&picture, x, y), *quarter);
        }
    }
    assert_eq!(
        Picture::from_bytes("odd.jpg", &with_orientation(&stored, 77)).unwrap(),
        Picture::from_bytes("plain.jpg", &stored).unwrap(),
        "an orientation that does not exist is none"
    );
}

#[test]
fn transparency_is_laid_on_white() {
    let glass = ImageBuffer::from_fn(300, 300, |x, _| Rgba([200_u8, 0, 0, [0, 128, 255][x as usize / 100]]));
    let picture = Picture::from_bytes("glass.png", &encode(glass, ImageFormat::Png)).unwrap();
    near(pixel(&picture, 20, 100), [255, 255, 255]);
    near(pixel(&picture, 112, 100), [227, 127, 127]);
    near(pixel(&picture, 200, 100), [200, 0, 0]);
}

#[test]
fn grey_and_sixteen_bits_are_read() {
    let grey = ImageBuffer::from_pixel(50, 40, Luma([77_u8]));
    for format in [ImageFormat::Png, ImageFormat::Jpeg] {
        let picture = Picture::from_bytes("grey", &encode(grey.clone(), format)).unwrap();
        near(pixel(&picture, 100, 100), [77, 77, 77]);
    }
    let deep = ImageBuffer::from_pixel(50, 40, Rgb([257_u16 * 12, 257 * 200, 65_535]));
    let picture = Picture::from_bytes("deep.png", &encode(deep, ImageFormat::Png)).unwrap();
    assert_eq!(pixel(&picture, 7, 7), [12, 200, 255]);
    let veiled = ImageBuffer::from_pixel(50, 40, LumaA([0_u16, 0x8080]));
    let picture = Picture::from_bytes("veiled.png", &encode(veiled, ImageFormat::Png)).unwrap();
    assert_eq!(pixel(&picture, 7, 7), [127, 127, 127]);
}

#[test]
fn what_is_no_picture_is_told_so() {
    assert!(why(b"").contains("the file is empty"));
    assert!(why(b"Dear diary,\nthis is no picture.\n").contains("it holds text"));
    assert!(why(&[7; 600]).contains("no known format"));
    assert!(why(b"\0\0\0\x18ftypheic\0\0\0\0mif1").contains("HEIC"));
    assert!(why(b"II*\0\x08\0\0\0\0\0\0\0").contains("Tiff"));
    let sentence = why(b"");
    assert!(sentence.starts_with("holiday.jpg can't be read") && sentence.ends_with("BMP."), "{sentence}");
}

#[test]
fn cut_files_are_refused() {
    for format in [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::WebP, ImageFormat::Gif, ImageFormat::Bmp]
    {
        let noise = RgbImage::from_fn(300, 200, |x, y| {
            Rgb([(x * y * 7919 % 256) as u8, (x * 31 % 256) as u8, y as u8])
        });
        let bytes = encode(noise, format);
        for keep in [bytes.len() / 3, bytes.len() / 2, bytes.len() * 9 / 10] {
            let sentence = why(&bytes[..keep]);
            assert!(sentence.contains("ends early"), "{format:?}: {sentence}");
        }
        // Nothing in a file's head may make us panic.
        for keep in 0..bytes.len().min(700) {
            assert!(Picture::from_bytes("cut", &bytes[..keep]).is_err(), "{format:?} of {keep} bytes");
        }
    }
}

#[test]
fn damaged_files_never_panic() {
    let mut state = 1_u32;
    let mut random = move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as usize
    };
    for format in [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::WebP, ImageFormat::Gif, ImageFormat::Bmp]
    {
        let good = encode(flag(61, 47), format);
        for _ in 0..300 {
            let mut bad = good.clone();
            for _ in 0..4 {
                let at = random() % bad.len();
                bad[at] = random() as u8;
            }
            // Read or refused, either is fine.
            let _ = Picture::from_bytes("bad", &bad);
        }
    }
}

#[test]
fn a_huge_header_is_refused_without_unpacking() {
    // The head of a PNG of 30,000 x 30,000 pixels, and nothing behind it.
    let mut png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".to_vec();
    png.extend(30_000_u32.to_be_bytes());
    png.extend(30_000_u32.to_be_bytes());
    png.extend([8, 2, 0, 0, 0, 0, 0, 0, 0]);
    let error = Picture::from_bytes("wall.png", &png).unwrap_err();
    assert!(matches!(error, Error::PictureTooLarge { width: 30_000, height: 30_000, .. }), "{error}");

    let mut jpeg = jpeg(&flag(64, 64));
    let frame = jpeg.windows(2).position(|pair| pair == [0xff, 0xc0]).unwrap();
    jpeg[frame + 5..frame + 9].copy_from_slice(&[0xea, 0x60, 0xea, 0x60]);
    let error = Picture::from_bytes("wall.jpg", &jpeg).unwrap_err();
    assert!(matches!(error, Error::PictureTooLarge { width: 60_000, .. }), "{error}");

    let mut gif = encode(flag(64, 64), ImageFormat::Gif);
    gif[6..10].copy_from_slice(&[0xff; 4]);
    let error = Picture::from_bytes("wall.gif", &gif).unwrap_err();
    assert!(matches!(error, Error::PictureTooLarge { width: 65_535, .. }), "{error}");
}

/// Pins the pixels of every format, so that another machine, compiler or decoder version that gives
/// others is noticed. `tests/page` compares the same digests with what the browser's build sees.
#[test]
fn pictures_give_the_same_pixels_everywhere() {
    let fixtures = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let expected: std::collections::BTreeMap<String, String> =
        serde_json::from_slice(&std::fs::read(fixtures.join("pictures.json")).unwrap()).unwrap();
    let digest = |path: &std::path::Path| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let picture = Picture::from_bytes(&name, &std::fs::read(path).unwrap()).unwrap();
        (name, picture.digest())
    };
    let folder = std::fs::read_dir(fixtures.join("pictures")).unwrap();
    let found: std::collections::BTreeMap<String, String> =
        folder.map(|entry| digest(&entry.unwrap().path())).collect();
    assert_eq!(found, expected);
    assert_eq!(found.len(), 11);
    // All show one cat; they differ in what their formats lose.
    let pixels = |name: &str| {
        let bytes = std::fs::read(fixtures.join("pictures").join(name)).unwrap();
        Picture::from_bytes(name, &bytes).unwrap().pixels().to_vec()
    };
    let colour = pixels("colour.jpg");
    for name in ["cmyk.jpg", "progressive.jpg", "sixteen.png", "lossy.webp", "palette.gif"] {
        let apart: u64 = pixels(name).iter().zip(&colour).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
        let mean = apart as f64 / colour.len() as f64;
        assert!(mean < 8.0, "{name} is {mean} apart");
    }
    // The digest was first taken with the JPEG decoder's AVX2 code; the scalar code gives the same.
    let cat = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("www/samples/cat.jpg");
    assert_eq!(digest(&cat).1, CAT);
}
const CAT: &str = "430c0892bf99756cf9cd40f813bfd021d70f31df54cfb5106005107101f0d1e5";
