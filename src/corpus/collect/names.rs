//! Artists and titles as LRCLIB compares them, and the shorter forms of a title worth asking for.

/// Brings a name to the form that LRCLIB looks up: lower case, no accents, punctuation taken for
/// spaces, apostrophes left out, single spaces.
pub fn normalise(name: &str) -> String {
    let plain = secular::lower_lay_string(name).to_lowercase();
    let mut out = String::with_capacity(plain.len());
    for c in plain.chars() {
        match c {
            '\'' | '\u{2019}' => {}
            c if c.is_whitespace() || "`~!@#$%^&*()_|+-=?;:\",.<>{}[]\\/".contains(c) => {
                if !out.is_empty() && !out.ends_with(' ') {
                    out.push(' ');
                }
            }
            c => out.push(c),
        }
    }
    out.truncate(out.trim_end().len());
    out
}

/// Artist and title as given, then without guests, without what tells editions apart, without what
/// tells versions apart, and by the first of several artists; forms that come to the same are
/// named once.
pub fn variants(artist: &str, title: &str) -> Vec<(String, String)> {
    let mut forms = vec![(artist.trim().to_string(), title.trim().to_string())];
    let mut push = |form: (String, String)| {
        let key = |(a, t): &(String, String)| (normalise(a), normalise(t));
        let known = forms.iter().any(|f| key(f) == key(&form));
        if !known && !normalise(&form.0).is_empty() && !normalise(&form.1).is_empty() {
            forms.push(form);
        }
    };
    let alone = before_guest(artist);
    let title = without(&before_guest(title), is_guest);
    push((alone.clone(), title.clone()));
    let title = without(&title, is_edition);
    push((alone.clone(), title.clone()));
    let title = without(&title, is_version);
    push((alone.clone(), title.clone()));
    let first = alone.split([';', '/']).next().unwrap_or(&alone).trim().to_string();
    push((first, title));
    forms
}

/// Artist and title without anything that may differ between two entries of the same song.
pub fn bare(artist: &str, title: &str) -> (String, String) {
    let forms = variants(artist, title);
    let (artist, title) = &forms[forms.len() - 1];
    (normalise(artist), normalise(title))
}

/// "(feat. Ann)", "[ft. Ann]", "(with Ann)".
fn is_guest(remark: &str) -> bool {
    ["feat.", "feat ", "ft.", "ft ", "featuring ", "with "].iter().any(|start| remark.starts_with(start))
}

/// "Remastered 2009", "2003 Digital Remaster".
fn is_edition(remark: &str) -> bool {
    remark.contains("remaster")
}

/// "Live", "Live at the Harbour", "Album Version", "Radio Edit", "Demo".
fn is_version(remark: &str) -> bool {
    let words = || remark.split(|c: char| !c.is_alphanumeric()).filter(|w| !w.is_empty());
    words().next() == Some("live")
        || words().next_back().is_some_and(|last| {
            ["version", "edit", "live", "demo", "mono", "stereo", "explicit", "acoustic", "single"]
                .contains(&last)
        })
        || remark.starts_with("bonus")
}

/// Leaves out remarks of a kind: in brackets, or behind the last " - ".
fn without(title: &str, kind: fn(&str) -> bool) -> String {
    let mut title = title.to_string();
    for (open, close) in [('(', ')'), ('[', ']')] {
        let mut from = 0;
        while let Some(start) = title[from..].find(open).map(|i| i + from) {
            let Some(end) = title[start..].find(close).map(|i| i + start) else { break };
            if kind(title[start + 1..end].trim().to_lowercase().as_str()) {
                title.replace_range(start..=end, " ");
            }
            from = start + 1;
        }
    }
    if let Some((song, remark)) = title.rsplit_once(" - ")
        && kind(remark.trim().to_lowercase().as_str())
    {
        title.truncate(song.len());
    }
    title.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Cuts off " feat. Ann", which stands without brackets at the end.
fn before_guest(name: &str) -> String {
    // ASCII alone is folded, so that places in the folded name are places in the name.
    let folded = name.to_ascii_lowercase();
    let guest =
        [" feat. ", " feat ", " ft. ", " ft ", " featuring "].iter().filter_map(|m| folded.find(m)).min();
    match guest {
        Some(at) if !name[..at].trim().is_empty() => name[..at].trim().to_string(),
        _ => name.trim().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_compared_as_the_service_does() {
        for (name, normal) in [
            ("Don't  Stop (Me) Now!", "dont stop me now"),
            ("BEYONC\u{c9}", "beyonce"),
            ("AC/DC", "ac dc"),
            ("Simon & Garfunkel", "simon garfunkel"),
            ("  It\u{2019}s-A \"Test\" ", "its a test"),
            ("?!", ""),
        ] {
            assert_eq!(normalise(name), normal);
        }
    }

    #[test]
    fn shorter_forms_are_tried_in_order() {
        let titles = |artist: &str, title: &str| -> Vec<String> {
            variants(artist, title).into_iter().map(|(a, t)| format!("{a} / {t}")).collect()
        };
        assert_eq!(titles("Ann", "Rain"), ["Ann / Rain"]);
        assert_eq!(
            titles("Ann feat. Bob", "Rain (feat. Bob) (2009 Remaster) [Live at Home]"),
            [
                "Ann feat. Bob / Rain (feat. Bob) (2009 Remaster) [Live at Home]",
                "Ann / Rain (2009 Remaster) [Live at Home]",
                "Ann / Rain [Live at Home]",
                "Ann / Rain",
            ]
        );
        assert_eq!(titles("Ann", "Rain - Remastered 2011"), ["Ann / Rain - Remastered 2011", "Ann / Rain"]);
        assert_eq!(titles("Ann; Bob", "Rain"), ["Ann; Bob / Rain", "Ann / Rain"]);
        assert_eq!(titles("Ann", "Rain (Album Version)")[1], "Ann / Rain");
        // Words that only look like it stay.
        assert_eq!(titles("Ann", "Live and Let Go"), ["Ann / Live and Let Go"]);
        assert_eq!(titles("Ann", "Olive (I Live)"), ["Ann / Olive (I Live)", "Ann / Olive"]);
        assert_eq!(titles("feat. Ann", "(Live)").len(), 1);
        assert_eq!(bare("Ann ft. Bob", "R\u{e4}in (Live)"), ("ann".into(), "rain".into()));
    }
}
