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

/// Most bytes of a transform's regular expressions, compiled. They match in linear time; this
/// bounds their memory, in the guard and in the operator. Four of `\w{10}` fit, and 32 short ones.
pub const PATTERN_BYTES_MAX: usize = 2 << 20;

/// What a regular expression counts at least: most of them need less.
pub const PATTERN_BYTES_LEAST: usize = 16 << 10;

/// Most different regular expressions of a transform. Each also has automata that the compiler
/// builds within its own limits, some 1 MiB for one.
pub const PATTERNS_MAX: usize = 32;

/// Most bytes of a value that an expression makes. No item may be larger, so no value needs more.
pub const VALUE_BYTES_MAX: usize = dm_dynamodb::value::ITEM_BYTES_MAX;

/// Most rows of a lookup file. A ConfigMap holds 1 MiB, which is less.
pub const LOOKUP_ROWS_MAX: usize = 1 << 20;

/// Most parameters of a statement. DynamoDB documents no limit; an expression may have 300
/// operators, and a statement has one for each parameter and each missing attribute.
pub const STATEMENT_PARAMETERS_MAX: usize = 100;
