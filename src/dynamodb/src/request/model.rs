//! The parts of the service model that a request is checked against: members, their JSON types and
//! their limits. Data only; the operations' own members are in `items` and `tables`.

/// One member of a request or of a structure in it.
#[derive(Clone, Copy, Debug)]
pub struct Member {
    /// Its name on the wire.
    pub name: &'static str,
    /// Whether it must be there.
    pub required: bool,
    /// Its type and limits.
    pub shape: Shape,
}

/// The type of a member, with the limits of its values.
#[derive(Clone, Copy, Debug)]
pub enum Shape {
    Text(&'static [Rule]),
    Flag,
    /// A whole number: the name of its type in messages, and its limits.
    Whole(&'static str, &'static [Rule]),
    Attribute,
    /// A list of these.
    List(&'static Shape, &'static [Rule]),
    /// A map from strings to these: the name of their type in messages, and its limits.
    Map(&'static str, &'static Shape, &'static [Rule]),
    /// A structure: the name of its type in messages, and its members.
    Structure(&'static str, &'static [Member]),
}

/// A limit of a member's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// A number of at least this.
    AtLeast(i64),
    /// A number of at most this.
    AtMost(i64),
    /// A string, list or map of at least this length.
    LengthAtLeast(usize),
    /// A string, list or map of at most this length.
    LengthAtMost(usize),
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// Only characters of a table's or index's name.
    NamePattern,
    /// A table's name or ARN (API Reference: 1 to 1,024 characters, of which a name may have 255).
    TableName,
    /// A map whose keys are tables' names or ARNs.
    TableKeys,
    /// A map whose lists have lengths between these.
    ListLengths(usize, usize),
    /// The Limit of a Query: AWS does not repeat a zero, and spells the member as it was sent.
    QueryLimit,
    /// The Keys of one table in a BatchGetItem: AWS does not repeat them, and spells the path as it
    /// was sent.
    BatchKeysAtMost(usize),
}

/// A member that must be there.
pub const fn required(name: &'static str, shape: Shape) -> Member {
    Member { name, required: true, shape }
}

/// A member that may be left out.
pub const fn optional(name: &'static str, shape: Shape) -> Member {
    Member { name, required: false, shape }
}

/// A string without limits.
pub const TEXT: Shape = Shape::Text(&[]);

/// Attribute values by name: an item or a key.
pub const ITEM: Shape = Shape::Map(ATTRIBUTE_VALUE, &Shape::Attribute, &[]);

/// The type of an attribute value in messages.
pub const ATTRIBUTE_VALUE: &str = "com.amazonaws.dynamodb.v20120810.AttributeValue";

pub const NAMES: Shape = Shape::Map("java.lang.String", &TEXT, &[]);

/// A list of strings.
pub const TEXTS: Shape = Shape::List(&TEXT, &[]);

/// The name of an index.
pub const INDEX_NAME: Shape =
    Shape::Text(&[Rule::NamePattern, Rule::LengthAtLeast(3), Rule::LengthAtMost(255)]);

/// The table of a call on items.
pub const TABLE: Member = required("TableName", Shape::Text(&[Rule::TableName]));
