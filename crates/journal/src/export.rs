use std::path::Path;

use crate::journal::fail;
use crate::store::{Sqlite, StoreError};
use crate::{Hash, OpenError, Record};

/// The records of a journal in order.
#[derive(Debug)]
pub struct Export(std::vec::IntoIter<Record>);

impl Iterator for Export {
    type Item = Record;

    fn next(&mut self) -> Option<Record> {
        self.0.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

impl ExactSizeIterator for Export {}

/// Reads all records of the journal in `dir` as they stand, also while a daemon writes to it. Print them one a line for a
/// dump. They are not verified here; [`crate::audit::audit`] does that.
///
/// # Errors
/// If there is no journal or it cannot be read.
pub fn export(dir: &Path) -> Result<Export, OpenError> {
    let mut records = Vec::new();
    let read = |e: StoreError| fail(dir, "cannot read", e);
    let store = Sqlite::open_read_only(dir).map_err(read)?;
    store.schema().map_err(read)?;
    // the faults that a root of zeros brings up are not looked at
    let all = store.scan(Hash([0; 32]), |record, _| {
        records.push(record);
        Ok(())
    });
    all.map_err(read)?;
    Ok(Export(records.into_iter()))
}
