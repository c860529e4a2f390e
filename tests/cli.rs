//! The command line as a user meets it: what is printed, which exit code, what is left on the disk.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

fn songwriter(arguments: &[&str]) -> Output {
    command(arguments).output().unwrap()
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_songwriter"));
    command.args(arguments).stdin(Stdio::null()).env_remove("RUST_BACKTRACE");
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// The run must have failed with a sentence that holds `says`, exit code 2 and no panic.
fn assert_refused(output: &Output, says: &str) {
    let error = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(error.contains(says), "{says:?} is not in: {error}");
    assert!(!error.contains("panicked"), "{error}");
    assert!(output.stdout.is_empty(), "{}", text(&output.stdout));
}

fn cat() -> String {
    concat!(env!("CARGO_MANIFEST_DIR"), "/www/samples/cat.jpg").to_string()
}

/// A folder with a file of that content.
fn file(name: &str, content: &[u8]) -> (TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(name);
    std::fs::write(&path, content).unwrap();
    let path = path.display().to_string();
    (dir, path)
}

#[test]
fn a_caption_is_one_json_object_a_line() {
    let picture = cat();
    let output = songwriter(&["caption", "--json", &picture, &picture]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let lines: Vec<Value> = text(&output.stdout).lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[0], lines[1]);
    assert_eq!(lines[0]["picture"], picture.as_str());
    assert!(lines[0]["caption"].as_str().unwrap().split(' ').count() >= 3, "{}", lines[0]);
    assert!(lines[0]["log_prob"].as_f64().unwrap() < 0.0);
    assert!(!text(&output.stdout).contains("<unk>"));
}

#[test]
fn songs_come_with_what_gives_them_again() {
    let run = |seed: &str| {
        let output = songwriter(&["write", &cat(), "-n", "2", "-t", "0.8", "--random-seed", seed, "--json"]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        serde_json::from_slice::<Value>(&output.stdout).unwrap()
    };
    let first = run("7");
    assert_eq!(first, run("7"));
    let songs = first["songs"].as_array().unwrap();
    assert_eq!(songs.len(), 2);
    assert_eq!([&songs[0]["random_seed"], &songs[1]["random_seed"]], [7, 8]);
    assert!((songs[0]["temperature"].as_f64().unwrap() - 0.8).abs() < 1e-6);
    assert_ne!(songs[0]["text"], songs[1]["text"]);
    assert!(songs.iter().all(|s| s["text"].as_str().unwrap().len() > 40));
    // The second song of one run is the first of a run with the next seed.
    assert_eq!(run("8")["songs"][0], songs[1]);
    assert!(first["caption"].as_str().unwrap().len() > 5);
}

#[test]
fn songs_are_what_was_asked_for() {
    let arguments = ["write", "-k", "moon,Ships,xylophone", "-l", "6", "-r", "abab", "-m", "sad", "--json"];
    let output = songwriter(&[&arguments[..], &["--kind", "ballad", "--random-seed", "5"]].concat());
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    let song = &found["songs"][0];
    let lines: Vec<&str> = song["text"].as_str().unwrap().lines().collect();
    assert_eq!(lines.len(), 6);
    let keywords = song["keywords"].as_array().unwrap();
    assert_eq!(keywords.len(), 3);
    assert_eq!([&keywords[0]["used"], &keywords[0]["present"]], [&json!("moon"), &json!(true)]);
    for (arguments, says) in [
        (["write", "-k", "moon", "-l", "17"], "1 to 16 lines"),
        (["write", "-k", "moon", "-r", "abba"], "aabb, abab, abcb or off"),
        (["write", "-k", "moon", "-m", "angry"], "joyful, plain or sad"),
        (["write", "-k", "moon", "--kind", "opera"], "song, ballad, hymn, nursery or poem"),
        (["write", "-k", "moon", "--top-p", "0"], "above 0 and at most 1"),
    ] {
        assert_refused(&songwriter(&arguments), says);
    }
}

#[test]
fn songs_are_measured_beside_those_of_people() {
    let (dir, _) = verse();
    let data = dir.path().join("verse.csv").display().to_string();
    // Stanzas of four lines, which songs are compared with.
    let csv: String = (0..12).map(|i| format!("\"The moon is on the water {i}\nand silver is the sea\nthe ship that bears the daughter\nwill bring her home to me\"\n")).collect();
    std::fs::write(&data, format!("lyrics\n{csv}")).unwrap();
    let arguments =
        ["evaluate", "lyrics", "--data", &data, "--songs", "4", "--temperatures", "0.8", "--moods", "--json"];
    let output = songwriter(&arguments);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(found["bits_per_char"].as_f64().unwrap() < 4.0);
    assert_eq!(found["people"]["rhyme"], 1.0);
    assert_eq!(found["people"]["keywords"], 1.0);
    assert!(found["people"]["copied_999"].as_u64().unwrap() > 80);
    let ours = &found["T=0.8"];
    assert_eq!(ours["songs"], 4);
    assert!(
        ours["dictionary"].as_f64().unwrap() > 0.9 && ours["copied_999"].as_u64().unwrap() < 60,
        "{found}"
    );
    assert!(found["moods_apart"].as_f64().unwrap() > 0.2, "{found}");
}

#[test]
fn a_seed_text_is_gone_on_from() {
    let output = songwriter(&["write", "-s", "The sea was calm and", "--random-seed", "3"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let song = text(&output.stdout);
    assert!(song.starts_with("The sea was calm and") && song.len() > 60, "{song}");
}

#[test]
fn pictures_that_are_none_are_refused() {
    let whole = std::fs::read(cat()).unwrap();
    let mut huge = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".to_vec();
    huge.extend_from_slice(&30_000u32.to_be_bytes());
    huge.extend_from_slice(&30_000u32.to_be_bytes());
    huge.extend_from_slice(&[8, 2, 0, 0, 0]);
    huge.extend_from_slice(&crc32(&huge[12..]).to_be_bytes());
    for (name, content, says) in [
        ("notes.jpg", b"This is no picture, it is a line of text.".as_slice(), "can't be read as a picture"),
        ("cut.jpg", &whole[..whole.len() / 2], "can't be read as a picture"),
        ("empty.jpg", b"", "can't be read as a picture"),
        ("huge.png", &huge, "30000 x 30000 pixels"),
    ] {
        let (_dir, path) = file(name, content);
        for verb in ["caption", "write"] {
            let output = songwriter(&[verb, &path]);
            assert_refused(&output, says);
            assert_refused(&output, name);
        }
    }
    assert_refused(&songwriter(&["caption", "no-such-picture.jpg"]), "no-such-picture.jpg");
}

/// CRC-32 of PNG chunks, bit by bit.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 & 0u32.wrapping_sub(crc & 1)))
    })
}

#[test]
fn a_bad_picture_does_not_keep_the_others_from_being_captioned() {
    let (_dir, bad) = file("bad.jpg", b"nothing");
    let output = songwriter(&["caption", "--json", &bad, &cat()]);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(text(&output.stdout).lines().count(), 1);
    assert!(text(&output.stderr).contains("bad.jpg"));
}

#[test]
fn models_that_are_missing_or_damaged_are_told() {
    let (dir, _) = file("nothing", b"");
    let empty = dir.path().display().to_string();
    assert_refused(&songwriter(&["caption", &cat(), "--models", &empty]), "--models DIR");
    assert_refused(&songwriter(&["write", &cat(), "--models", "/no/such/folder"]), "no manifest.json");

    // A weight file that is cut off.
    for model in ["captioner", "lyricist"] {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("models").join(model);
        let target = dir.path().join(model);
        std::fs::create_dir_all(&target).unwrap();
        for entry in std::fs::read_dir(source).unwrap() {
            let path = entry.unwrap().path();
            std::fs::copy(&path, target.join(path.file_name().unwrap())).unwrap();
        }
        let weights = target.join("tensors.safetensors");
        let bytes = std::fs::read(&weights).unwrap();
        std::fs::write(&weights, &bytes[..bytes.len() - 1000]).unwrap();
    }
    assert_refused(&songwriter(&["caption", &cat(), "--models", &empty]), "sha256");
    assert_refused(&songwriter(&["write", "-s", "Oh", "--models", &empty]), "sha256");
}

#[test]
fn options_out_of_range_are_told() {
    assert_refused(&songwriter(&["write", "-s", "Oh", "-t", "3"]), "at most 2");
    assert_refused(&songwriter(&["caption", &cat(), "--beam", "0"]), "from 1 to 100");
    assert_refused(&songwriter(&["write"]), "PICTURE");
    assert_refused(&songwriter(&["write", "-s", "\u{65e5}\u{672c}"]), "it writes English");
    for option in [["--steps", "0"], ["--epochs", "nan"], ["--learning-rate", "0"], ["--dropout", "1"]] {
        let mut arguments = vec!["train", "lyricist", "--data", "none.csv"];
        arguments.extend(option);
        assert_refused(&songwriter(&arguments), option[0]);
    }
    assert_refused(
        &songwriter(&["train", "lyricist", "--data", "none.csv", "--resume", "--out", "none"]),
        "nothing to resume",
    );
    assert_refused(&songwriter(&["write", "-s", "Oh", "--device", "vulkan"]), "--features vulkan");
}

#[test]
fn lyrics_files_that_hold_none_are_told() {
    for (content, says) in [
        (b"".as_slice(), "is empty"),
        (b"artist,lyrics\n", "no lyrics"),
        (b"artist;lyrics\nAnn;Oh\n", "no column"),
    ] {
        let (dir, path) = file("songs.csv", content);
        let out = dir.path().join("out").display().to_string();
        assert_refused(&songwriter(&["train", "lyricist", "--data", &path, "--out", &out]), says);
        assert_refused(&songwriter(&["evaluate", "lyrics", "--data", &path, "--json"]), says);
        assert!(!Path::new(&out).exists(), "a refused run left something behind");
    }
}

/// A CSV of made-up verse by three people.
fn verse() -> (TempDir, String) {
    let (things, does) = (["river", "lantern", "sparrow", "orchard"], ["sings", "waits", "turns", "sleeps"]);
    let mut csv = String::from("artist,lyrics\n");
    for i in 0..60 {
        let (a, b) = (things[i % 4], does[(i / 4) % 4]);
        csv += &format!(
            "poet {},\"The {a} {b} at number {i}\nand nobody {b} as it\n\nA {a}, a {a}\nfor {i} days\"\n",
            i % 3
        );
    }
    file("verse.csv", csv.as_bytes())
}

fn small_run(data: &str, out: &Path, more: &[&str]) -> Command {
    let mut command =
        command(&["train", "lyricist", "--data", data, "--hidden", "24", "--batch-chars", "600"]);
    // Dropout, so that what is drawn at random counts in the tests of --resume.
    command.args(["--dropout", "0.2"]);
    command
        .args(["--min-count", "1", "--steps", "60", "--validate-every", "30", "--out"])
        .arg(out)
        .args(more);
    command.stderr(Stdio::piped());
    command
}

#[test]
fn a_trained_model_writes_and_is_measured() {
    let (dir, data) = verse();
    let out = dir.path().join("models/lyricist");
    let output = small_run(&data, &out, &[]).output().unwrap();
    let told = text(&output.stderr);
    assert!(output.status.success(), "{told}");
    assert!(told.contains("bits/char") && told.contains("characters/s") && told.contains("left"), "{told}");

    let output =
        songwriter(&["evaluate", "lyrics", "--data", &data, "--model", &out.display().to_string(), "--json"]);
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    let bits = found["bits_per_char"].as_f64().unwrap();
    assert!(bits > 0.5 && bits < 4.5, "{found}");

    // A copy that is checked on the way, without the checkpoint.
    let copy = dir.path().join("copy/lyricist");
    let output = songwriter(&["export", &out.display().to_string(), &copy.display().to_string()]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(!copy.join("run.ckpt").exists());
    let models = dir.path().join("copy").display().to_string();
    let output = songwriter(&["write", "-s", "The ", "--models", &models, "--random-seed", "1"]);
    assert!(text(&output.stdout).starts_with("The "), "{}", text(&output.stderr));

    // A second run does not write over the first.
    assert_refused(&small_run(&data, &out, &[]).output().unwrap(), "--resume");
}

fn tensors(out: &Path) -> Vec<u8> {
    std::fs::read(out.join("tensors.safetensors")).unwrap()
}

/// Kills a run of the lyricist in the middle, resumes it, and compares with a run that was left
/// alone.
fn killed_and_resumed(more: &[&str]) {
    let (dir, data) = verse();
    resumed_is_whole(dir.path(), |out, options| small_run(&data, out, &[more, options].concat()));
}

/// Kills a run in the middle, resumes it, and compares with a run that was left alone. `run` makes
/// the command of a training of 60 updates for a folder, with options.
fn resumed_is_whole(dir: &Path, run: impl Fn(&Path, &[&str]) -> Command) {
    let whole = dir.join("whole");
    let output = run(&whole, &[]).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));

    let broken = dir.join("broken");
    let checkpoint: PathBuf = broken.join("run.ckpt");
    let mut child = run(&broken, &["--checkpoint-every", "1"]).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while !checkpoint.exists() {
        assert!(Instant::now() < deadline, "no checkpoint was written");
        std::thread::sleep(Duration::from_millis(2));
    }
    child.kill().unwrap(); // SIGKILL: nothing can be tidied up
    let killed = child.wait_with_output().unwrap();
    assert!(!text(&killed.stderr).contains("Done in"), "the run was over before it was killed");
    let output = run(&broken, &["--resume"]).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(tensors(&whole) == tensors(&broken), "the resumed run came to other weights");
    let steps = |out: &Path| -> Vec<String> {
        let journal = std::fs::read_to_string(out.join("metrics.csv")).unwrap();
        journal.lines().map(|line| line.split(',').next().unwrap().to_string()).collect()
    };
    let rows = ["step", "1", "20", "30", "40", "60"];
    assert_eq!(steps(&whole), rows);
    // What was noted between the last validation and the kill may be lost, nothing else.
    assert!(steps(&broken).iter().all(|step| rows.contains(&step.as_str())));
    assert!(broken.join("curves.svg").exists());
}

/// A corpus of the sample pictures, laid out as Flickr8k is.
fn photos() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let images = dir.path().join("images");
    std::fs::create_dir(&images).unwrap();
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("www/samples");
    let mut names: Vec<String> = std::fs::read_dir(samples.clone())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".jpg"))
        .collect();
    names.sort();
    let mut captions = String::new();
    for (i, name) in names.iter().enumerate() {
        std::fs::copy(samples.join(name), images.join(name)).unwrap();
        let thing = ["cat", "boat", "hill"][i % 3];
        captions += &format!("{name}#0\tA {thing} on the left of a road .\n");
        captions += &format!("{name}#1\tOne quiet {thing} .\n{name}#2\tThe {thing} and a road\n");
    }
    let (train, dev) = names.split_at(names.len() - 2);
    std::fs::write(dir.path().join("Flickr8k.token.txt"), captions).unwrap();
    std::fs::write(dir.path().join("Flickr_8k.trainImages.txt"), train.join("\n")).unwrap();
    std::fs::write(dir.path().join("Flickr_8k.devImages.txt"), dev.join("\n")).unwrap();
    dir
}

fn small_captioner(dir: &Path, out: &Path, more: &[&str]) -> Command {
    let mut command = command(&["train", "captioner", "--steps", "60", "--validate-every", "30"]);
    command.args(["--embedding", "12", "--hidden", "16", "--values", "12", "--keys", "8"]);
    command.args(["--min-count", "1", "--batch-photos", "2", "--parts", "1"]);
    command.arg("--data").arg(dir).arg("--features").arg(dir.join("features")).arg("--out").arg(out);
    command.args(more).stderr(Stdio::piped());
    command
}

#[test]
fn a_captioner_is_trained_killed_resumed_and_used() {
    let dir = photos();
    resumed_is_whole(dir.path(), |out, more| small_captioner(dir.path(), out, more));
    let first = dir.path().join("whole").display().to_string();
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/captioner");
    for (name, learned) in [
        ("encoder.blocks.11.project.bias", false),
        ("encoder.blocks.12.expand.bias", true),
        ("encoder.head.bias", true),
    ] {
        let values = |folder: &Path| {
            let all = songwriter::weights::ModelFiles::open(folder).unwrap().tensors().unwrap();
            all.get(name, all.shape(name).unwrap()).unwrap().to_vec()
        };
        assert_eq!(values(&shipped) != values(Path::new(&first)), learned, "{name}");
    }

    // What it has learned to say is a caption of the corpus, and results and a report come of it.
    let models = dir.path().join("models");
    let export = ["export", &first, &models.join("captioner").display().to_string(), "--small"];
    assert!(songwriter(&export).status.success());
    let [images, results, page] =
        ["images", "results.json", "report.html"].map(|name| dir.path().join(name).display().to_string());
    let models = models.display().to_string();
    let run = ["caption", &images, "--out", &results, "--models", &models];
    let output = songwriter(&run);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let found: Value = serde_json::from_slice(&std::fs::read(&results).unwrap()).unwrap();
    let blobs = found["imgblobs"].as_array().unwrap();
    let files = std::fs::read_dir(&images).unwrap().count();
    assert_eq!(blobs.len(), files);
    for blob in blobs {
        assert_eq!(blob["references"].as_array().unwrap().len(), 3);
        assert!(blob["candidate"]["logprob"].as_f64().unwrap() < 0.0);
        assert!(blob["candidate"]["text"].as_str().unwrap().len() > 3, "{blob}");
        assert_eq!(blob["words"][0]["attention"].as_array().unwrap().len(), 49);
    }
    // Once more: nothing is left to be done, and nothing is lost.
    let output = songwriter(&run);
    assert!(text(&output.stderr).contains(&format!("{files}/{files}")), "{}", text(&output.stderr));
    assert_eq!(found, serde_json::from_slice::<Value>(&std::fs::read(&results).unwrap()).unwrap());
    assert_refused(&songwriter(&[&run[..], &["--beam", "2"]].concat()), "other options");
    assert_refused(&songwriter(&["report", &results, "--out", &page]), "--pictures");
    let output = songwriter(&["report", &results, "--pictures", &images, "--out", &page]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let page = std::fs::read_to_string(&page).unwrap();
    assert_eq!(page.matches("data:image/jpeg;base64,").count(), files);
    assert!(!page.contains("http://") && !page.contains("https://") && !page.contains("@DATA@"));

    // It goes on to learn from what it says itself.
    let again = ["--start-from", &first, "--self-critical", "--samples", "3", "--learning-rate", "1e-3"];
    let second = dir.path().join("second");
    let output = small_captioner(dir.path(), &second, &again).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(tensors(&second) != tensors(Path::new(&first)));
}

#[test]
fn the_plain_captioner_is_trained_killed_and_resumed() {
    let dir = photos();
    let plain = |out: &Path, more: &[&str]| {
        small_captioner(dir.path(), out, &[&["--attention", "none", "--encoder-rate", "0"], more].concat())
    };
    resumed_is_whole(dir.path(), plain);
    let out = dir.path().join("other");
    let output = plain(&out, &["--self-critical"]).output().unwrap();
    assert_refused(&output, "decoder with attention");
}

#[test]
fn a_run_that_was_killed_goes_on_to_the_same_weights() {
    killed_and_resumed(&[]);
}

#[test]
fn a_run_on_whole_songs_that_was_killed_goes_on_to_the_same_weights() {
    killed_and_resumed(&["--regime", "songs", "--window", "20", "--cell", "gru", "--optimizer", "rmsprop"]);
}

#[test]
fn every_cell_and_optimizer_learns_and_writes() {
    for (cell, optimizer, regime, rate) in [
        ("gru", "adamw", "stanzas", "0.01"),
        ("rnn", "rmsprop", "songs", "0.003"),
        ("lstm", "adagrad", "songs", "0.05"),
    ] {
        let (dir, data) = verse();
        let out = dir.path().join("lyricist");
        let more = ["--cell", cell, "--optimizer", optimizer, "--regime", regime, "--learning-rate", rate];
        let output = small_run(&data, &out, &more).output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        let manifest: Value =
            serde_json::from_slice(&std::fs::read(out.join("manifest.json")).unwrap()).unwrap();
        let bits = manifest["metrics"]["bits_per_char"].as_f64().unwrap();
        assert!(bits < 4.3, "{cell}, {optimizer}, {regime}: {bits} bits a character");
        let models = dir.path().display().to_string();
        let output = songwriter(&["write", "-k", "river", "--models", &models, "-l", "2", "--stanzas", "2"]);
        let song = text(&output.stdout);
        assert_eq!(
            song.trim_end().split("\n\n").map(|s| s.lines().count()).collect::<Vec<_>>(),
            [2, 2],
            "{song}"
        );
        assert!(song.to_lowercase().contains("river"), "{song}");
    }
}

#[test]
fn a_run_that_diverges_is_ended_and_keeps_what_was_good() {
    let (dir, data) = verse();
    let out = dir.path().join("run");
    let more = ["--learning-rate", "1e38", "--schedule", "hold", "--checkpoint-every", "1"];
    let output = small_run(&data, &out, &more).output().unwrap();
    assert_refused(&output, "diverged");
    assert_eq!(out.join("run.ckpt").exists(), text(&output.stderr).contains("holds an earlier state"));
}

#[test]
fn a_model_can_be_trained_further() {
    let (dir, data) = verse();
    let (first, second) = (dir.path().join("first"), dir.path().join("second"));
    assert!(small_run(&data, &first, &[]).output().unwrap().status.success());
    let out = second.display().to_string();
    let from = first.display().to_string();
    let output = songwriter(&[
        "train",
        "lyricist",
        "--data",
        &data,
        "--start-from",
        &from,
        "--steps",
        "40",
        "--out",
        &out,
    ]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let bits = |out: &Path| {
        let manifest: Value =
            serde_json::from_slice(&std::fs::read(out.join("manifest.json")).unwrap()).unwrap();
        manifest["metrics"]["bits_per_char"].as_f64().unwrap()
    };
    assert!(bits(&second) < bits(&first));
}

#[cfg(unix)]
#[test]
fn ctrl_c_saves_and_leaves() {
    let (dir, data) = verse();
    let out = dir.path().join("run");
    let mut command = command(&["train", "lyricist", "--data", &data, "--hidden", "24", "--steps", "100000"]);
    let mut child = command.arg("--out").arg(&out).stderr(Stdio::piped()).spawn().unwrap();
    // The first line of progress says that training has begun.
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    while !lines.next().expect("the run ended by itself").unwrap().contains("characters/s") {}
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let status = child.wait().unwrap();
    let told: Vec<String> = lines.map(Result::unwrap).collect();
    assert_eq!(status.code(), Some(130), "{told:?}");
    assert!(told.last().unwrap().contains("Go on with --resume"), "{told:?}");
    assert!(out.join("run.ckpt").exists());
}

#[test]
fn help_shows_examples() {
    for arguments in [&["write", "--help"][..], &["caption", "--help"], &["train", "lyricist", "--help"]] {
        let output = songwriter(arguments);
        assert!(output.status.success() && text(&output.stdout).contains("Example"), "{arguments:?}");
    }
    assert_eq!(songwriter(&[]).status.code(), Some(2));
}

#[test]
fn a_progress_reader_that_goes_away_does_not_end_a_run() {
    let (dir, data) = verse();
    let out = dir.path().join("run");
    let mut child = small_run(&data, &out, &[]).spawn().unwrap();
    drop(child.stderr.take());
    assert!(child.wait().unwrap().success());
    assert!(out.join("manifest.json").exists());
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let picture = cat();
    let mut child = command(&["caption", &picture, &picture, &picture, &picture])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(!text(&output.stderr).contains("panicked"), "{}", text(&output.stderr));
    assert_eq!(output.status.code(), Some(0));
}
