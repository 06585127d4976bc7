//! Where things are in etcd, and the values under them.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::lease::{LeaseError, PartitionKey};

/// Makes keys under one prefix.
#[derive(Debug, Clone)]
pub(super) struct Keys {
    prefix: String,
}

impl Keys {
    pub(super) fn new(prefix: &str) -> Self {
        Self {
            prefix: prefix.to_owned(),
        }
    }

    /// What every key begins with.
    pub(super) fn all(&self) -> String {
        format!("{}/", self.prefix)
    }

    pub(super) fn era(&self) -> String {
        format!("{}/cluster/era", self.prefix)
    }

    pub(super) fn leader(&self) -> String {
        format!("{}/leader", self.prefix)
    }

    /// What every agent's key begins with.
    pub(super) fn agents(&self) -> String {
        format!("{}/agents/", self.prefix)
    }

    pub(super) fn agent(&self, holder: Uuid) -> String {
        format!("{}{holder}", self.agents())
    }

    /// What every key of a migration begins with.
    pub(super) fn migration(&self, id: Uuid) -> String {
        format!("{}/migrations/{id}/", self.prefix)
    }

    pub(super) fn control(&self, migration_id: Uuid) -> String {
        format!("{}control", self.migration(migration_id))
    }

    /// What every assignment of a migration begins with; the partition follows.
    pub(super) fn assigns(&self, migration_id: Uuid) -> String {
        format!("{}assign/", self.migration(migration_id))
    }

    pub(super) fn assign(&self, partition: PartitionKey) -> String {
        let all = self.assigns(partition.migration_id);
        format!("{all}{}", partition.partition_id)
    }

    /// What every owner of a migration's partitions begins with; the partition follows.
    pub(super) fn owners(&self, migration_id: Uuid) -> String {
        format!("{}owner/", self.migration(migration_id))
    }

    pub(super) fn owner(&self, partition: PartitionKey) -> String {
        let all = self.owners(partition.migration_id);
        format!("{all}{}", partition.partition_id)
    }
}

/// Under `cluster/era`: the era, and the cluster that it was set in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct EraValue {
    pub(super) era: u32,
    pub(super) cluster_id: String,
}

/// Under `owner/<partition>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct OwnerValue {
    pub(super) holder: Uuid,
}

/// A key as it was read.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) value: Vec<u8>,
    pub(super) create_revision: i64,
    pub(super) mod_revision: i64,
    pub(super) lease: i64,
}

impl Entry {
    pub(super) fn decode<T: DeserializeOwned>(&self) -> Result<T, LeaseError> {
        serde_json::from_slice(&self.value).map_err(|_| self.malformed())
    }

    /// The partition that the key ends with.
    pub(super) fn partition_id(&self) -> Result<Uuid, LeaseError> {
        let last = self.key.rsplit('/').next().unwrap_or_default();
        last.parse().map_err(|_| self.malformed())
    }

    fn malformed(&self) -> LeaseError {
        LeaseError::Malformed {
            key: self.key.clone(),
        }
    }
}

/// The revision to compare with: of the entry as it was read, or of a key that is not there.
pub(super) fn seen(entry: Option<&Entry>) -> i64 {
    entry.map_or(0, |entry| entry.mod_revision)
}

pub(super) fn encode(key: &str, value: &impl Serialize) -> Result<Vec<u8>, LeaseError> {
    serde_json::to_vec(value).map_err(|_| LeaseError::Malformed {
        key: key.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_where_the_layout_says() {
        let keys = Keys::new("/drover/v1");
        let partition = PartitionKey {
            migration_id: Uuid::nil(),
            partition_id: Uuid::max(),
        };
        let migration = format!("/drover/v1/migrations/{}", Uuid::nil());
        assert_eq!(keys.era(), "/drover/v1/cluster/era");
        assert_eq!(keys.leader(), "/drover/v1/leader");
        let agent = format!("/drover/v1/agents/{}", Uuid::nil());
        assert_eq!(keys.agent(Uuid::nil()), agent);
        assert_eq!(keys.control(Uuid::nil()), format!("{migration}/control"));
        let assign = format!("{migration}/assign/{}", Uuid::max());
        assert_eq!(keys.assign(partition), assign);
        let owner = format!("{migration}/owner/{}", Uuid::max());
        assert_eq!(keys.owner(partition), owner);
    }
}
