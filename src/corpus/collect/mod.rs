//! Collecting lyrics: from a list of songs to CSV files that train a lyricist.
//!
//! ```text
//! tracks -> names -> (journal <-> lookup -> lrclib | dump) -> clean -> english -> duplicates -> finish
//! ```
//!
//! Everything streams: the list is read song by song, as often as it is needed; answers go to the
//! journal, an SQLite file; and the last step reads list and journal side by side. Memory stays
//! bounded by SQLite's page caches, however long the list and however large a dump.

pub mod clean;
pub mod dump;
pub mod duplicates;
pub mod english;
pub mod finish;
pub mod hdf5;
pub mod journal;
pub mod lookup;
pub mod lrclib;
pub mod names;
pub mod rows;
pub mod source;
pub mod sqlite;
pub mod text;
pub mod tracks;
