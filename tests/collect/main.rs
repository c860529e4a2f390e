//! `songwriter collect` from end to end: over HTTP with faults, killed and resumed; from a dump; and
//! with inputs that are broken.

mod service;

use std::collections::HashMap;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use service::{Known, Service};

fn songwriter(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_songwriter"));
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.env_remove("RUST_BACKTRACE");
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn assert_fine(output: &Output) {
    assert!(output.status.success(), "{}", text(&output.stderr));
}

const WORDS: [&str; 48] = [
    "river", "lantern", "sparrow", "orchard", "winter", "morning", "harbour", "window", "summer", "shadow",
    "mountain", "garden", "silver", "golden", "empty", "quiet", "dancing", "waiting", "turning", "sleeping",
    "singing", "burning", "falling", "walking", "over", "under", "beside", "across", "heart", "night",
    "road", "fire", "water", "stone", "wind", "star", "home", "love", "sorrow", "dream", "mother",
    "children", "train", "letter", "candle", "bridge", "meadow", "thunder",
];
const FRENCH: [&str; 16] = [
    "aujourd'hui",
    "toujours",
    "jamais",
    "bonjour",
    "pourquoi",
    "maintenant",
    "quelquefois",
    "beaucoup",
    "chanson",
    "rivière",
    "fenêtre",
    "lumière",
    "étoile",
    "jeunesse",
    "souvenirs",
    "voyageur",
];

/// Lyrics of a made-up song, unlike those of all others.
fn lyrics(song: usize) -> String {
    let mut state = song as u64 + 1;
    let mut draw = |n: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % n
    };
    let mut text = String::from("[Verse 1]\n");
    for line in 0..12 {
        let words: Vec<&str> =
            (0..6).map(|_| if song % 23 == 5 { FRENCH[draw(16)] } else { WORDS[draw(48)] }).collect();
        text += &format!("{}{}\n", words.join(" "), if line % 4 == 3 { "\n" } else { "" });
    }
    text
}

fn name(song: usize) -> (String, String) {
    (format!("Artist {}", song % 97), format!("Song {song}"))
}

fn known(song: usize) -> Known {
    match song % 20 {
        3 => Known::Instrumental,
        4 | 5 => Known::Nothing,
        // The same song by the same singer on another record.
        6 => Known::Lyrics(lyrics(song - 1000 * (song / 1000))),
        _ => Known::Lyrics(lyrics(song)),
    }
}

fn songs(count: usize) -> HashMap<(String, String), Known> {
    let lower = |(artist, title): (String, String)| (artist.to_lowercase(), title.to_lowercase());
    (0..count).map(|song| (lower(name(song)), known(song))).collect()
}

/// A track list in the Million Song Dataset's form.
fn track_list(folder: &Path, count: usize) -> String {
    let lines = (0..count).map(|song| {
        let (artist, title) = name(song);
        format!("TR{song:016}<SEP>SO{song:016}<SEP>{artist}<SEP>{title}\n")
    });
    let path = folder.join("subset_unique_tracks.txt");
    std::fs::write(&path, lines.collect::<String>()).unwrap();
    path.display().to_string()
}

fn collect(list: &str, out: &Path, more: &[&str]) -> Command {
    let out = out.display().to_string();
    songwriter(&[&["collect", list, "--out", &out, "--json"], more].concat())
}

/// Waits for so many answers, then kills: nothing can be tidied up.
fn kill_after(child: &mut Child, service: &Service, answers: usize) {
    let deadline = Instant::now() + Duration::from_secs(120);
    while service.answered() < answers {
        assert!(Instant::now() < deadline, "only {} answers", service.answered());
        assert!(child.try_wait().unwrap().is_none(), "the run was over before it was killed");
        std::thread::sleep(Duration::from_millis(1));
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

const TRACKS: usize = 2_000;
const AT_ONCE: usize = 16;

#[test]
fn a_list_is_looked_up_in_spite_of_faults_and_kills() {
    let dir = tempfile::tempdir().unwrap();
    let list = track_list(dir.path(), TRACKS);
    let quick = ["--rate", "0", "--concurrency", "16", "--timeout", "5"];

    let calm = Service::start(songs(TRACKS), false);
    let undisturbed = dir.path().join("undisturbed");
    let output =
        collect(&list, &undisturbed, &[&quick[..], &["--api", &calm.address]].concat()).output().unwrap();
    assert_fine(&output);
    assert_eq!((calm.asked_again(), calm.faults()), (0, 0));
    assert!(text(&output.stderr).contains("Lyrics belong to those who wrote them"));

    let rough = Service::start(songs(TRACKS), true);
    let disturbed = dir.path().join("disturbed");
    let more = [&quick[..], &["--api", &rough.address]].concat();
    for answers in [500, 1_300] {
        let mut child = collect(&list, &disturbed, &more).spawn().unwrap();
        kill_after(&mut child, &rough, answers);
    }
    let output = collect(&list, &disturbed, &more).output().unwrap();
    assert_fine(&output);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(rough.faults() > 100, "{} faults", rough.faults());
    // A kill loses what was under way, and nothing else.
    assert!(rough.asked_again() <= 2 * AT_ONCE, "{} questions asked again", rough.asked_again());
    assert_eq!(report["tracks"], TRACKS);
    assert_eq!([&report["instrumental"], &report["missing"], &report["failed"]], [100, 200, 0]);
    assert!(
        report["not_english"].as_u64().unwrap() > 50 && report["duplicates"].as_u64().unwrap() > 20,
        "{report}"
    );
    for file in ["songs.csv", "stanzas.csv"] {
        let read = |folder: &Path| std::fs::read(folder.join(file)).unwrap();
        assert!(read(&undisturbed) == read(&disturbed), "{file} differs");
    }

    // What is known is not asked for again.
    let before = rough.answered();
    assert_fine(&collect(&list, &disturbed, &more).output().unwrap());
    assert_eq!(rough.answered(), before);

    // Both files train a lyricist.
    for file in ["songs.csv", "stanzas.csv"] {
        let data = disturbed.join(file).display().to_string();
        let model = dir.path().join(format!("model of {file}"));
        let output =
            songwriter(&["train", "lyricist", "--data", &data, "--hidden", "16", "--steps", "8", "--out"])
                .arg(&model)
                .output()
                .unwrap();
        assert_fine(&output);
        assert!(model.join("tensors.safetensors").exists());
    }
}

/// A database with the tables of LRCLIB's dump.
fn dump(path: &Path, count: usize) {
    let db = rusqlite::Connection::open(path).unwrap();
    db.execute_batch(
        "CREATE TABLE tracks (id INTEGER PRIMARY KEY, name TEXT, name_lower TEXT, artist_name TEXT,
             artist_name_lower TEXT, album_name TEXT, album_name_lower TEXT, duration FLOAT, last_lyrics_id INTEGER);
         CREATE TABLE lyrics (id INTEGER PRIMARY KEY, plain_lyrics TEXT, synced_lyrics TEXT, track_id INTEGER,
             has_plain_lyrics BOOLEAN, has_synced_lyrics BOOLEAN, instrumental BOOLEAN);
         CREATE INDEX idx_tracks_name ON tracks (name_lower, artist_name_lower);
         BEGIN;",
    )
    .unwrap();
    for song in 0..count {
        let (artist, title) = name(song);
        let (instrumental, lyrics) = match known(song) {
            Known::Nothing => continue,
            Known::Instrumental => (true, None),
            Known::Lyrics(text) => (false, Some(text)),
        };
        db.execute(
            "INSERT INTO tracks (id, name, name_lower, artist_name, artist_name_lower, last_lyrics_id) VALUES (?1, ?2, ?3, ?4, ?5, ?1)",
            (song as i64, &title, title.to_lowercase(), &artist, artist.to_lowercase()),
        )
        .unwrap();
        db.execute(
            "INSERT INTO lyrics (id, plain_lyrics, track_id, instrumental) VALUES (?1, ?2, ?1, ?3)",
            (song as i64, lyrics, instrumental),
        )
        .unwrap();
    }
    db.execute_batch("COMMIT").unwrap();
}

#[test]
fn a_dump_gives_the_same_as_the_service() {
    let dir = tempfile::tempdir().unwrap();
    let list = track_list(dir.path(), TRACKS);
    let file = dir.path().join("dump.sqlite3");
    dump(&file, TRACKS);
    let before = std::fs::read(&file).unwrap();
    let (of_dump, of_service) = (dir.path().join("dump"), dir.path().join("service"));
    let output =
        collect(&list, &of_dump, &["--offline", "--dump", &file.display().to_string()]).output().unwrap();
    assert_fine(&output);
    assert!(before == std::fs::read(&file).unwrap(), "the dump was written to");
    let service = Service::start(songs(TRACKS), false);
    let more = ["--rate", "0", "--concurrency", "16", "--api", &service.address];
    assert_fine(&collect(&list, &of_service, &more).output().unwrap());
    let read = |folder: &Path| std::fs::read(folder.join("songs.csv")).unwrap();
    assert!(read(&of_dump) == read(&of_service));
    assert!(read(&of_dump).len() > 100_000);
}

#[test]
fn broken_inputs_are_told_and_the_journal_stays() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let good = track_list(dir.path(), 30);
    let file = dir.path().join("dump.sqlite3");
    dump(&file, 30);
    let dump = file.display().to_string();
    assert_fine(&collect(&good, &out, &["--offline", "--dump", &dump]).output().unwrap());
    let journal = std::fs::read(out.join("journal.sqlite")).unwrap();

    let cut = std::fs::read(&file).unwrap();
    let long_line = [b"artist,title\nA,B\n".to_vec(), vec![b'x'; 100 << 20]].concat();
    for (name, content, row) in [
        ("wrong_separator.txt", b"TR1<SEP>SO1<SEP>A<SEP>B\nTR2;SO2;C;D\n".to_vec(), "2"),
        ("not.h5", b"this is no HDF5".to_vec(), ""),
        ("cut.db", cut[..cut.len() / 3].to_vec(), ""),
        ("quotes.csv", b"artist,title\nA,B\nC,\"never closed\nD,E\n".to_vec(), "3"),
        ("long.csv", long_line, "3"),
    ] {
        let path = dir.path().join(name);
        std::fs::write(&path, content).unwrap();
        let output =
            collect(&path.display().to_string(), &out, &["--offline", "--dump", &dump]).output().unwrap();
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{name}: {told}");
        assert!(told.contains(name) && told.contains(row) && !told.contains("panicked"), "{name}: {told}");
        assert!(told.len() < 600, "{name}: {told}");
        assert!(journal == std::fs::read(out.join("journal.sqlite")).unwrap(), "{name} changed the journal");
    }
    // A dump that is cut off.
    let broken = dir.path().join("broken.sqlite3");
    std::fs::write(&broken, &cut[..cut.len() / 3]).unwrap();
    let output =
        collect(&good, &out, &["--offline", "--dump", &broken.display().to_string()]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("broken.sqlite3"), "{}", text(&output.stderr));
    // Nobody listens there.
    let output =
        collect(&good, &dir.path().join("other"), &["--api", "http://127.0.0.1:9", "--retries", "0"])
            .output()
            .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("refuses"), "{}", text(&output.stderr));
}

#[test]
fn songs_of_hdf5_files_and_text_folders_are_found() {
    let dir = tempfile::tempdir().unwrap();
    let (lists, texts, out) = (dir.path().join("h5/A/B"), dir.path().join("texts"), dir.path().join("out"));
    std::fs::create_dir_all(&lists).unwrap();
    std::fs::create_dir_all(&texts).unwrap();
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/song.h5");
    std::fs::copy(fixture, lists.join("song.h5")).unwrap();
    let list = dir.path().join("h5").display().to_string();
    let probe =
        collect(&list, &out, &["--offline", "--texts", &texts.display().to_string()]).output().unwrap();
    // An empty folder is no source.
    assert_eq!(probe.status.code(), Some(2), "{}", text(&probe.stderr));

    let csv = dir.path().join("mine.csv");
    std::fs::write(&csv, "artist,title,year\nAnn Example,The Quiet River (feat. Bob),1999\n").unwrap();
    std::fs::write(texts.join("Ann Example - The Quiet River.txt"), lyrics(1)).unwrap();
    let more = ["--offline", "--texts", &texts.display().to_string()];
    let output = collect(&csv.display().to_string(), &out, &more).output().unwrap();
    assert_fine(&output);
    let songs = std::fs::read_to_string(out.join("songs.csv")).unwrap();
    assert!(songs.starts_with("artist,title,year,lyrics\nAnn Example,"), "{songs}");
    assert!(!songs.contains("[Verse") && songs.contains("1999"), "{songs}");
    let output = collect(&list, &out, &more).output().unwrap();
    assert_fine(&output);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((report["tracks"].as_u64(), report["missing"].as_u64()), (Some(30), Some(30)), "{report}");
}

/// Most memory that a process has held so far, in MB.
fn peak_megabytes(child: &Child) -> Option<f64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.split_whitespace().next()?.parse::<f64>().ok()? / 1000.0)
}

/// Runs to the end and gives the seconds and the peak of memory.
fn watched(mut command: Command) -> (f64, f64) {
    let started = Instant::now();
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let mut peak = 0.0;
    while child.try_wait().unwrap().is_none() {
        peak = peak_megabytes(&child).unwrap_or(peak);
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(child.wait().unwrap().success());
    (started.elapsed().as_secs_f64(), peak)
}

/// `cargo test --release --features native --test collect -- --ignored --nocapture look_ups`
#[test]
#[ignore = "a measurement"]
fn look_ups_are_quick_and_memory_is_bounded() {
    let dir = tempfile::tempdir().unwrap();
    let count = 10_000;
    let list = track_list(dir.path(), count);
    let service = Service::start(songs(count), false);
    let more = ["--rate", "0", "--concurrency", "16", "--api", &service.address];
    let (seconds, peak) = watched(collect(&list, &dir.path().join("out"), &more));
    let speed = service.answered() as f64 / seconds;
    println!("{count} songs: {speed:.0} look-ups/s, peak {peak:.0} MB");
    assert!(speed >= 500.0 && peak < 200.0);
}

/// `cargo test --release --features native --test collect -- --ignored --nocapture large_dump`
#[test]
#[ignore = "a measurement, and 3 GB on the disk"]
fn a_large_dump_takes_little_memory() {
    let dir = tempfile::tempdir().unwrap();
    let (rows, wanted) = (5_000_000, 200_000);
    let file = dir.path().join("dump.sqlite3");
    dump(&file, rows);
    let list = track_list(dir.path(), wanted);
    let size = std::fs::metadata(&file).unwrap().len() / 1_000_000;
    let (seconds, peak) = watched(collect(
        &list,
        &dir.path().join("out"),
        &["--offline", "--dump", &file.display().to_string()],
    ));
    println!("{wanted} songs in a dump of {rows} rows ({size} MB): {seconds:.0} s, peak {peak:.0} MB");
    assert!(peak < 300.0);
}
