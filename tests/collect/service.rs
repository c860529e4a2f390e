//! A service on this machine that speaks LRCLIB's API over HTTP, with the faults of the real world.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What is known of a song.
#[derive(Clone)]
pub enum Known {
    Lyrics(String),
    Instrumental,
    Nothing,
}

#[derive(Default)]
struct Log {
    /// Question to the times that it was put, and the times that it was answered.
    asked: HashMap<String, (usize, usize)>,
}

/// The running service.
pub struct Service {
    pub address: String,
    log: Arc<Mutex<Log>>,
    answered: Arc<AtomicUsize>,
}

impl Service {
    /// Starts it with songs by (artist, title) in small letters; with faults or without.
    pub fn start(songs: HashMap<(String, String), Known>, faults: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let (log, answered, songs) = (Arc::default(), Arc::default(), Arc::new(songs));
        let service = Self { address, log: Arc::clone(&log), answered: Arc::clone(&answered) };
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (log, answered, songs) = (Arc::clone(&log), Arc::clone(&answered), Arc::clone(&songs));
                std::thread::spawn(move || {
                    // A client that goes away, as a killed one does, ends its thread.
                    let _ = serve(stream.unwrap(), &songs, faults, &log, &answered);
                });
            }
        });
        service
    }

    /// Questions answered so far.
    pub fn answered(&self) -> usize {
        self.answered.load(Ordering::SeqCst)
    }

    /// How many questions were put again after they had been answered.
    pub fn asked_again(&self) -> usize {
        let log = self.log.lock().unwrap();
        log.asked.values().map(|&(_, answered)| answered.saturating_sub(1)).sum()
    }

    /// Faults so far: questions put and not answered.
    pub fn faults(&self) -> usize {
        let log = self.log.lock().unwrap();
        log.asked.values().map(|&(asked, answered)| asked - answered).sum()
    }
}

fn serve(
    stream: TcpStream,
    songs: &HashMap<(String, String), Known>,
    faults: bool,
    log: &Mutex<Log>,
    answered: &AtomicUsize,
) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut out = stream.try_clone()?;
    let mut lines = BufReader::new(stream).lines();
    loop {
        let Some(request) = lines.next().transpose()? else { return Ok(()) };
        let mut agent = String::new();
        for line in lines.by_ref() {
            let line = line?;
            if let Some(name) = line.to_lowercase().strip_prefix("user-agent: ") {
                agent = name.to_string();
            }
            if line.is_empty() {
                break;
            }
        }
        assert!(agent.contains("neural-songwriter"), "{agent}");
        let target = request.split(' ').nth(1).unwrap_or_default().to_string();
        let attempt = {
            let mut log = log.lock().unwrap();
            let entry = log.asked.entry(target.clone()).or_default();
            entry.0 += 1;
            entry.0
        };
        let luck = target.bytes().fold(7u32, |h, b| h.wrapping_mul(31).wrapping_add(b.into())) % 40;
        let json = "application/json";
        if faults && attempt == 1 {
            match luck {
                0 => {
                    send(
                        &mut out,
                        "429 Too Many Requests",
                        "text/plain",
                        "retry-after: 1\r\n",
                        b"slow down",
                    )?;
                    continue;
                }
                1 | 2 => {
                    send(&mut out, "500 Internal Server Error", "text/plain", "", b"oh no")?;
                    continue;
                }
                3 => {
                    let head =
                        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 900\r\n\r\n";
                    out.write_all(head.as_bytes())?;
                    return out.write_all(b"{\"trackName\": \"cut in the mid");
                }
                4 => {
                    send(
                        &mut out,
                        "200 OK",
                        "text/html",
                        "",
                        b"<html>Please log in to the hotel's network</html>",
                    )?;
                    continue;
                }
                5 => std::thread::sleep(Duration::from_millis(200)),
                _ => {}
            }
        }
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        let field = |name: &str| {
            let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
            pairs.filter(|(key, _)| *key == name).map(|(_, value)| decode(value)).next().unwrap_or_default()
        };
        let (artist, title) = (field("artist_name"), field("track_name"));
        let known =
            songs.get(&(artist.to_lowercase(), title.to_lowercase())).cloned().unwrap_or(Known::Nothing);
        let entry = |instrumental: bool, lyrics: Option<&str>| {
            serde_json::json!({
                "id": 1, "trackName": title, "artistName": artist, "instrumental": instrumental,
                "plainLyrics": lyrics, "syncedLyrics": null,
            })
        };
        let entry = match &known {
            Known::Lyrics(text) => Some(entry(false, Some(text))),
            Known::Instrumental => Some(entry(true, None)),
            Known::Nothing => None,
        };
        match (path, entry.clone()) {
            ("/api/get", Some(entry)) => {
                let mut body = entry.to_string().into_bytes();
                if faults && luck == 6 {
                    // A proxy that takes UTF-8 for Latin-1.
                    body = body.iter().flat_map(|&b| char::from(b).to_string().into_bytes()).collect();
                }
                send(&mut out, "200 OK", json, "", &body)?;
            }
            ("/api/get", None) => {
                let body = br#"{"code": 404, "name": "TrackNotFound", "message": "none"}"#;
                send(&mut out, "404 Not Found", json, "", body)?;
            }
            _ => {
                let found: Vec<_> = entry.into_iter().collect();
                send(&mut out, "200 OK", json, "", serde_json::json!(found).to_string().as_bytes())?;
            }
        }
        log.lock().unwrap().asked.get_mut(&target).unwrap().1 += 1;
        answered.fetch_add(1, Ordering::SeqCst);
    }
}

fn send(out: &mut TcpStream, status: &str, kind: &str, more: &str, body: &[u8]) -> std::io::Result<()> {
    let head =
        format!("HTTP/1.1 {status}\r\ncontent-type: {kind}\r\n{more}content-length: {}\r\n\r\n", body.len());
    out.write_all(&[head.as_bytes(), body].concat())
}

/// Undoes the encoding of a query's value.
fn decode(value: &str) -> String {
    let bytes = value.as_bytes();
    let (mut out, mut i) = (Vec::new(), 0);
    while i < bytes.len() {
        match bytes[i] {
            b'+' => out.push(b' '),
            b'%' => {
                out.push(u8::from_str_radix(&value[i + 1..i + 3], 16).unwrap());
                i += 2;
            }
            b => out.push(b),
        }
        i += 1;
    }
    String::from_utf8(out).unwrap()
}
