//! LRCLIB over HTTP: <https://lrclib.net/docs>.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use ureq::Agent;

use super::names::bare;
use super::source::{Answer, Fault, Question, Source, Way, answer};
use super::text;
use crate::error::{Error, Result};

/// The service itself.
pub const LRCLIB: &str = "https://lrclib.net";
/// Largest answer that is read: a search gives twenty songs.
const MAX_BODY: u64 = 8 << 20;

/// The HTTP API.
#[derive(Debug)]
pub struct Api {
    agent: Agent,
    base: String,
}

/// An entry, as far as it is of interest here.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    track_name: Option<String>,
    artist_name: Option<String>,
    #[serde(default)]
    instrumental: bool,
    plain_lyrics: Option<String>,
    synced_lyrics: Option<String>,
}

/// What comes with status 404.
#[derive(Debug, Deserialize)]
struct NotFound {
    name: String,
}

impl Api {
    /// Gets ready to ask the service at an address, waiting at most so long for an answer.
    ///
    /// # Errors
    /// The address is none of HTTP.
    pub fn new(base: &str, timeout: Duration) -> Result<Self> {
        if !base.starts_with("http://") && !base.starts_with("https://") {
            return Err(Error::Usage(format!("{base} is no address; give one such as {LRCLIB} with --api.")));
        }
        let base = base.trim_end_matches('/').trim_end_matches("/api").to_string();
        let agent = Agent::config_builder()
            .user_agent(concat!("neural-songwriter v", env!("CARGO_PKG_VERSION"), " (songwriter collect)"))
            .timeout_global(Some(timeout))
            .http_status_as_error(false)
            .max_idle_connections(64)
            .max_idle_connections_per_host(64)
            .build()
            .new_agent();
        Ok(Self { agent, base })
    }
}

impl Source for Api {
    fn name(&self) -> &str {
        &self.base
    }

    fn remote(&self) -> bool {
        true
    }

    fn searches(&self) -> bool {
        true
    }

    fn ask(&self, question: &Question) -> std::result::Result<Answer, Fault> {
        let path = match question.way {
            Way::Get => "get",
            Way::Search => "search",
        };
        let mut response = self
            .agent
            .get(format!("{}/api/{path}", self.base))
            .query("artist_name", &question.artist)
            .query("track_name", &question.title)
            .call()
            .map_err(|e| passing(&why(&e)))?;
        let status = response.status().as_u16();
        let pause = response.headers().get("retry-after").and_then(|v| v.to_str().ok()).and_then(retry_after);
        let body = response.body_mut().with_config().limit(MAX_BODY).read_to_vec();
        match status {
            200 => {
                let body = body.map_err(|e| passing(&why(&e)))?;
                match question.way {
                    Way::Get => parse::<Entry>(&body).map(of_entry),
                    Way::Search => parse::<Vec<Entry>>(&body).map(|entries| best(entries, question)),
                }
                .ok_or_else(|| passing("the answer was not what LRCLIB gives"))
            }
            // A wrong address would make a whole list look as if it had no lyrics.
            404 => match body.ok().and_then(|body| parse::<NotFound>(&body)) {
                Some(NotFound { name }) if name == "TrackNotFound" => Ok(Answer::Missing),
                _ => Err(Fault::Refused("HTTP 404 from something that is not LRCLIB".into())),
            },
            408 | 425 | 429 | 500.. => Err(Fault::Passing { why: format!("HTTP {status}"), pause }),
            _ => Err(Fault::Refused(format!("HTTP {status}"))),
        }
    }
}

fn passing(why: &str) -> Fault {
    Fault::Passing { why: why.into(), pause: None }
}

/// Reads JSON, whatever the encoding.
fn parse<T: DeserializeOwned>(body: &[u8]) -> Option<T> {
    serde_json::from_str(&text::decode(body).0).ok()
}

fn of_entry(entry: Entry) -> Answer {
    answer(entry.instrumental, entry.plain_lyrics, entry.synced_lyrics)
}

/// The first result that is the song and has lyrics, else the first that is the song: a search
/// also finds songs that share a few words with it.
fn best(entries: Vec<Entry>, question: &Question) -> Answer {
    let wanted = bare(&question.artist, &question.title);
    let mut best = Answer::Missing;
    for entry in entries {
        let name = (entry.artist_name.as_deref().unwrap_or(""), entry.track_name.as_deref().unwrap_or(""));
        if bare(name.0, name.1) == wanted {
            match of_entry(entry) {
                found @ Answer::Found(_) => return found,
                Answer::Instrumental => best = Answer::Instrumental,
                Answer::Missing => {}
            }
        }
    }
    best
}

/// A few words for what went wrong, the same ones each time.
fn why(error: &ureq::Error) -> String {
    use std::io::ErrorKind;
    match error {
        ureq::Error::Timeout(_) => "no answer in time".into(),
        ureq::Error::HostNotFound => "its address is not known".into(),
        ureq::Error::BodyExceedsLimit(_) => "the answer was too large".into(),
        ureq::Error::Io(e) => match e.kind() {
            ErrorKind::ConnectionRefused => "it refuses to be connected".into(),
            ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted => {
                "the answer was cut off".into()
            }
            ErrorKind::TimedOut | ErrorKind::WouldBlock => "no answer in time".into(),
            _ => e.to_string(),
        },
        e => e.to_string(),
    }
}

/// The pause that a Retry-After header asks for: seconds, or a date (RFC 9110, 10.2.3).
fn retry_after(header: &str) -> Option<Duration> {
    let header = header.trim();
    if let Ok(seconds) = header.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_secs();
    Some(Duration::from_secs(date(header)?.saturating_sub(now)))
}

/// "Sun, 06 Nov 1994 08:49:37 GMT" in seconds since 1970.
fn date(text: &str) -> Option<u64> {
    let fields: Vec<&str> = text.split([' ', ':']).collect();
    let [_, day, month, year, hour, minute, second, "GMT"] = fields[..] else { return None };
    let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let month = months.iter().position(|m| *m == month)? as u64 + 1;
    let number = |text: &str| text.parse::<u64>().ok().filter(|n| *n < 10_000);
    let year = number(year).filter(|y| *y >= 1970)?;
    // Days since 1970, years being counted from March so that a leap day comes last.
    let (y, m) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + number(day)? - 719_469;
    Some(((days * 24 + number(hour)?) * 60 + number(minute)?) * 60 + number(second)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_are_understood() {
        assert_eq!(retry_after(" 120 "), Some(Duration::from_secs(120)));
        assert_eq!(date("Sun, 06 Nov 1994 08:49:37 GMT"), Some(784_111_777));
        assert_eq!(date("Thu, 01 Jan 1970 00:00:00 GMT"), Some(0));
        assert_eq!(date("Thu, 29 Feb 2024 12:00:00 GMT"), Some(1_709_208_000));
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:49:37 GMT"), Some(Duration::ZERO));
        assert_eq!(retry_after("soon"), None);
    }

    #[test]
    fn a_search_finds_the_song_and_no_other() {
        let entry = |artist: &str, track: &str, text: Option<&str>, instrumental| Entry {
            track_name: Some(track.into()),
            artist_name: Some(artist.into()),
            instrumental,
            plain_lyrics: text.map(String::from),
            synced_lyrics: None,
        };
        let question = Question { way: Way::Search, artist: "Ann".into(), title: "Rain".into() };
        let entries = |with_lyrics: bool| {
            let mut all = vec![
                entry("Ann", "Rain Dance", Some("another song"), false),
                entry("Bob", "Rain", Some("another singer"), false),
                entry("ANN", "Rain (Live)", None, true),
            ];
            if with_lyrics {
                all.push(entry("Ann feat. Cy", "Rain - Remastered 2009", Some("la"), false));
            }
            all
        };
        assert_eq!(best(entries(true), &question), Answer::Found("la".into()));
        assert_eq!(best(entries(false), &question), Answer::Instrumental);
        assert_eq!(best(Vec::new(), &question), Answer::Missing);
    }

    #[test]
    fn an_address_without_a_scheme_is_refused() {
        let error = Api::new("lrclib.net", Duration::from_secs(1)).unwrap_err().to_string();
        assert!(error.contains("https://lrclib.net"), "{error}");
        assert_eq!(Api::new("http://here:1/api/", Duration::from_secs(1)).unwrap().name(), "http://here:1");
    }
}
