//! What is known of a table: its keys, its indexes and how it is billed, from DescribeTable's JSON.
//!
//! Read once, into types that cannot hold a key without a type. What is not understood is an error,
//! never a guess: an index that is overlooked would make a dry run answer wrongly.

mod key;
mod parse;
mod table_id;

use std::collections::BTreeMap;

pub use key::{ItemKey, PARTITION_KEY_BYTES_MAX, SORT_KEY_BYTES_MAX};
pub use parse::SchemaError;
pub use table_id::table_id;

use crate::error::ServiceError;
use crate::value::{AttributeType, AttributeValue, Item, check_item_size};

/// A table as DescribeTable describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableSchema {
    pub name: String,
    /// Its ARN, if known.
    pub arn: Option<String>,
    /// Its id ([`table_id`]): another table of this name has another one.
    pub id: Option<String>,
    /// Its primary key: one partition attribute, at most one sort attribute.
    pub keys: KeySchema,
    /// The types of all attributes that are part of some key.
    pub attribute_types: BTreeMap<String, KeyType>,
    /// Its secondary indexes, local ones first.
    pub indexes: Vec<IndexSchema>,
    /// How its throughput is billed.
    pub billing: Billing,
}

/// The key of a table or an index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeySchema {
    /// HASH elements: one, or up to four of a global index with a multi-attribute key.
    pub partition: Vec<KeyAttribute>,
    /// RANGE elements, in order of significance: none, one, or up to four.
    pub sort: Vec<KeyAttribute>,
}

/// One attribute of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyAttribute {
    pub name: String,
    pub kind: KeyType,
}

/// The types a key attribute can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyType {
    S,
    N,
    B,
}

impl KeyType {
    /// The type of this name.
    pub fn of(word: &str) -> Option<Self> {
        [Self::S, Self::N, Self::B].into_iter().find(|kind| kind.attribute_type().as_str() == word)
    }

    /// The same among all types of attributes.
    pub fn attribute_type(self) -> AttributeType {
        match self {
            Self::S => AttributeType::S,
            Self::N => AttributeType::N,
            Self::B => AttributeType::B,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexSchema {
    pub name: String,
    pub kind: IndexKind,
    /// Its key, without the table's.
    pub keys: KeySchema,
    /// The attributes it holds beside the keys.
    pub projection: IndexProjection,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IndexKind {
    /// Shares the table's partition key; can be read consistently and fetch from the table.
    Local,
    /// Has its own key; eventually consistent, never fetches from the table.
    Global,
}

/// The attributes an index holds beside its own and the table's keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IndexProjection {
    All,
    KeysOnly,
    Include(Vec<String>),
}

/// How a table's throughput is billed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Billing {
    OnDemand,
    /// By capacity set aside.
    Provisioned {
        /// Read capacity units.
        read_units: u64,
        /// Write capacity units.
        write_units: u64,
    },
}

impl KeySchema {
    /// Its attributes, partition first.
    pub fn attributes(&self) -> impl Iterator<Item = &KeyAttribute> {
        self.partition.iter().chain(&self.sort)
    }

    /// Whether an attribute of that name is part of it.
    pub fn contains(&self, name: &str) -> bool {
        self.attributes().any(|attribute| attribute.name == name)
    }

    /// Most bytes of this key attribute's value.
    pub fn bytes_max(&self, attribute: &KeyAttribute) -> usize {
        if self.partition.contains(attribute) {
            PARTITION_KEY_BYTES_MAX
        } else {
            SORT_KEY_BYTES_MAX
        }
    }

    /// How many attributes it has.
    pub fn attribute_count(&self) -> usize {
        self.partition.len() + self.sort.len()
    }
}

impl IndexSchema {
    /// The key of an item in the index, if the index holds it: it does when all its key attributes
    /// are there and fit. DynamoDB rejects writes of others, but leaves out items that were written
    /// before the index was added (Developer Guide, "Detecting and correcting index key
    /// violations").
    pub fn key_of(&self, item: &Item) -> Option<ItemKey> {
        let fits = |attribute: &KeyAttribute| {
            let value = item.get(&attribute.name);
            value.is_some_and(|value| key::check_index_value(self, attribute, value).is_ok())
        };
        if self.keys.attributes().all(fits) { ItemKey::of(&self.keys, item) } else { None }
    }

    /// The item as the index holds it: keys of both, and what is projected.
    pub fn project(&self, table: &TableSchema, item: &Item) -> Item {
        let included = |name: &str| match &self.projection {
            IndexProjection::All => true,
            IndexProjection::KeysOnly => false,
            IndexProjection::Include(names) => names.iter().any(|included| included == name),
        };
        item.iter()
            .filter(|(name, _)| {
                self.keys.contains(name) || table.keys.contains(name) || included(name)
            })
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect()
    }
}

impl TableSchema {
    /// The index of that name.
    pub fn index(&self, name: &str) -> Option<&IndexSchema> {
        self.indexes.iter().find(|index| index.name == name)
    }

    /// The index of that name, or what Query and Scan answer when there is none.
    pub fn require_index(&self, name: &str) -> Result<&IndexSchema, ServiceError> {
        self.index(name).ok_or_else(|| {
            ServiceError::validation(format!("The table does not have the specified index: {name}"))
        })
    }

    /// Whether it has local indexes, and so item collections with a size limit.
    pub fn has_local_indexes(&self) -> bool {
        self.indexes.iter().any(|index| index.kind == IndexKind::Local)
    }

    /// Everything that PutItem checks of an item against its table: keys, index keys, size.
    pub fn check_item(&self, item: &Item) -> Result<ItemKey, ServiceError> {
        let key = ItemKey::from_item(self, item)?;
        self.check_index_keys(item)?;
        check_item_size(item)?;
        Ok(key)
    }

    /// The same for an item of a BatchWriteItem, where a key that is missing or of another type has
    /// other words.
    pub fn check_batch_item(&self, item: &Item) -> Result<ItemKey, ServiceError> {
        let fits = |key: &KeyAttribute| {
            item.get(&key.name).is_some_and(|value| value.kind() == key.kind.attribute_type())
        };
        if !self.keys.attributes().all(fits) {
            return Err(ServiceError::validation(
                "The provided key element does not match the schema",
            ));
        }
        self.check_item(item)
    }

    /// Refuses an item, or a key, with an empty value in a key of the table or of an index. In a
    /// transaction this is an error of the request, while values of wrong types cancel it.
    pub fn check_no_empty_keys(&self, item: &Item) -> Result<(), ServiceError> {
        key::check_not_empty(self, item)?;
        self.first_unfit(item, key::check_index_value_not_empty)
            .map_or(Ok(()), |unfit| Err(unfit.error))
    }

    /// The same for what an update expression leaves in the keys of indexes, in its words.
    pub fn check_index_keys_not_emptied(&self, item: &Item) -> Result<(), ServiceError> {
        let mut attributes = self.indexes.iter().flat_map(|index| index.keys.attributes());
        let empty = attributes.find_map(|attribute| key::empty_kind(item.get(&attribute.name)?));
        let Some(kind) = empty else { return Ok(()) };
        Err(ServiceError::validation(format!(
            "One or more parameter values are not valid. The update expression attempted to update \
             a secondary index key to a value that is not supported. The AttributeValue for a key \
             attribute cannot contain an empty {kind} value."
        )))
    }

    /// Rejects an item whose attributes do not fit the keys of an index.
    pub fn check_index_keys(&self, item: &Item) -> Result<(), ServiceError> {
        self.unfit_index_key(item).map_or(Ok(()), |unfit| Err(unfit.error))
    }

    /// The first attribute of an item that does not fit the key of an index.
    pub fn unfit_index_key(&self, item: &Item) -> Option<UnfitKey<'_>> {
        self.first_unfit(item, key::check_index_value)
    }

    /// Of several indexes AWS names the first in the order of their names.
    fn first_unfit(
        &self,
        item: &Item,
        check: impl Fn(&IndexSchema, &KeyAttribute, &AttributeValue) -> Result<(), ServiceError>,
    ) -> Option<UnfitKey<'_>> {
        let unfit = |index| {
            let index: &IndexSchema = index;
            index.keys.attributes().find_map(|attribute| {
                let error = check(index, attribute, item.get(&attribute.name)?).err()?;
                Some(UnfitKey { attribute: &attribute.name, index: &index.name, error })
            })
        };
        self.indexes.iter().filter_map(unfit).min_by_key(|unfit| unfit.index)
    }
}

/// An attribute that does not fit the key of an index.
#[derive(Clone, Debug)]
pub struct UnfitKey<'s> {
    pub attribute: &'s str,
    pub index: &'s str,
    /// DynamoDB's words, which name neither.
    pub error: ServiceError,
}
