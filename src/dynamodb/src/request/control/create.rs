//! CreateTable: all that is wrong with one is so whatever tables there are.

use serde_json::{Map, Value};

use super::indexes::{Index, check_indexes, of_new_table};
use super::keys::{
    self, Definitions, KeyElement, KeyOf, check_key, check_table_key_defined, check_used,
    definitions_by_name,
};
use super::settings::{Tags, check_tag_count, tags};
use super::throughput::{BillingMode, Highest, Stream, Units, table_units};
use crate::error::ServiceError;
use crate::request::members::{flag, string, structure, text};

type Result<T> = std::result::Result<T, ServiceError>;

#[derive(Clone, Debug, PartialEq)]
pub struct CreateTable {
    /// The table as the request names it.
    pub table: String,
    pub definitions: Definitions,
    pub key: Vec<KeyElement>,
    pub billing: BillingMode,
    pub units: Units,
    pub highest: Option<Highest>,
    pub local: Vec<Index>,
    pub global: Vec<Index>,
    /// The view type of its stream, if it has one.
    pub stream: Option<String>,
    /// Whether the key is one that AWS keeps for the account.
    pub encrypted: bool,
    pub class: Option<String>,
    pub protected: bool,
    pub tags: Tags,
}

impl CreateTable {
    pub(super) fn decode(body: &Map<String, Value>) -> Result<Self> {
        let billing = BillingMode::decode(body).unwrap_or(BillingMode::Provisioned);
        let units = table_units(billing, Units::decode(body)?)?;
        let definitions = definitions_by_name(&keys::definitions(body)?)?;
        let key = keys::key(body)?;
        check_table_key_defined(&key, &definitions)?;
        check_key(&key, KeyOf::Table)?;
        let (local, global) = of_new_table(body)?;
        check_indexes(&key, &local, &global, &definitions)?;
        let mut used = vec![&*key];
        used.extend(local.iter().chain(&global).map(|index| &*index.key));
        check_used(&used, &definitions)?;
        let highest = Highest::decode(body)?;
        highest.map_or(Ok(()), |highest| highest.check(billing))?;
        global.iter().try_for_each(|index| index.check_throughput(billing))?;
        let stream = Stream::decode(body)?;
        stream.as_ref().map(Stream::view).transpose()?;
        let encryption = structure(body, "SSESpecification");
        let encrypted = encryption.map_or(Ok(false), |asked| flag(asked, "Enabled"))?;
        let tags = tags(body)?;
        check_tag_count(&tags)?;
        Ok(Self {
            table: string(body, "TableName"),
            definitions,
            key,
            billing,
            units,
            highest,
            local,
            global,
            stream: stream.and_then(|stream| stream.view),
            encrypted,
            class: text(body, "TableClass").map(str::to_owned),
            protected: flag(body, "DeletionProtectionEnabled")?,
            tags,
        })
    }
}
