//! Lyrics as people sing them: without time stamps, section marks, credits and broken letters.

use super::text::undo_double_encoding;

/// Words that name a part of a song.
const SECTIONS: [&str; 22] = [
    "bridge",
    "breakdown",
    "chorus",
    "coda",
    "ending",
    "fade",
    "guitar",
    "hook",
    "instrumental",
    "interlude",
    "intro",
    "outro",
    "postchorus",
    "prechorus",
    "prehook",
    "refrain",
    "repeat",
    "solo",
    "spoken",
    "vamp",
    "verse",
    "verses",
];
/// What a line of credits has before its colon.
const ROLES: [&str; 21] = [
    "album",
    "arranged by",
    "arranger",
    "artist",
    "composed by",
    "composer",
    "lyricist",
    "lyrics",
    "lyrics by",
    "music",
    "music by",
    "performed by",
    "produced by",
    "producer",
    "singer",
    "song",
    "title",
    "words",
    "writer",
    "writers",
    "written by",
];
/// The same in Chinese and Japanese; many files with time stamps begin with them.
const ROLES_EAST: [&str; 6] = [
    "\u{4f5c}\u{8bcd}",
    "\u{4f5c}\u{8a5e}",
    "\u{4f5c}\u{66f2}",
    "\u{7f16}\u{66f2}",
    "\u{7de8}\u{66f2}",
    "\u{8bcd}",
];
/// How a line of credits begins that needs no colon.
const CREDITS: [&str; 9] = [
    "lyrics by ",
    "words by ",
    "music by ",
    "written by ",
    "composed by ",
    "produced by ",
    "transcribed by ",
    "submitted by ",
    "lyrics provided by ",
];
/// Lines at either end of a song that may be credits; in its midst the same words are sung.
const EDGE: usize = 4;

/// Cleaned lyrics.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cleaned {
    /// Lines, stanzas parted by one blank line.
    pub text: String,
    /// Letters were broken by a wrong encoding and are whole again.
    pub repaired: bool,
}

/// Cleans lyrics.
pub fn clean(lyrics: &str) -> Cleaned {
    let mut repaired = false;
    let lines: Vec<String> = lyrics
        .lines()
        .map(|line| match undo_double_encoding(line) {
            Some(whole) => {
                repaired = true;
                plain(&whole)
            }
            None => plain(line),
        })
        .filter(|line| !is_tag(line))
        .map(|line| without_stamps(&line))
        .collect();
    let sung: Vec<usize> = (0..lines.len()).filter(|i| !lines[*i].is_empty()).collect();
    let mut text = String::new();
    let mut gap = false;
    let mut place = 0;
    for line in &lines {
        let at_edge = place < EDGE || place + EDGE >= sung.len();
        place += usize::from(!line.is_empty());
        if line.is_empty() || is_section(line) {
            gap = true;
        } else if !(is_notice(line) || at_edge && is_credit(line)) {
            let line = without_count(line);
            if !line.chars().any(char::is_alphanumeric) {
                continue;
            }
            if !text.is_empty() {
                text.push_str(if gap { "\n\n" } else { "\n" });
            }
            gap = false;
            text.push_str(line);
        }
    }
    Cleaned { text, repaired }
}

/// One sign for each thing: straight quotation marks, plain spaces, no invisible signs, entities of
/// HTML resolved.
fn plain(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    for c in line.chars() {
        match c {
            '\u{2018}' | '\u{2019}' | '\u{201b}' | '\u{2b9}' | '\u{2bc}' | '`' | '\u{b4}' => out.push('\''),
            '\u{201c}' | '\u{201d}' | '\u{201e}' | '\u{ab}' | '\u{bb}' => out.push('"'),
            '\u{2010}' | '\u{2011}' | '\u{2012}' => out.push('-'),
            '\u{2026}' => out.push_str("..."),
            '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}' => {}
            c if c.is_whitespace() || c.is_control() => {
                if !out.ends_with(' ') {
                    out.push(' ');
                }
            }
            c => out.push(c),
        }
    }
    if out.contains('&') {
        // The ampersand last, or it would make entities out of what was none.
        let entities = [
            ("&#39;", "'"),
            ("&#039;", "'"),
            ("&apos;", "'"),
            ("&quot;", "\""),
            ("&lt;", "<"),
            ("&gt;", ">"),
            ("&nbsp;", " "),
            ("&amp;", "&"),
        ];
        for (entity, sign) in entities {
            out = out.replace(entity, sign);
        }
    }
    out.trim().to_string()
}

/// "[ar: Ann]", "[length: 03:15]": what a file with time stamps says of itself.
fn is_tag(line: &str) -> bool {
    let tag = line.strip_prefix('[').and_then(|rest| rest.split_once(':')).map(|(tag, _)| tag.trim());
    tag.is_some_and(|tag| {
        [
            "al", "ar", "au", "by", "encoding", "id", "la", "length", "lr", "offset", "re", "ti", "tool",
            "ve", "#",
        ]
        .contains(&tag.to_ascii_lowercase().as_str())
    })
}

/// Takes out "[01:02.34]" and "<01:02.34>", wherever they stand.
fn without_stamps(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(start) = rest.find(['[', '<']) {
        let close = if rest[start..].starts_with('[') { ']' } else { '>' };
        let stamp = rest[start + 1..].find(close).map(|i| &rest[start + 1..start + 1 + i]);
        match stamp.filter(|s| is_time(s)) {
            Some(stamp) => {
                out.push_str(&rest[..start]);
                rest = &rest[start + stamp.len() + 2..];
            }
            None => {
                out.push_str(&rest[..=start]);
                rest = &rest[start + 1..];
            }
        }
    }
    out.push_str(rest);
    out.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn is_time(text: &str) -> bool {
    text.contains(':')
        && text.starts_with(|c: char| c.is_ascii_digit())
        && text.chars().all(|c| c.is_ascii_digit() || ":.,".contains(c))
}

/// "[Verse 1: Ann]", "(Chorus x2)", "Bridge:", "Repeat chorus".
fn is_section(line: &str) -> bool {
    // Nobody sings square brackets.
    if line.starts_with('[') && line.ends_with(']') {
        return true;
    }
    let inside = line.strip_prefix('(').and_then(|l| l.strip_suffix(')'));
    let words: Vec<String> = inside
        .unwrap_or(line)
        .split(|c: char| !c.is_alphanumeric() && c != '-')
        .filter(|w| !w.is_empty())
        .map(|w| w.to_lowercase().replace('-', ""))
        .collect();
    let Some((first, rest)) = words.split_first() else { return false };
    let named = |word: &String| SECTIONS.contains(&word.as_str());
    let numbered = |word: &String| {
        word.trim_matches('x').chars().all(|c| c.is_ascii_digit())
            || ["i", "ii", "iii", "iv", "v", "a", "b", "out", "times", "twice"].contains(&word.as_str())
    };
    if first == "pre" || first == "post" {
        return rest.first().is_some_and(named) && rest.len() < 4;
    }
    named(first)
        && (inside.is_some()
            || line.ends_with(':') && words.len() < 5
            || rest.iter().all(|w| named(w) || numbered(w)))
}

/// "Lyrics: Ann", "Written by Ann and Bob".
fn is_credit(line: &str) -> bool {
    let line = line.trim_start_matches(['(', '*', '-', ' ']).to_lowercase();
    let role = line.split_once([':', '\u{ff1a}']).map(|(role, _)| role.trim());
    role.is_some_and(|role| ROLES.contains(&role) || ROLES_EAST.contains(&role))
        || CREDITS.iter().any(|start| line.starts_with(start))
}

/// Addresses and notices of copyright, which stand anywhere.
fn is_notice(line: &str) -> bool {
    let line = line.to_lowercase();
    ["http://", "https://", "www.", "\u{a9}", "all rights reserved", "copyright (c)", "lyrics powered by"]
        .iter()
        .any(|mark| line.contains(mark))
}

/// "Sing it again (x2)" without what tells how often.
fn without_count(line: &str) -> &str {
    let Some((song, last)) = line.rsplit_once(' ') else { return line };
    let count = last.trim_matches(['(', ')', '[', ']']).to_ascii_lowercase();
    let digits = count.strip_prefix('x').or_else(|| count.strip_suffix('x'));
    match digits {
        Some(digits) if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) => song.trim_end(),
        _ => line,
    }
}

/// The parts to learn from that the first Neural Songwriter was trained on: stanzas of up to so many
/// lines, longer ones cut, each one once.
pub fn short_stanzas(text: &str, lines: usize) -> Vec<String> {
    let mut seen = std::collections::HashSet::new();
    text.split("\n\n")
        .flat_map(|stanza| {
            let all: Vec<&str> = stanza.lines().collect();
            all.chunks(lines.max(1)).map(|part| part.join("\n")).collect::<Vec<_>>()
        })
        .filter(|part| seen.insert(part.clone()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cleaned(lyrics: &str) -> String {
        clean(lyrics).text
    }

    #[test]
    fn time_stamps_go_and_their_gaps_part_stanzas() {
        let lrc = "[ar: Ann]\n[length: 02:10]\n[00:01.20]The river [00:02.00]ran\n[00:03.00]<00:03.10>and <00:03.50>ran away\n[00:05.00]\n[00:09.00][01:09.00]I [really] stayed";
        assert_eq!(cleaned(lrc), "The river ran\nand ran away\n\nI [really] stayed");
    }

    #[test]
    fn section_marks_part_stanzas() {
        let marked = "[Verse 1: Ann]\nThe lamp is low\n(Chorus x2)\nOh turn it up (x2)\nBridge:\nThe hook of the moon\nPre-Chorus 2\nA chorus of crows\nRepeat chorus\nSolo\nlast line 3x\n- - -";
        assert_eq!(
            cleaned(marked),
            "The lamp is low\n\nOh turn it up\n\nThe hook of the moon\n\nA chorus of crows\n\nlast line"
        );
    }

    #[test]
    fn credits_go_from_the_edges_and_lines_like_them_stay_within() {
        let song = "Lyrics: Ann\n\u{4f5c}\u{66f2} : Bob\none\ntwo\nthree\nfour\nWritten by the wind\nfive\nsix\nseven\neight\nnine\nSubmitted by Cy\nwww.example.org/lyrics";
        assert_eq!(
            cleaned(song),
            "one\ntwo\nthree\nfour\nWritten by the wind\nfive\nsix\nseven\neight\nnine"
        );
    }

    #[test]
    fn letters_are_whole_again() {
        let broken = "I don\u{e2}\u{20ac}\u{2122}t know the caf\u{c3}\u{a9}\r\n&quot;Rock &amp; roll&quot;\u{a0}\u{200b}now\u{2026}";
        let cleaned = clean(broken);
        assert_eq!(cleaned.text, "I don't know the caf\u{e9}\n\"Rock & roll\" now...");
        assert!(cleaned.repaired && !clean("I don\u{2019}t know").repaired);
    }

    #[test]
    fn clean_text_stays_as_it_is() {
        let song = "The river ran\nand ran away\n\nI stayed, (oh) I stayed";
        assert_eq!(cleaned(song), song);
        assert_eq!(cleaned(&cleaned(song)), song);
        assert_eq!(cleaned("[Instrumental]\n\n"), "");
    }

    #[test]
    fn stanzas_are_cut_to_length() {
        let song = "a\nb\nc\nd\n\ne\n\na\nb\nc";
        assert_eq!(short_stanzas(song, 3), ["a\nb\nc", "d", "e"]);
        assert_eq!(short_stanzas(song, 2), ["a\nb", "c\nd", "e", "c"]);
    }
}
