//! Reads the Million Song Dataset's HDF5 files: artist, title and year, and nothing else.
//!
//! T. Bertin-Mahieux et al., "The Million Song Dataset" (ISMIR 2011). One file a song, or one with
//! all of them (`msd_summary_file.h5`); both were written by PyTables and hold the same tables.
//! A whole HDF5 library would outweigh this program, so here is the one layout they use, after the
//! HDF5 File Format Specification 1.1: superblock 0, groups as B-trees of symbols, tables as
//! chunked records behind shuffle and deflate. Whatever else is met gets a sentence. Each size read
//! from a file is checked before it is believed.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use flate2::read::ZlibDecoder;

use super::text;
use super::tracks::{Track, plausible_year};
use crate::error::{Error, Result};

/// What an HDF5 file begins with.
pub const SIGNATURE: &[u8; 8] = b"\x89HDF\r\n\x1a\n";
/// Nothing in these files is larger.
const MAX_BLOCK: u64 = 1 << 26;
/// Levels of a tree; a real one has no more than three.
const MAX_DEPTH: u8 = 8;

/// Hands each song of a file to `each`, in order.
///
/// # Errors
/// The file is not such a file (the message says what does not fit), or `each` fails.
pub fn songs(path: &Path, each: &mut dyn FnMut(Track) -> Result<()>) -> Result<()> {
    let fail = |why: &str| {
        Error::Data(format!(
            "{} can't be read as a file of the Million Song Dataset: {why}. Take it out of the folder, or fetch it again.",
            path.display()
        ))
    };
    let mut file = H5 { file: File::open(path).map_err(Error::io(path))?, length: 0, reads: 0 };
    file.length = file.file.metadata().map_err(Error::io(path))?.len();
    let root = file.root().map_err(fail)?;
    let table = file.find(root, "metadata").and_then(|group| file.find(group, "songs")).map_err(fail)?;
    let table = file.table(table).map_err(fail)?;
    let (artist, title) =
        table.column("artist_name").and_then(|a| Ok((a, table.column("title")?))).map_err(fail)?;

    // Files without years are fine, too.
    let mut years = Vec::new();
    let dates = file.find(root, "musicbrainz").and_then(|group| file.find(group, "songs"));
    if let Ok(dates) = dates.and_then(|dates| file.table(dates))
        && let Ok(year) = dates.column("year")
    {
        let mut take = |record: &[u8]| {
            let bytes = record[year.offset..].first_chunk().copied().unwrap_or_default();
            years.push(plausible_year(i32::from_le_bytes(bytes).into()));
            Ok(())
        };
        file.records(&dates, &mut take).map_err(|e| e.told(fail))?;
    }

    let string = |record: &[u8], column: &Column| {
        let bytes = &record[column.offset..column.offset + column.size];
        let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
        text::decode(&bytes[..end]).0
    };
    let mut row = 0;
    let mut hand_on = |record: &[u8]| {
        let year = years.get(row).copied().flatten();
        row += 1;
        each(Track { artist: string(record, &artist), title: string(record, &title), year })
    };
    file.records(&table, &mut hand_on).map_err(|e| e.told(fail))
}

/// What does not fit, in a few words.
type Parsed<T> = std::result::Result<T, &'static str>;

const CUT: &str = "it is cut off";
const DAMAGED: &str = "it is damaged";
const OTHER: &str = "it was written in another layout than the dataset's own files";

/// Hears the key and the address of a leaf.
type Leaf<'a> = dyn FnMut(&[u8], u64) -> std::result::Result<(), Stop> + 'a;

/// What can go wrong while records are handed on.
enum Stop {
    File(&'static str),
    Taker(Error),
}

impl Stop {
    fn told(self, fail: impl Fn(&str) -> Error) -> Error {
        match self {
            Self::File(why) => fail(why),
            Self::Taker(error) => error,
        }
    }
}

impl From<&'static str> for Stop {
    fn from(why: &'static str) -> Self {
        Self::File(why)
    }
}

/// Where a member of a record lies.
#[derive(Debug, Clone)]
struct Column {
    name: String,
    offset: usize,
    size: usize,
}

/// A one-dimensional chunked dataset of records.
#[derive(Debug, Default)]
struct Table {
    rows: u64,
    record: usize,
    columns: Vec<Column>,
    /// Rows of a chunk.
    chunk: u64,
    /// Where the tree of chunks begins.
    tree: u64,
    filters: Vec<u16>,
}

impl Table {
    fn column(&self, name: &str) -> Parsed<Column> {
        self.columns.iter().find(|c| c.name == name).cloned().ok_or("it has no column artist_name or title")
    }
}

struct H5 {
    file: File,
    length: u64,
    /// How often something was read.
    reads: u64,
}

/// A little-endian number of `N` bytes.
fn number<const N: usize>(bytes: &[u8], at: usize) -> Parsed<u64> {
    let bytes: &[u8; N] = bytes.get(at..).and_then(<[u8]>::first_chunk).ok_or(CUT)?;
    Ok(bytes.iter().rev().fold(0, |n, b| n << 8 | u64::from(*b)))
}

impl H5 {
    fn at(&mut self, place: u64, length: u64) -> Parsed<Vec<u8>> {
        // More reads than there can be things to read: the file goes round in circles.
        self.reads += 1;
        if self.reads > 1000 + self.length / 16 {
            return Err(DAMAGED);
        }
        if length > MAX_BLOCK || place.checked_add(length).is_none_or(|end| end > self.length) {
            return Err(CUT);
        }
        let mut bytes = vec![0; length as usize];
        self.file
            .seek(SeekFrom::Start(place))
            .and_then(|_| self.file.read_exact(&mut bytes))
            .map_err(|_| CUT)?;
        Ok(bytes)
    }

    /// The root group's header.
    fn root(&mut self) -> Parsed<u64> {
        let head = self.at(0, 96.min(self.length))?;
        if !head.starts_with(SIGNATURE) {
            return Err("it is no HDF5 file");
        }
        match head.get(8..16) {
            Some([0, _, _, _, _, 8, 8, _]) => number::<8>(&head, 64),
            Some(_) => Err(OTHER),
            None => Err(CUT),
        }
    }

    /// The messages of an object's header: type and body.
    fn messages(&mut self, header: u64) -> Parsed<Vec<(u64, Vec<u8>)>> {
        let head = self.at(header, 16)?;
        if head[0] != 1 {
            return Err(OTHER);
        }
        let mut blocks = vec![(header + 16, number::<4>(&head, 8)?)];
        let mut messages = Vec::new();
        let mut next = 0;
        while let Some(&(place, length)) = blocks.get(next) {
            next += 1;
            let block = self.at(place, length)?;
            let mut at = 0;
            while at + 8 <= block.len() {
                let (kind, size) = (number::<2>(&block, at)?, number::<2>(&block, at + 2)? as usize);
                let body = block.get(at + 8..at + 8 + size).ok_or(DAMAGED)?.to_vec();
                at += 8 + size;
                if kind == 0x10 {
                    blocks.push((number::<8>(&body, 0)?, number::<8>(&body, 8)?));
                }
                messages.push((kind, body));
            }
            // A header that goes on and on is a circle.
            if blocks.len() > 64 {
                return Err(DAMAGED);
            }
        }
        Ok(messages)
    }

    /// The header of what goes by that name in a group.
    fn find(&mut self, group: u64, name: &str) -> Parsed<u64> {
        let messages = self.messages(group)?;
        let (_, table) = messages.iter().find(|(kind, _)| *kind == 0x11).ok_or(OTHER)?;
        let (tree, heap) = (number::<8>(table, 0)?, number::<8>(table, 8)?);
        let heap = self.at(heap, 32)?;
        let names = self.at(number::<8>(&heap, 24)?, number::<8>(&heap, 8)?)?;
        let mut leaves = Vec::new();
        self.leaves(tree, 0, MAX_DEPTH, &mut |_, child| {
            leaves.push(child);
            Ok(())
        })
        .map_err(|stop| if let Stop::File(why) = stop { why } else { DAMAGED })?;
        for leaf in leaves {
            let count = number::<2>(&self.at(leaf, 8)?, 6)?;
            let symbols = self.at(leaf + 8, count * 40)?;
            for symbol in symbols.chunks_exact(40) {
                let called = names.get(number::<8>(symbol, 0)? as usize..).ok_or(DAMAGED)?;
                if called.split(|b| *b == 0).next() == Some(name.as_bytes()) {
                    return number::<8>(symbol, 8);
                }
            }
        }
        Err("it has no table /metadata/songs")
    }

    /// Walks a B-tree (version 1): `each` gets the key before and the address of each leaf entry.
    /// `dims` is 0 in a tree of names, else the number of offsets in a key of a tree of chunks.
    fn leaves(
        &mut self,
        node: u64,
        dims: usize,
        depth: u8,
        each: &mut Leaf<'_>,
    ) -> std::result::Result<(), Stop> {
        let head = self.at(node, 24)?;
        if !head.starts_with(b"TREE") || depth == 0 {
            return Err(DAMAGED.into());
        }
        let (level, entries) = (head[5], number::<2>(&head, 6)?);
        let key = if dims == 0 { 8 } else { 8 + 8 * dims };
        let body = self.at(node + 24, entries * (key as u64 + 8))?;
        for entry in body.chunks_exact(key + 8) {
            let child = number::<8>(entry, key)?;
            if level == 0 {
                each(&entry[..key], child)?;
            } else {
                self.leaves(child, dims, depth - 1, each)?;
            }
        }
        Ok(())
    }

    fn table(&mut self, header: u64) -> Parsed<Table> {
        let mut table = Table::default();
        for (kind, body) in self.messages(header)? {
            match kind {
                // Dataspace: one dimension.
                0x1 => match (body.first(), body.get(1)) {
                    (Some(1), Some(1)) => table.rows = number::<8>(&body, 8)?,
                    _ => return Err(OTHER),
                },
                // Datatype: records, version 1.
                0x3 => {
                    if body.first() != Some(&0x16) {
                        return Err(OTHER);
                    }
                    table.record = number::<4>(&body, 4)? as usize;
                    table.columns = columns(&body, table.record)?;
                }
                // Layout, version 3, chunked: dimensions, tree, rows of a chunk.
                0x8 => {
                    if body.get(..3) != Some(&[3, 2, 2]) {
                        return Err(OTHER);
                    }
                    (table.tree, table.chunk) = (number::<8>(&body, 3)?, number::<4>(&body, 11)?);
                }
                0xb => table.filters = filters(&body)?,
                _ => {}
            }
        }
        let bytes = table.chunk.saturating_mul(table.record as u64);
        if bytes == 0 || bytes > MAX_BLOCK { Err(OTHER) } else { Ok(table) }
    }

    /// Hands on each record of a table.
    fn records(
        &mut self,
        table: &Table,
        each: &mut dyn FnMut(&[u8]) -> Result<()>,
    ) -> std::result::Result<(), Stop> {
        if table.rows == 0 {
            return Ok(());
        }
        // The addresses come first, 24 bytes a chunk, since the walk and the reading share a file.
        let mut chunks = Vec::new();
        self.leaves(table.tree, 2, MAX_DEPTH, &mut |key, place| {
            let (size, skipped) = (number::<4>(key, 0)?, number::<4>(key, 4)?);
            chunks.push((number::<8>(key, 8)?, place, size, skipped));
            Ok(())
        })?;
        chunks.sort_unstable();
        let mut row = 0;
        for (first, place, size, skipped) in chunks {
            // A hole would put each later song's year to another song.
            if first != row {
                return Err(DAMAGED.into());
            }
            let packed = self.at(place, size)?;
            let chunk = unpack(packed, table, skipped)?;
            for record in chunk.chunks_exact(table.record).take((table.rows - row).min(table.chunk) as usize)
            {
                each(record).map_err(Stop::Taker)?;
                row += 1;
            }
            if row == table.rows {
                return Ok(());
            }
        }
        Err(DAMAGED.into())
    }
}

/// The members of a record type, version 1.
fn columns(body: &[u8], record: usize) -> Parsed<Vec<Column>> {
    let count = number::<2>(body, 1)?;
    let mut columns = Vec::new();
    let mut at = 8;
    for _ in 0..count {
        let name = body.get(at..).and_then(|rest| rest.split(|b| *b == 0).next()).ok_or(DAMAGED)?;
        at += (name.len() + 1).next_multiple_of(8);
        let name = String::from_utf8_lossy(name).into_owned();
        let offset = number::<4>(body, at)? as usize;
        at += 32;
        let class = body.get(at).ok_or(DAMAGED)? & 0xf;
        let size = number::<4>(body, at + 4)? as usize;
        // How much follows the type's head: integers 4 bytes, floats 12, strings none.
        at += 8 + match class {
            0 => 4,
            1 => 12,
            3 => 0,
            _ => return Err(OTHER),
        };
        if offset.checked_add(size).is_none_or(|end| end > record) {
            return Err(DAMAGED);
        }
        columns.push(Column { name, offset, size });
    }
    Ok(columns)
}

/// The filters of a pipeline, version 1, in the order of writing.
fn filters(body: &[u8]) -> Parsed<Vec<u16>> {
    if body.first() != Some(&1) {
        return Err(OTHER);
    }
    let mut filters = Vec::new();
    let mut at = 8;
    for _ in 0..*body.get(1).ok_or(CUT)? {
        filters.push(number::<2>(body, at)? as u16);
        let (name, values) = (number::<2>(body, at + 2)? as usize, number::<2>(body, at + 6)? as usize);
        at += 8 + name.next_multiple_of(8) + 4 * values.next_multiple_of(2);
    }
    Ok(filters)
}

/// Undoes the filters, the last one first; bits of `skipped` name those that were left out.
fn unpack(mut bytes: Vec<u8>, table: &Table, skipped: u64) -> Parsed<Vec<u8>> {
    let whole = table.chunk as usize * table.record;
    for (i, filter) in table.filters.iter().enumerate().rev() {
        if skipped >> i & 1 == 1 {
            continue;
        }
        bytes = match filter {
            1 => {
                let mut plain = Vec::new();
                let unpacked = ZlibDecoder::new(&bytes[..]).take(whole as u64 + 4).read_to_end(&mut plain);
                unpacked.map_err(|_| DAMAGED)?;
                plain
            }
            2 => {
                let rows = bytes.len() / table.record;
                (0..rows * table.record).map(|i| bytes[i % table.record * rows + i / table.record]).collect()
            }
            // Fletcher32: four bytes behind the data, which deflate's own sum already guards.
            3 => bytes[..bytes.len().saturating_sub(4)].to_vec(),
            _ => return Err("it is packed with something other than zlib"),
        };
    }
    if bytes.len() == whole { Ok(bytes) } else { Err(DAMAGED) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SONG: &[u8] = include_bytes!("../../../tests/fixtures/song.h5");

    fn read(content: &[u8]) -> Result<Vec<Track>> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("song.h5");
        std::fs::write(&path, content).unwrap();
        let mut tracks = Vec::new();
        songs(&path, &mut |track| {
            tracks.push(track);
            Ok(())
        })?;
        Ok(tracks)
    }

    #[test]
    fn what_pytables_wrote_is_read() {
        let tracks = read(SONG).unwrap();
        let expected = |i: usize| {
            let artist = if i == 0 { "The Caf\u{e9} Tables".to_string() } else { format!("Artist {i}") };
            let title = if i == 0 { "Windows in the Rain".to_string() } else { format!("Song {i}") };
            Track { artist, title, year: i.is_multiple_of(2).then(|| 1987 + i as u16) }
        };
        assert_eq!(tracks, (0..30).map(expected).collect::<Vec<_>>());
    }

    #[test]
    fn whatever_else_is_refused_without_a_panic() {
        for (content, says) in [
            (&b"This is no HDF5 file."[..], "no HDF5 file"),
            (b"", "no HDF5 file"),
            (SIGNATURE, "cut off"),
            (&SONG[..SONG.len() / 2], "cut off"),
        ] {
            let error = read(content).unwrap_err().to_string();
            assert!(error.contains("song.h5 can't be read") && error.contains(says), "{error}");
        }
        // Each eighth byte in turn, made as large as can be: an answer or a sentence, no panic, and
        // no more memory than a block takes.
        let mut refused = 0;
        for at in (0..SONG.len()).step_by(8) {
            let mut bytes = SONG.to_vec();
            bytes[at] = !bytes[at];
            refused += usize::from(read(&bytes).is_err());
        }
        assert!(refused > 20, "{refused}");
    }
}
