//! What a Query asks for: one partition, and a range of its sort keys.

use super::condition_match::begins_with;
use super::key_clause::{KeyClause, SortCondition};
use super::key_condition_parse::key_clauses;
use super::key_range::KeyRange;
use super::{Comparator, Condition, ExpressionKind, Path, Placeholders};
use crate::error::ServiceError;
use crate::schema::{ItemKey, KeyAttribute, KeySchema};
use crate::value::{AttributeValue, Item};

type Result<T> = std::result::Result<T, ServiceError>;

/// A KeyConditionExpression that was parsed, but not yet held against a table or index.
#[derive(Clone, Debug, PartialEq)]
pub struct KeyExpression {
    pub(crate) clauses: Vec<KeyClause>,
    /// Attributes of KeyConditions with an operator that no key has.
    pub(crate) not_indexable: Vec<String>,
}

/// What a Query asks of one table or index.
#[derive(Clone, Debug, PartialEq)]
pub struct KeyCondition {
    /// All partition attributes with their values.
    partition: Vec<(String, AttributeValue)>,
    /// Conditions on the sort attributes, in their order: all but the last are equalities.
    sort: Vec<KeyClause>,
    /// The partition as [`ItemKey::partition_bytes`] has it.
    partition_bytes: Vec<u8>,
    range: KeyRange,
}

impl KeyExpression {
    pub fn parse(text: &str, placeholders: &mut Placeholders) -> Result<Self> {
        Self::from_condition(Condition::parse(ExpressionKind::KeyCondition, text, placeholders)?)
    }

    /// The same of a condition that was parsed before.
    pub fn from_condition(condition: Condition) -> Result<Self> {
        Ok(Self::of(key_clauses(condition)?))
    }

    pub(crate) fn of(clauses: Vec<KeyClause>) -> Self {
        Self { clauses, not_indexable: Vec::new() }
    }

    /// Holds it against the key of the table or index that is queried.
    pub fn for_keys(self, keys: &KeySchema) -> Result<KeyCondition> {
        self.check_indexable(keys)?;
        self.check_partition(keys)?;
        for clause in &self.clauses {
            if let Some(attribute) = keys.attributes().find(|key| key.name == clause.name) {
                clause.condition.check_values(attribute)?;
            }
        }
        let unknown = self.clauses.iter().any(|clause| !keys.contains(&clause.name));
        if unknown || !self.not_indexable.is_empty() {
            return Err(missed(keys.sort.iter().find(|key| self.clause(key).is_none())));
        }
        self.check_sort(keys)?;
        let partition: Item = self
            .clauses
            .iter()
            .filter_map(|clause| match &clause.condition {
                SortCondition::Compare(_, value) => Some((clause.name.clone(), value.clone())),
                _ => None,
            })
            .collect();
        let schema = KeySchema { partition: keys.partition.clone(), sort: Vec::new() };
        let key = ItemKey::of(&schema, &partition).ok_or_else(not_supported)?;
        let sort: Vec<KeyClause> =
            keys.sort.iter().filter_map(|key| self.clause(key).cloned()).collect();
        let range = KeyRange::of(keys, &partition, &sort).ok_or_else(not_supported)?;
        Ok(KeyCondition {
            partition: key.attributes().to_vec(),
            sort,
            partition_bytes: key.partition_bytes().to_vec(),
            range,
        })
    }

    fn clause(&self, key: &KeyAttribute) -> Option<&KeyClause> {
        self.clauses.iter().find(|clause| clause.name == key.name)
    }

    fn is_equality(&self, key: &KeyAttribute) -> bool {
        self.clause(key).is_some_and(|clause| {
            matches!(clause.condition, SortCondition::Compare(Comparator::Eq, _))
        })
    }

    /// DynamoDB goes through the key's attributes in their order: a missing partition attribute
    /// hides what is wrong with the next ones.
    fn check_indexable(&self, keys: &KeySchema) -> Result<()> {
        let is_unfit = |key: &KeyAttribute| self.not_indexable.contains(&key.name);
        let is_missing = |key: &KeyAttribute| {
            keys.partition.contains(key) && self.clause(key).is_none() && !is_unfit(key)
        };
        if keys.attributes().take_while(|key| !is_missing(key)).any(is_unfit) {
            return Err(ServiceError::validation(
                "Attempted conditional constraint is not an indexable operation",
            ));
        }
        Ok(())
    }

    fn check_partition(&self, keys: &KeySchema) -> Result<()> {
        let given = self.clauses.len() + self.not_indexable.len();
        let defined = keys.attribute_count();
        if given > defined {
            return Err(ServiceError::validation(format!(
                "The number of query conditions ({given}) exceeds the number of key attributes \
                 defined in the schema ({defined})"
            )));
        }
        let unequal = || keys.partition.iter().filter(|key| !self.is_equality(key));
        if keys.partition.len() == 1 && keys.sort.len() <= 1 {
            return match unequal().next() {
                Some(key) => match self.clause(key) {
                    Some(clause) => {
                        clause.condition.check_values(key).and_then(|()| Err(not_supported()))
                    }
                    None => Err(missed(Some(key))),
                },
                None => Ok(()),
            };
        }
        match names(unequal()) {
            missing if missing.is_empty() => Ok(()),
            missing => Err(ServiceError::validation(format!(
                "HASH key attributes {missing} must have equality conditions specified in the query"
            ))),
        }
    }

    /// A range may only be asked of the last sort attribute that is mentioned.
    fn check_sort(&self, keys: &KeySchema) -> Result<()> {
        let Some(last) = keys.sort.iter().rposition(|key| self.clause(key).is_some()) else {
            return Ok(());
        };
        let missing = names(keys.sort[..last].iter().filter(|key| !self.is_equality(key)));
        if missing.is_empty() {
            return Ok(());
        }
        Err(ServiceError::validation(format!(
            "RANGE key attributes {missing} must have equality conditions specified in the query \
             because a condition is present on key attribute {}",
            keys.sort[last].name
        )))
    }
}

impl KeyCondition {
    /// The partition attributes with their values.
    pub fn partition(&self) -> &[(String, AttributeValue)] {
        &self.partition
    }

    /// The partition as [`ItemKey::partition_bytes`] of its items has it.
    pub fn partition_bytes(&self) -> &[u8] {
        &self.partition_bytes
    }

    /// The keys that meet it.
    pub fn range(&self) -> &KeyRange {
        &self.range
    }

    /// Names and conditions of the sort attributes that are mentioned, in the key's order.
    pub fn sort(&self) -> impl Iterator<Item = (&str, &SortCondition)> {
        self.sort.iter().map(|clause| (clause.name.as_str(), &clause.condition))
    }

    /// Whether the item is in the partition and the range.
    pub fn matches(&self, item: &Item) -> bool {
        self.partition.iter().all(|(name, value)| item.get(name) == Some(value))
            && self.is_in_range(item)
    }

    /// Whether the item is in the range, in whatever partition.
    pub fn is_in_range(&self, item: &Item) -> bool {
        self.sort
            .iter()
            .all(|clause| item.get(&clause.name).is_some_and(|value| clause.condition.holds(value)))
    }

    /// Every path it looks at.
    pub fn paths(&self) -> Vec<Path> {
        let partition = self.partition.iter().map(|(name, _)| Path::of(name));
        partition.chain(self.sort.iter().map(|clause| Path::of(&clause.name))).collect()
    }
}

impl SortCondition {
    /// Whether the value meets it.
    pub fn holds(&self, value: &AttributeValue) -> bool {
        match self {
            Self::Compare(comparator, bound) => comparator.holds(Some(value), Some(bound)),
            Self::Between(low, high) => {
                Comparator::Ge.holds(Some(value), Some(low))
                    && Comparator::Le.holds(Some(value), Some(high))
            }
            Self::BeginsWith(prefix) => begins_with(value, prefix),
        }
    }

    fn check_values(&self, attribute: &KeyAttribute) -> Result<()> {
        let values: &[&AttributeValue] = match self {
            Self::Compare(_, value) | Self::BeginsWith(value) => &[value],
            Self::Between(low, high) => &[low, high],
        };
        for value in values {
            if value.kind() != attribute.kind.attribute_type() {
                return Err(ServiceError::invalid_parameter(
                    "Condition parameter type does not match schema type",
                ));
            }
            let empty = match value {
                AttributeValue::S(text) if text.is_empty() => "string",
                AttributeValue::B(bytes) if bytes.is_empty() => "binary",
                _ => continue,
            };
            return Err(ServiceError::validation(format!(
                "One or more parameter values are not valid. The AttributeValue for a key \
                 attribute cannot contain an empty {empty} value. Key: {}",
                attribute.name
            )));
        }
        Ok(())
    }
}

fn names<'a>(keys: impl Iterator<Item = &'a KeyAttribute>) -> String {
    keys.map(|key| key.name.as_str()).collect::<Vec<_>>().join(", ")
}

fn missed(key: Option<&KeyAttribute>) -> ServiceError {
    let name = key.map(|key| key.name.as_str()).unwrap_or_default();
    ServiceError::validation(format!("Query condition missed key schema element: {name}"))
}

fn not_supported() -> ServiceError {
    ServiceError::validation("Query key condition not supported")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::TableSchema;
    use crate::value::item_from_json;
    use serde_json::json;

    fn table() -> TableSchema {
        TableSchema::from_json(&json!({
            "TableName": "t",
            "AttributeDefinitions": [
                {"AttributeName": "p", "AttributeType": "S"},
                {"AttributeName": "s", "AttributeType": "N"},
                {"AttributeName": "a", "AttributeType": "S"},
                {"AttributeName": "b", "AttributeType": "S"},
                {"AttributeName": "c", "AttributeType": "N"},
            ],
            "KeySchema": [
                {"AttributeName": "p", "KeyType": "HASH"},
                {"AttributeName": "s", "KeyType": "RANGE"},
            ],
            "GlobalSecondaryIndexes": [
                {"IndexName": "hash", "KeySchema": [{"AttributeName": "a", "KeyType": "HASH"}],
                 "Projection": {"ProjectionType": "ALL"}},
                {"IndexName": "multi", "KeySchema": [
                    {"AttributeName": "a", "KeyType": "HASH"},
                    {"AttributeName": "p", "KeyType": "HASH"},
                    {"AttributeName": "b", "KeyType": "RANGE"},
                    {"AttributeName": "c", "KeyType": "RANGE"}],
                 "Projection": {"ProjectionType": "ALL"}},
            ],
        }))
        .unwrap()
    }

    fn parse(index: Option<&str>, text: &str) -> Result<KeyCondition> {
        let table = table();
        let keys = index.map_or(&table.keys, |name| &table.index(name).unwrap().keys);
        let values = json!({
            ":x": {"S": "x"}, ":xy": {"S": "xy"}, ":e": {"S": ""}, ":1": {"N": "1"},
            ":5": {"N": "5.0"}, ":9": {"N": "9"},
        });
        let mut placeholders = Placeholders::from_json(None, Some(&values))?;
        KeyExpression::parse(text, &mut placeholders)?.for_keys(keys)
    }

    fn check(index: Option<&str>, text: &str, expected: &str) {
        let shown = match parse(index, text) {
            Ok(condition) => {
                let item = json!({
                    "p": {"S": "x"}, "s": {"N": "5"}, "a": {"S": "x"}, "b": {"S": "xyz"},
                    "c": {"N": "5"},
                });
                condition.matches(&item_from_json(&item).unwrap()).to_string()
            }
            Err(error) => error.message,
        };
        assert_eq!(shown, expected, "{text}");
    }

    #[test]
    fn a_partition_and_a_range_of_it() {
        for (text, expected) in [
            ("p = :x", "true"),
            ("p = :xy", "false"),
            (":x = p AND s = :5", "true"),
            ("p = :x AND s > :5", "false"),
            ("p = :x AND :5 <= s", "true"),
            ("p = :x AND s BETWEEN :1 AND :5", "true"),
            ("p = :x AND s < :9", "true"),
        ] {
            check(None, text, expected);
        }
        check(Some("hash"), "a = :x", "true");
        check(Some("multi"), "a = :x AND p = :x", "true");
        check(Some("multi"), "a = :x AND p = :x AND begins_with(b, :xy)", "true");
    }

    #[test]
    fn the_partition_is_known_by_its_bytes() {
        let table = table();
        let item = item_from_json(&json!({"p": {"S": "x"}, "s": {"N": "1"}})).unwrap();
        let key = ItemKey::from_item(&table, &item).unwrap();
        let condition = parse(None, "p = :x").unwrap();
        assert_eq!(condition.partition_bytes(), key.partition_bytes());
    }

    #[test]
    fn keys_must_be_asked_for_as_they_are() {
        let missed = |name: &str| format!("Query condition missed key schema element: {name}");
        check(None, "s = :5", &missed("p"));
        check(None, "p = :x AND q = :x", &missed("s"));
        check(Some("hash"), "p = :x", &missed("a"));
        check(None, "p > :x", "Query key condition not supported");
        check(
            None,
            "p > :1",
            "One or more parameter values were invalid: Condition parameter type does not match \
             schema type",
        );
        check(
            None,
            "p = :x AND s = :5 AND q = :x",
            "The number of query conditions (3) exceeds the number of key attributes defined in \
             the schema (2)",
        );
        check(
            None,
            "p = :1",
            "One or more parameter values were invalid: Condition parameter type does not match \
             schema type",
        );
        check(
            None,
            "p = :e",
            "One or more parameter values are not valid. The AttributeValue for a key attribute \
             cannot contain an empty string value. Key: p",
        );
    }

    #[test]
    fn of_several_key_attributes_only_the_last_may_be_a_range() {
        check(
            Some("multi"),
            "a = :x",
            "HASH key attributes p must have equality conditions specified in the query",
        );
        check(
            Some("multi"),
            "a = :x AND p = :x AND b > :x AND c = :1",
            "RANGE key attributes b must have equality conditions specified in the query because a \
             condition is present on key attribute c",
        );
    }
}
