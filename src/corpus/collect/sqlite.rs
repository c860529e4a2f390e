//! SQLite files that belong to others: looked at before they are opened, never written to.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use crate::error::{Error, Result};

/// What an SQLite file begins with.
pub const SIGNATURE: &[u8; 16] = b"SQLite format 3\0";

/// Opens a database for reading only.
///
/// A file that was cut off in a download opens well and fails somewhere in the middle, so its
/// length is compared first with the one that its header tells (SQLite File Format, section 1.3).
///
/// # Errors
/// The file is missing, is no SQLite database, or is shorter than it says.
pub fn open_read_only(path: &Path) -> Result<Connection> {
    let name = path.display();
    let mut head = Vec::new();
    let file = File::open(path).map_err(Error::io(path))?;
    let length = file.metadata().map_err(Error::io(path))?.len();
    file.take(100).read_to_end(&mut head).map_err(Error::io(path))?;
    if !head.starts_with(SIGNATURE) {
        return Err(Error::Data(format!("{name} is no SQLite database.")));
    }
    let number = |at: usize| head.get(at..at + 4).map(|b| b.iter().fold(0u64, |n, b| n << 8 | u64::from(*b)));
    let page = match number(14).unwrap_or_default() & 0xffff {
        1 => 65_536,
        size => size,
    };
    // The length counts where the two change counters agree; old writers left it alone.
    let told = if number(24) == number(92) { number(28).unwrap_or_default() * page } else { 0 };
    if head.len() < 100 || length < told {
        return Err(Error::Data(format!(
            "{name} is cut off: it has {length} bytes of {told}. Fetch it again."
        )));
    }
    let mut flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut uri = path.as_os_str().to_os_string();
    // Without a log beside it nobody is writing, and then it may lie where locks can't be taken.
    if !Path::new(&format!("{name}-wal")).exists() {
        flags |= OpenFlags::SQLITE_OPEN_URI;
        let escaped: String = name
            .to_string()
            .chars()
            .map(|c| match c {
                '?' | '#' | '%' => format!("%{:02x}", u32::from(c)),
                c => c.to_string(),
            })
            .collect();
        uri = format!("file:{escaped}?immutable=1").into();
    }
    Connection::open_with_flags(uri, flags)
        .map_err(|e| Error::Data(format!("{name} can't be opened as a database: {e}.")))
}
