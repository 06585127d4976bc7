//! Room on the destination's disk, as far as SQL can tell.

use super::facts::Facts;
use super::load::Load;
use super::{Check, Place, bytes};

/// Below this nobody needs to look.
const SMALL: i64 = 1 << 30;

/// Bytes needed beside what can be seen.
pub(super) fn checks(facts: &Facts, load: &Load) -> Vec<Check> {
    let (place, name) = (Place::Destination, "disk");
    let kept = load.data_bytes + load.map_bytes + load.backup_bytes;
    let basis = match load.sampled.is_empty() {
        true => "from the statistics of the source",
        false => "scaled from the sample",
    };
    let mut found = format!(
        "about {} needed ({} rows and indexes, {} id map, {} pre-images), and up to {} of WAL until a checkpoint or the archive has taken it, {basis}; the database has {} now. \
         Free space cannot be seen by SQL, nor what archive, replication slots and a provider's quota keep",
        bytes(kept),
        bytes(load.data_bytes),
        bytes(load.map_bytes),
        bytes(load.backup_bytes),
        bytes(load.wal_bytes),
        bytes(facts.destination.bytes),
    );
    let is_large = kept > SMALL && kept > facts.destination.bytes / 4;
    if !is_large {
        return vec![Check::pass(place, name, found)];
    }
    found.push_str(": look at the disk before the start");
    let mend = format!(
        "have {} free at the destination, or grow the disk first; a full disk blocks the run, which then goes on",
        bytes(kept + load.wal_bytes / 2)
    );
    vec![Check::warn(place, name, found, vec![mend])]
}
