//! Lines and CSV rows of any number, one at a time, each of bounded length.
//!
//! The `csv` crate forgives: a quotation mark that is never closed makes it take the rest of the
//! file, however long, for one field. A track list is typed and pasted by people, so here such a
//! slip is found and its row named, and no row is held that is longer than [`MAX_ROW`].

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use super::text;
use crate::error::{Error, Result};

/// Longest row, in bytes.
pub const MAX_ROW: usize = 1 << 20;

/// Reads a text file line by line.
#[derive(Debug)]
pub struct Lines {
    name: String,
    reader: BufReader<File>,
    /// Number of the line that was read last, from 1 on.
    number: u64,
    line: Vec<u8>,
}

impl Lines {
    /// Opens a file.
    ///
    /// # Errors
    /// The file system refuses.
    pub fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(Error::io(path))?;
        let reader = BufReader::with_capacity(1 << 16, file);
        Ok(Self { name: path.display().to_string(), reader, number: 0, line: Vec::new() })
    }

    /// The next line's bytes without its end; none behind the last.
    fn bytes(&mut self) -> Result<Option<&[u8]>> {
        self.line.clear();
        self.number += 1;
        loop {
            let name = &self.name;
            let read = self.reader.fill_buf().map_err(Error::io(name))?;
            if read.is_empty() {
                return Ok((!self.line.is_empty()).then_some(&self.line));
            }
            let end = read.iter().position(|b| *b == b'\n');
            let taken = end.unwrap_or(read.len());
            if self.line.len() + taken > MAX_ROW {
                return Err(self.fail("it is longer than 1 MB, so this can't be a list of tracks"));
            }
            self.line.extend_from_slice(&read[..taken]);
            self.reader.consume(end.map_or(taken, |end| end + 1));
            if end.is_some() {
                if self.line.last() == Some(&b'\r') {
                    self.line.pop();
                }
                return Ok(Some(&self.line));
            }
        }
    }

    /// The next line as text, its encoding repaired if need be.
    ///
    /// # Errors
    /// The line is too long, or the file system refuses.
    pub fn line(&mut self) -> Result<Option<String>> {
        Ok(self.bytes()?.map(|line| text::decode(line).0))
    }

    /// Says what is wrong with the line that was read last.
    pub fn fail(&self, why: &str) -> Error {
        Error::Data(format!("{}, row {}: {why}.", self.name, self.number))
    }
}

/// Reads a CSV file row by row: fields parted by commas, quoted where they hold commas, newlines
/// or (doubled) quotation marks, as RFC 4180 has it.
#[derive(Debug)]
pub struct Rows {
    lines: Lines,
    /// The line that the row began on.
    row: u64,
}

impl Rows {
    /// Opens a file.
    ///
    /// # Errors
    /// The file system refuses.
    pub fn open(path: &Path) -> Result<Self> {
        Ok(Self { lines: Lines::open(path)?, row: 0 })
    }

    /// The next row's fields; none behind the last. Blank lines are passed over.
    ///
    /// # Errors
    /// The row is too long, or a quotation mark in it has no partner; the message names the row.
    pub fn row(&mut self) -> Result<Option<Vec<String>>> {
        let (mut row, mut open) = (Vec::new(), false);
        loop {
            let Some(line) = self.lines.bytes()? else {
                return if row.is_empty() { Ok(None) } else { Err(self.fail(UNCLOSED)) };
            };
            if row.is_empty() && line.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            let goes_on = !row.is_empty();
            if goes_on {
                row.push(b'\n');
            }
            row.extend_from_slice(line);
            // Quotation marks come in pairs, the doubled ones too, so an odd one out means that the
            // row goes on.
            open ^= line.iter().filter(|b| **b == b'"').count() % 2 == 1;
            if !goes_on {
                self.row = self.lines.number;
            }
            if row.len() > MAX_ROW {
                return Err(self.fail(UNCLOSED));
            }
            if !open {
                break;
            }
        }
        let row = text::decode(&row).0;
        let row = if self.row == 1 { row.trim_start_matches('\u{feff}') } else { &row };
        fields(row).map(Some).ok_or_else(|| self.fail(UNCLOSED))
    }

    /// Says what is wrong with the row that was read last.
    pub fn fail(&self, why: &str) -> Error {
        Error::Data(format!("{}, row {}: {why}.", self.lines.name, self.row))
    }
}

const UNCLOSED: &str = "a quotation mark has no partner; fields with commas or quotation marks in them stand in \"...\", and quotation marks inside are doubled";

/// Cuts a row into its fields; none if a quotation mark stands where none may.
fn fields(row: &str) -> Option<Vec<String>> {
    let mut fields = Vec::new();
    let mut rest = row;
    loop {
        let mut field = String::new();
        if let Some(quoted) = rest.strip_prefix('"') {
            rest = quoted;
            loop {
                let (inside, behind) = rest.split_once('"')?;
                field.push_str(inside);
                rest = behind;
                let Some(doubled) = rest.strip_prefix('"') else { break };
                field.push('"');
                rest = doubled;
            }
        } else {
            let end = rest.find(',').unwrap_or(rest.len());
            field.push_str(&rest[..end]);
            rest = &rest[end..];
            if field.contains('"') {
                return None;
            }
        }
        fields.push(field);
        if rest.is_empty() {
            return Some(fields);
        }
        rest = rest.strip_prefix(',')?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(content: &[u8]) -> Result<Vec<Vec<String>>> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("list.csv");
        std::fs::write(&path, content).unwrap();
        let mut rows = Rows::open(&path)?;
        let mut all = Vec::new();
        while let Some(row) = rows.row()? {
            all.push(row);
        }
        Ok(all)
    }

    #[test]
    fn rows_are_read_as_the_csv_crate_reads_them() {
        let content =
            "\u{feff}artist,title\r\n\"Ann, and Bob\",\"say \"\"oh\"\"\"\n\n,x\nlast,\"two\nlines\"";
        let ours = read(content.as_bytes()).unwrap();
        let mut theirs = csv::ReaderBuilder::new()
            .has_headers(false)
            .from_reader(content.trim_start_matches('\u{feff}').as_bytes());
        let theirs: Vec<Vec<String>> =
            theirs.records().map(|r| r.unwrap().iter().map(String::from).collect()).collect();
        assert_eq!(ours, theirs);
        assert_eq!(ours.len(), 4);
    }

    #[test]
    fn a_quotation_mark_without_partner_is_named_with_its_row() {
        for (content, row) in [
            ("a,b\nc,d\n\"e,f\ng,h\n", 3),
            ("a,b\nc,5\" of snow\n\n", 2),
            ("a,b\nc,\"d\"e\n", 2),
            ("a,b\nc,d\"\"\n", 2),
        ] {
            let error = read(content.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(&format!("list.csv, row {row}: a quotation mark")), "{error}");
        }
    }

    #[test]
    fn no_row_is_held_that_is_too_long() {
        let long = [b"a,b\n".as_slice(), &vec![b'x'; MAX_ROW + 1]].concat();
        assert!(read(&long).unwrap_err().to_string().contains("list.csv, row 2: it is longer than 1 MB"));
        // Short lines, but one open quotation mark in front of them all.
        let open = [b"a,b\n\"".as_slice(), &b"c,d\n".repeat(MAX_ROW / 2)].concat();
        assert!(read(&open).unwrap_err().to_string().contains("row 2: a quotation mark"));
    }
}
