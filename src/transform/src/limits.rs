//! Bounds of a transform, each with its reason.

/// Most bytes of one expression: DynamoDB's own bound.
pub const EXPRESSION_BYTES_MAX: usize = 4096;

/// Deepest nesting of parentheses, calls and signs. Our own bound, so that no input exhausts the
/// stack.
pub const DEPTH_MAX: usize = 32;

/// Most actions of one transform. Far above what one reviewer reads, and a custom resource stays
/// small.
pub const ACTIONS_MAX: usize = 200;

/// Most top-level attributes that one transform reads or writes. A conditional update names each of
/// them twice, within DynamoDB's 300 operators and 4 KB for one expression.
pub const ATTRIBUTES_MAX: usize = 100;

/// Most top-level attributes of an item that moves to another key: its deletion is bound to each.
pub const MOVED_ATTRIBUTES_MAX: usize = 140;

/// Most bytes of a compiled regular expression. They match in linear time; this bounds their
/// memory.
pub const REGEX_BYTES_MAX: usize = 1 << 20;

/// Most bytes of a value that an expression makes. No item may be larger, so no value needs more.
pub const VALUE_BYTES_MAX: usize = dm_dynamodb::value::ITEM_BYTES_MAX;

/// Most rows of a lookup file. A ConfigMap holds 1 MiB, which is less.
pub const LOOKUP_ROWS_MAX: usize = 1 << 20;
