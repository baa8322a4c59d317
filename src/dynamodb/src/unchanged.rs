//! A condition that an item is still as it was read: what makes a write depend on the image that
//! the journal holds, or that a restore has decided on.
//!
//! A request never exceeds one of DynamoDB's limits by what is added here: what has no room is not
//! compared, and the caller gets an error. No condition can say "and no other attribute": an
//! attribute that nobody knew of, added between the read and the write, is not noticed by it. Who
//! replaces or deletes whole items compares what the write returns as well.

use serde_json::{Map, Value};

use crate::expression::{
    EXPANDED_BYTES_MAX, EXPRESSION_BYTES_MAX, OPERATORS_MAX, Outline, SUBSTITUTED_BYTES_MAX,
};
use crate::value::{AttributeValue, Item, value_to_folded_json};

const CONDITION: &str = "ConditionExpression";
const NAMES: &str = "ExpressionAttributeNames";
const VALUES: &str = "ExpressionAttributeValues";

/// Names and values of generated expressions, with separate placeholders.
#[derive(Clone, Debug)]
pub struct Placeholding {
    prefix: String,
    names: Map<String, Value>,
    values: Map<String, Value>,
    /// Bytes of what was added.
    added: usize,
}

impl Placeholding {
    /// Beside a request's own placeholders.
    pub fn beside(request: &Map<String, Value>) -> Self {
        let members = |name| request.get(name).and_then(Value::as_object).cloned();
        let names = members(NAMES).unwrap_or_default();
        let values = members(VALUES).unwrap_or_default();
        let taken = |prefix: &str| {
            let begins = |key: &String| key.get(1..).is_some_and(|word| word.starts_with(prefix));
            names.keys().any(begins) || values.keys().any(begins)
        };
        // Each of the request's own can only take one of them, so this ends, with a short one.
        let mut prefix = "m".to_owned();
        let mut number = 0_usize;
        while taken(&prefix) {
            number += 1;
            prefix = format!("m{number}_");
        }
        Self { prefix, names, values, added: 0 }
    }

    /// With none but its own.
    pub fn alone() -> Self {
        Self::beside(&Map::new())
    }

    /// A placeholder for an attribute's name.
    pub fn name(&mut self, name: &str) -> String {
        if let Some(key) = self.known(name) {
            return key;
        }
        let key = self.next_name();
        self.insert_name(key.clone(), name);
        key
    }

    fn known(&self, name: &str) -> Option<String> {
        self.names.iter().find_map(|(key, value)| (value == name).then(|| key.clone()))
    }

    fn next_name(&self) -> String {
        format!("#{}{}", self.prefix, self.names.len())
    }

    fn insert_name(&mut self, key: String, name: &str) {
        self.added += key.len() + name.len();
        self.names.insert(key, name.into());
    }

    /// A placeholder for a value.
    pub fn value(&mut self, value: &AttributeValue) -> String {
        let key = self.next_value();
        self.insert_value(key.clone(), value);
        key
    }

    fn insert_value(&mut self, key: String, value: &AttributeValue) {
        self.added += key.len() + value.size();
        self.values.insert(key, value_to_folded_json(value));
    }

    fn next_value(&self) -> String {
        format!(":{}{}", self.prefix, self.values.len())
    }

    /// Puts them into a request.
    fn finish(self, request: &mut Map<String, Value>) {
        for (member, map) in [(NAMES, self.names), (VALUES, self.values)] {
            if map.is_empty() {
                request.remove(member);
            } else {
                request.insert(member.to_owned(), Value::Object(map));
            }
        }
    }
}

/// The condition that the item of a key is still an image, put together part by part, as far as
/// there is room beside what the request itself has.
#[derive(Clone, Debug)]
pub struct Binding<'i> {
    key: &'i Item,
    image: Option<&'i Item>,
    placeholding: Placeholding,
    own: Option<String>,
    text: String,
    text_max: usize,
    operators_left: usize,
    bytes_max: usize,
    /// Bytes left for the text with what its placeholders stand for, each use counted.
    expanded_left: usize,
}

impl<'i> Binding<'i> {
    /// Beside a request's own expressions. At most `bytes_max` are added in names and values.
    pub fn beside(
        request: &Map<String, Value>,
        key: &'i Item,
        image: Option<&'i Item>,
        bytes_max: usize,
    ) -> Self {
        let own = request.get(CONDITION).and_then(Value::as_str).map(str::to_owned);
        let (mut text_max, mut operators_left) = (EXPRESSION_BYTES_MAX, OPERATORS_MAX);
        let mut expanded_left = EXPANDED_BYTES_MAX;
        if let Some(own) = &own {
            expanded_left = expanded_left.saturating_sub(expanded(own, request));
            text_max = text_max.saturating_sub(joined(own, "").len());
            // The AND between the two.
            operators_left = operators_left.saturating_sub(Outline::of(own).operators + 1);
        }
        let placeholding = Placeholding::beside(request);
        let bytes_max = bytes_max.min(SUBSTITUTED_BYTES_MAX.saturating_sub(substituted(request)));
        Self {
            key,
            image,
            placeholding,
            own,
            text: String::new(),
            text_max,
            operators_left,
            bytes_max,
            expanded_left,
        }
    }

    /// With nothing beside it.
    pub fn alone(key: &'i Item, image: Option<&'i Item>) -> Self {
        Self::beside(&Map::new(), key, image, SUBSTITUTED_BYTES_MAX)
    }

    /// Compares whether there is an item. Whether there was room for it.
    pub fn presence(&mut self) -> bool {
        // Either key attribute will do, and there is always one.
        let Some(name) = self.key.keys().next() else { return false };
        self.add(name, if self.image.is_some() { Clause::Exists } else { Clause::Missing })
    }

    /// Compares these attributes with the image's; whether there was room for all of them.
    pub fn attributes<'n>(&mut self, names: impl IntoIterator<Item = &'n str>) -> bool {
        // Of an item that was not there its presence says everything.
        let Some(image) = self.image else { return true };
        let mut all = true;
        for name in names {
            if self.key.contains_key(name) {
                continue;
            }
            all &= self.add(name, image.get(name).map_or(Clause::Missing, Clause::Equals));
        }
        all
    }

    /// Adds a clause about an attribute, if there is room for it and for its value.
    fn add(&mut self, name: &str, clause: Clause<'_>) -> bool {
        let known = self.placeholding.known(name);
        let name_bytes = if known.is_some() { 0 } else { name.len() };
        let is_new = known.is_none();
        let placeholder = known.unwrap_or_else(|| self.placeholding.next_name());
        let (begin, mut operators, mut value) = (self.text.len(), 1, None);
        if begin > 0 {
            self.text.push_str(" AND ");
            operators += 1;
        }
        match clause {
            Clause::Exists => self.text.extend(["attribute_exists(", &placeholder, ")"]),
            Clause::Missing => self.text.extend(["attribute_not_exists(", &placeholder, ")"]),
            Clause::Equals(equal) => {
                let key = self.placeholding.next_value();
                self.text.extend([&*placeholder, " = ", &*key]);
                value = Some((key, equal));
            }
        }
        let value_bytes = value.as_ref().map_or(0, |(key, value)| key.len() + value.size());
        let expanded = self.text.len() - begin + name.len() + value_bytes;
        let bytes = value_bytes + name_bytes + placeholder.len();
        let fits = self.text.len() <= self.text_max
            && operators <= self.operators_left
            && expanded <= self.expanded_left
            && self.placeholding.added + bytes <= self.bytes_max;
        if !fits {
            self.text.truncate(begin);
            return false;
        }
        if is_new {
            self.placeholding.insert_name(placeholder, name);
        }
        if let Some((key, value)) = value {
            self.placeholding.insert_value(key, value);
        }
        self.operators_left -= operators;
        self.expanded_left -= expanded;
        true
    }

    /// For other expressions of the request.
    pub fn placeholding(&mut self) -> &mut Placeholding {
        &mut self.placeholding
    }

    /// Whether names and values are within the limit, with those of other expressions.
    pub fn fits(&self) -> bool {
        self.placeholding.added <= self.bytes_max
    }

    /// Puts it into the request, beside its own condition. Returns the bytes of names and values
    /// that were added.
    pub fn finish(self, request: &mut Map<String, Value>) -> usize {
        let added = self.placeholding.added;
        if !self.text.is_empty() {
            let text = match &self.own {
                None => self.text,
                Some(own) => joined(own, &self.text),
            };
            request.insert(CONDITION.to_owned(), text.into());
        }
        self.placeholding.finish(request);
        added
    }
}

/// What an attribute is compared with.
#[derive(Clone, Copy)]
enum Clause<'v> {
    /// It is there.
    Exists,
    /// It is not there.
    Missing,
    /// It has this value.
    Equals(&'v AttributeValue),
}

/// Bytes of all names and values that a request's placeholders stand for, with the placeholders.
pub fn substituted(request: &Map<String, Value>) -> usize {
    placeholders(request).map(|(key, bytes)| key.len() + bytes).sum()
}

/// Each placeholder of a request, and the bytes of the name or value that it stands for.
fn placeholders(request: &Map<String, Value>) -> impl Iterator<Item = (&str, usize)> {
    let members = |name| request.get(name).and_then(Value::as_object).into_iter().flatten();
    let names = members(NAMES).map(|(key, name)| (key.as_str(), name.as_str().map_or(0, str::len)));
    let values = members(VALUES).map(|(key, value)| {
        (key.as_str(), AttributeValue::from_json(value).map_or(0, |value| value.size()))
    });
    names.chain(values)
}

/// At least the bytes of a request's own condition with what its placeholders stand for: one that
/// begins with another's name counts for both.
fn expanded(own: &str, request: &Map<String, Value>) -> usize {
    let uses = placeholders(request).map(|(key, bytes)| own.matches(key).count() * bytes);
    joined(own, "").len() + uses.sum::<usize>()
}

/// The request without its condition, and without the placeholders that only that one used.
pub fn without_condition(request: &Map<String, Value>) -> Map<String, Value> {
    let update = request.get("UpdateExpression").and_then(Value::as_str).unwrap_or_default();
    let used = Outline::of(update).placeholders;
    let mut rest = request.clone();
    rest.remove(CONDITION);
    for member in [NAMES, VALUES] {
        let Some(members) = rest.get_mut(member).and_then(Value::as_object_mut) else { continue };
        members.retain(|key, _| used.contains(key.as_str()));
        if members.is_empty() {
            rest.remove(member);
        }
    }
    rest
}

/// Both conditions. DynamoDB refuses redundant parentheses, which every library writes around what
/// it joins: so there are none here but where the meaning needs them.
fn joined(own: &str, unchanged: &str) -> String {
    if Outline::of(own).has_open_or {
        format!("({own}) AND {unchanged}")
    } else {
        format!("{own} AND {unchanged}")
    }
}

#[cfg(test)]
mod tests;
