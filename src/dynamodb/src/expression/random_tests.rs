//! Random expressions and statements: whatever the input, there is a value or an error, never a
//! panic. The seed is fixed; another one can be given in `DM_CORE_SEED`.

use serde_json::json;

use super::{Condition, ExpressionKind, KeyExpression, Placeholders, Projection, Update};
use crate::partiql::Statement;
use crate::random::Random;
use crate::value::{AttributeValue, Item, item_from_json};

const WORDS: &[&str] = &[
    "a",
    "m",
    "m.k",
    "l",
    "l[0]",
    "l[9]",
    "gone",
    "#a",
    "#x",
    ":n",
    ":s",
    ":l",
    ":ss",
    ":x",
    "(",
    ")",
    "((",
    "))",
    "[",
    "]",
    "[1]",
    ",",
    ".",
    "=",
    "<>",
    "<",
    ">=",
    "+",
    "-",
    "AND",
    "OR",
    "NOT",
    "IN",
    "IN (",
    "BETWEEN",
    "size(",
    "contains(",
    "begins_with(a,",
    "attribute_exists(",
    "SET",
    "REMOVE",
    "ADD",
    "DELETE",
    "SET a =",
    "if_not_exists(a,",
    "list_append(",
    "é",
    "😀",
    "\0",
    "'",
    "\"",
    "9",
];

const PARTIQL: &[&str] = &[
    "SELECT",
    "*",
    "FROM",
    "\"t\"",
    "t.i",
    "WHERE",
    "a",
    "m.k",
    "l[0]",
    "=",
    "<",
    "<>",
    "AND",
    "OR",
    "NOT",
    "IN",
    "BETWEEN",
    "IS MISSING",
    "IS NOT NULL",
    "?",
    "'x'",
    "-1.5",
    "1e5",
    "[",
    "]",
    "{",
    "'k':",
    "}",
    "<<",
    ">>",
    ",",
    "(",
    ")",
    "INSERT INTO t VALUE",
    "UPDATE t SET",
    "DELETE FROM t",
    "REMOVE",
    "a = a + 1",
    "set_add(a,",
    "list_append(",
    "RETURNING ALL OLD *",
    "ORDER BY a DESC",
    "EXISTS(",
    "begins_with(a,",
    "size(",
    "TRUE",
    "NULL",
    ";",
    "'",
    "\"",
    "é",
    "😀",
    "\0",
];

fn item() -> Item {
    item_from_json(&json!({
        "a": {"N": "1"}, "m": {"M": {"k": {"S": "x"}}}, "l": {"L": [{"N": "1"}]},
        "ss": {"SS": ["a"]},
    }))
    .unwrap()
}

fn placeholders() -> Placeholders {
    let names = json!({"#a": "ss"});
    let values = json!({":n": {"N": "1"}, ":s": {"S": "x"}, ":l": {"L": []}, ":ss": {"SS": ["a"]}});
    Placeholders::from_json(Some(&names), Some(&values)).unwrap()
}

/// How many of the random texts had a meaning.
fn check(rounds: usize, one: impl Fn(&mut Random) -> bool) {
    let mut random = Random::seeded(0x5eed_1234);
    let meant = (0..rounds).filter(|_| one(&mut random)).count();
    assert!(meant > 0, "nothing was understood in {rounds} rounds");
}

#[test]
fn random_words_are_an_expression_or_an_error() {
    let item = item();
    check(15_000, |random| {
        let text = random.text(WORDS);
        let condition = Condition::parse(ExpressionKind::Filter, &text, &mut placeholders());
        let matched = condition.as_ref().is_ok_and(|condition| condition.matches(&item));
        let update = Update::parse(&text, &mut placeholders());
        let updated = update.is_ok_and(|update| update.apply(&item).is_ok());
        let projection = Projection::parse(&text, &mut placeholders());
        let projected = projection.is_ok_and(|projection| projection.apply(&item).len() < 9);
        let key = KeyExpression::parse(&text, &mut placeholders());
        matched || updated || projected || key.is_ok()
    });
}

#[test]
fn random_words_are_a_statement_or_an_error() {
    let parameters = [AttributeValue::from("x"), AttributeValue::Null];
    check(15_000, |random| {
        let text = random.text(PARTIQL);
        (0..=2).any(|count| Statement::parse(&text, &parameters[..count]).is_ok())
    });
}

#[test]
fn random_pieces_of_right_expressions_are_one_or_an_error() {
    let right =
        "SET a = if_not_exists(a, :n) + :n, m.k = list_append(l, :l) REMOVE l[0] ADD #a :ss";
    let item = item();
    check(5_000, |random| {
        let (from, to) = (random.below(right.len()), random.below(right.len()));
        let text = format!("{}{}", &right[..from], &right[to..]);
        Update::parse(&text, &mut placeholders()).is_ok_and(|update| update.apply(&item).is_ok())
    });
}
