//! The grammar of statements.

use std::collections::HashSet;

use super::condition::{condition, incorrect_type};
use super::cursor::{Cursor, Result, malformed};
use super::literal::{is_literal, item, literal};
use super::token::TokenKind;
use super::{Delete, Insert, Returning, Select, Statement, UpdateStatement, output_name};
use crate::error::ServiceError;
use crate::expression::{
    Action, Condition, Path, PathRelation, SetValue, Target, Update, Words, needs_path, relation,
    same_path,
};
use crate::value::{AttributeType, AttributeValue};

const LIST_APPEND: &str = "list_append";
const IF_NOT_EXISTS: &str = "if_not_exists";

pub(super) fn parse(text: &str, parameters: &[AttributeValue]) -> Result<Statement> {
    let mut cursor = Cursor::new(text, parameters)?;
    let statement = if cursor.eat_word("SELECT") {
        Statement::Select(select(&mut cursor)?)
    } else if cursor.eat_word("INSERT") {
        Statement::Insert(insert(&mut cursor)?)
    } else if cursor.eat_word("UPDATE") {
        Statement::Update(update(&mut cursor)?)
    } else if cursor.eat_word("FROM") {
        Statement::Update(update_from(&mut cursor)?)
    } else if cursor.eat_word("DELETE") {
        Statement::Delete(delete(&mut cursor)?)
    } else if cursor.eat_word("EXISTS") {
        cursor.expect_symbol("(")?;
        cursor.expect_word("SELECT")?;
        let select = select(&mut cursor)?;
        cursor.expect_symbol(")")?;
        Statement::Exists(select)
    } else {
        return Err(cursor.unexpected());
    };
    cursor.finish()?;
    Ok(statement)
}

fn select(cursor: &mut Cursor) -> Result<Select> {
    let list = if cursor.eat_symbol("*") { None } else { Some(select_list(cursor)?) };
    cursor.expect_word("FROM")?;
    let (table, index) = table(cursor)?;
    let condition = where_clause(cursor)?;
    let order = if cursor.eat_word("ORDER") { order(cursor)? } else { Vec::new() };
    Ok(Select { table, index, list, condition, order })
}

fn select_list(cursor: &mut Cursor) -> Result<Vec<Path>> {
    let mut paths = Vec::new();
    loop {
        let (token, next) = (cursor.peek(), cursor.look(1));
        if token.kind == TokenKind::Word && next.kind == TokenKind::Symbol && next.text == "(" {
            let place = cursor.position();
            return Err(ServiceError::validation(format!("Unexpected path component at {place}")));
        }
        paths.push(cursor.path()?);
        if !cursor.eat_symbol(",") {
            check_names(&paths)?;
            check_apart(&paths.iter().collect::<Vec<_>>())?;
            return Ok(paths);
        }
    }
}

/// Refuses two values under one name.
fn check_names(paths: &[Path]) -> Result<()> {
    let mut seen = HashSet::new();
    match paths.iter().map(output_name).find(|name| !seen.insert(name.clone())) {
        Some(name) => {
            Err(ServiceError::validation(format!("Duplicate identifiers in select clause: {name}")))
        }
        None => Ok(()),
    }
}

fn order(cursor: &mut Cursor) -> Result<Vec<(String, bool)>> {
    cursor.expect_word("BY")?;
    let mut terms = Vec::new();
    loop {
        let name = cursor.name()?;
        let descends = cursor.eat_word("DESC") || {
            cursor.eat_word("ASC");
            false
        };
        terms.push((name, descends));
        if !cursor.eat_symbol(",") {
            return Ok(terms);
        }
    }
}

/// `"table"` or `"table"."index"`.
fn table(cursor: &mut Cursor) -> Result<(String, Option<String>)> {
    let table = cursor.name()?;
    let index = if cursor.eat_symbol(".") { Some(cursor.name()?) } else { None };
    Ok((table, index))
}

/// Writes name tables only.
fn written_table(cursor: &mut Cursor) -> Result<String> {
    match table(cursor)? {
        (table, None) => Ok(table),
        (_, Some(_)) => Err(ServiceError::validation(
            "Cannot perform UPDATE/DELETE/INSERT operations on an index",
        )),
    }
}

fn where_clause(cursor: &mut Cursor) -> Result<Option<Condition>> {
    if cursor.eat_word("WHERE") { condition(cursor).map(Some) } else { Ok(None) }
}

fn insert(cursor: &mut Cursor) -> Result<Insert> {
    cursor.expect_word("INTO")?;
    let table = written_table(cursor)?;
    cursor.expect_word("VALUE")?;
    if is_literal(cursor) && !cursor.is_symbol("{") {
        return Err(ServiceError::validation(format!(
            "Unsupported format in item expression. Please use struct format {{...}} to express \
             item values for insert statement. at {}",
            cursor.position()
        )));
    }
    let item = item(cursor)?;
    if cursor.is_word("RETURNING") {
        return Err(ServiceError::validation("RETURNING is not supported in INSERT"));
    }
    Ok(Insert { table, item })
}

fn update(cursor: &mut Cursor) -> Result<UpdateStatement> {
    let table = written_table(cursor)?;
    let actions = actions(cursor)?;
    let condition = where_clause(cursor)?;
    updated(cursor, table, actions, condition)
}

/// The same as PartiQL writes it: the table and the condition come first.
fn update_from(cursor: &mut Cursor) -> Result<UpdateStatement> {
    let table = written_table(cursor)?;
    let condition = where_clause(cursor)?;
    let actions = actions(cursor)?;
    updated(cursor, table, actions, condition)
}

fn updated(
    cursor: &mut Cursor,
    table: String,
    actions: Vec<Target>,
    condition: Option<Condition>,
) -> Result<UpdateStatement> {
    let returning = returning(cursor)?;
    let update = Update { actions, words: Words::Expression };
    Ok(UpdateStatement { table, update, condition, returning })
}

/// `SET` and `REMOVE` with what they do.
fn actions(cursor: &mut Cursor) -> Result<Vec<Target>> {
    let mut actions = Vec::new();
    loop {
        if cursor.eat_word("SET") {
            actions.push(set(cursor)?);
            while cursor.eat_symbol(",") {
                actions.push(set(cursor)?);
            }
        } else if cursor.eat_word("REMOVE") {
            actions.push(Target { path: cursor.path()?, action: Action::Remove });
            while cursor.eat_symbol(",") {
                actions.push(Target { path: cursor.path()?, action: Action::Remove });
            }
        } else {
            break;
        }
    }
    if actions.is_empty() {
        return Err(cursor.unexpected());
    }
    check_apart(&actions.iter().map(|target| &target.path).collect::<Vec<_>>())?;
    Ok(actions)
}

fn delete(cursor: &mut Cursor) -> Result<Delete> {
    cursor.expect_word("FROM")?;
    let table = written_table(cursor)?;
    let condition = where_clause(cursor)?;
    let returns_old = match returning(cursor)? {
        None => false,
        Some(Returning::AllOld) => true,
        Some(other) => {
            return Err(ServiceError::validation(format!(
                "Invalid returning clause: RETURNING {} *. Only RETURNING ALL OLD * is allowed in \
                 DELETE statements.",
                other.words()
            )));
        }
    };
    Ok(Delete { table, condition, returns_old })
}

fn returning(cursor: &mut Cursor) -> Result<Option<Returning>> {
    if !cursor.eat_word("RETURNING") {
        return Ok(None);
    }
    let all = cursor.eat_word("ALL");
    if !all {
        cursor.expect_word("MODIFIED")?;
    }
    let old = cursor.eat_word("OLD");
    if !old {
        cursor.expect_word("NEW")?;
    }
    cursor.expect_symbol("*")?;
    Ok(Some(match (all, old) {
        (true, true) => Returning::AllOld,
        (true, false) => Returning::AllNew,
        (false, true) => Returning::ModifiedOld,
        (false, false) => Returning::ModifiedNew,
    }))
}

/// One assignment. `set_add` and `set_delete` must assign to the set they work on.
fn set(cursor: &mut Cursor) -> Result<Target> {
    let path = cursor.path()?;
    cursor.expect_symbol("=")?;
    for (name, make) in
        [("set_add", Action::Add as fn(_) -> _), ("set_delete", Action::Delete as fn(_) -> _)]
    {
        if is_call(cursor, name) {
            cursor.advance();
            cursor.advance();
            cursor.count_operator()?;
            let (first, value) = (cursor.path()?, second_argument(cursor)?);
            if first != path || !value.kind().is_set() {
                return Err(malformed(&format!(
                    "{name} takes the attribute it is assigned to, and a set"
                )));
            }
            return Ok(Target { path, action: make(value) });
        }
    }
    let left = term(cursor)?;
    let operators = [("+", SetValue::Plus as fn(_, _) -> _), ("-", SetValue::Minus)];
    let Some((name, make)) = operators.into_iter().find(|(name, _)| cursor.eat_symbol(name)) else {
        return Ok(Target { path, action: Action::Set(left) });
    };
    cursor.count_operator()?;
    let right = term(cursor)?;
    for side in [&left, &right] {
        check_operand(name, side, AttributeType::N)?;
    }
    Ok(Target { path, action: Action::Set(make(Box::new(left), Box::new(right))) })
}

/// Checks what is given directly, before the item is known.
fn check_operand(name: &str, operand: &SetValue, expected: AttributeType) -> Result<()> {
    let kind = match operand {
        SetValue::Value(value) => value.kind(),
        SetValue::ListAppend(..) => AttributeType::L,
        _ => return Ok(()),
    };
    if kind == expected { Ok(()) } else { Err(incorrect_type(name, kind.as_str())) }
}

fn second_argument(cursor: &mut Cursor) -> Result<AttributeValue> {
    cursor.expect_symbol(",")?;
    let value = literal(cursor)?;
    cursor.expect_symbol(")")?;
    Ok(value)
}

fn is_call(cursor: &Cursor, name: &str) -> bool {
    let next = cursor.look(1);
    cursor.is_word(name) && next.kind == TokenKind::Symbol && next.text == "("
}

/// A value, a path, `list_append(a, b)` or `if_not_exists(path, a)`.
fn term(cursor: &mut Cursor) -> Result<SetValue> {
    if is_call(cursor, LIST_APPEND) {
        let [first, second] = arguments(cursor)?;
        for side in [&first, &second] {
            check_operand(LIST_APPEND, side, AttributeType::L)?;
        }
        return Ok(SetValue::ListAppend(Box::new(first), Box::new(second)));
    }
    if is_call(cursor, IF_NOT_EXISTS) {
        let [first, second] = arguments(cursor)?;
        let SetValue::Path(path) = first else {
            return Err(ServiceError::validation(needs_path(IF_NOT_EXISTS)));
        };
        if let SetValue::Path(other) = &second
            && let Some(same) = same_path(IF_NOT_EXISTS, &path, other)
        {
            return Err(ServiceError::validation(same));
        }
        return Ok(SetValue::IfNotExists(path, Box::new(second)));
    }
    if cursor.eat_symbol("(") {
        let inner = cursor.descend(term)?;
        cursor.expect_symbol(")")?;
        return Ok(inner);
    }
    if is_literal(cursor) {
        return literal(cursor).map(SetValue::Value);
    }
    cursor.path().map(SetValue::Path)
}

/// The two arguments of a function whose name is at hand.
fn arguments(cursor: &mut Cursor) -> Result<[SetValue; 2]> {
    cursor.advance();
    cursor.advance();
    cursor.count_operator()?;
    let first = cursor.descend(term)?;
    cursor.expect_symbol(",")?;
    let second = cursor.descend(term)?;
    cursor.expect_symbol(")")?;
    Ok([first, second])
}

fn check_apart(paths: &[&Path]) -> Result<()> {
    for (at, second) in paths.iter().enumerate() {
        for first in &paths[..at] {
            let what = match relation(first, second) {
                PathRelation::Apart => continue,
                PathRelation::Overlap => "overlap",
                PathRelation::Conflict => "conflict",
            };
            return Err(ServiceError::validation(format!(
                "Two document paths {what} with each other; must remove or rewrite one of these \
                 paths; path one: {first}, path two: {second}"
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::{Item, item_from_json, item_to_json};
    use serde_json::{Value, json};

    fn parsed(text: &str, parameters: &[AttributeValue]) -> Statement {
        Statement::parse(text, parameters).unwrap()
    }

    fn check_error(text: &str, expected: &str) {
        let message = Statement::parse(text, &[]).unwrap_err().message;
        assert_eq!(message, expected, "{text:.100}");
    }

    #[allow(clippy::needless_pass_by_value)] // reads better with json! literals
    fn check_update(text: &str, expected: Value) {
        let item = item_from_json(&json!({
            "n": {"N": "1"}, "l": {"L": [{"N": "1"}]}, "ss": {"SS": ["a"]}, "s": {"S": "x"},
        }));
        let Statement::Update(statement) = parsed(text, &[]) else { panic!("{text}") };
        let outcome = statement.update.apply(&item.unwrap()).unwrap();
        assert_eq!(item_to_json(&outcome.updated_new()), expected, "{text}");
    }

    #[test]
    fn an_update_may_name_its_condition_first() {
        let first = "FROM t WHERE id = 'a' SET n = 2, s = 'y' REMOVE l RETURNING ALL OLD *";
        let last = "UPDATE t SET n = 2, s = 'y' REMOVE l WHERE id = 'a' RETURNING ALL OLD *";
        assert_eq!(parsed(first, &[]), parsed(last, &[]));
        check_error(
            "FROM t WHERE id = 'a'",
            "Statement wasn't well formed, can't be processed: Unexpected end of statement at \
             1:22:0",
        );
    }

    #[test]
    fn select_reads_a_table_or_an_index() {
        let Statement::Select(select) =
            parsed("select a, m.b, l[0] from \"t\".\"i\" where p = 'x' order by s desc, q;", &[])
        else {
            panic!("a SELECT")
        };
        assert_eq!((select.table.as_str(), select.index.as_deref()), ("t", Some("i")));
        assert_eq!(select.order, [("s".to_owned(), true), ("q".to_owned(), false)]);
        let item = item_from_json(&json!({
            "a": {"S": "x"}, "m": {"M": {"b": {"N": "1"}}}, "l": {"L": [{"N": "2"}]},
        }));
        assert_eq!(
            item_to_json(&select.project(&item.unwrap())),
            json!({"a": {"S": "x"}, "b": {"N": "1"}, "l[0]": {"N": "2"}})
        );
        let all = parsed("SELECT * FROM t", &[]);
        assert!(matches!(&all, Statement::Select(select) if select.list.is_none()));
        assert!(all.is_read());
    }

    #[test]
    fn what_select_lists_must_stand_apart() {
        check_error("SELECT a, b.a FROM t", "Duplicate identifiers in select clause: a");
        check_error(
            "SELECT m.k[0], m.k FROM t",
            "Two document paths overlap with each other; must remove or rewrite one of these \
             paths; path one: [m, k, [0]], path two: [m, k]",
        );
    }

    #[test]
    fn insert_takes_its_map_written_out() {
        for value in ["?", "'x'", "[1]"] {
            let text = format!("INSERT INTO t VALUE {value}");
            let parameters: Vec<_> =
                (value == "?").then(|| AttributeValue::M(Item::new())).into_iter().collect();
            let message = Statement::parse(&text, &parameters).unwrap_err().message;
            assert!(message.starts_with("Unsupported format in item expression."), "{message}");
        }
    }

    #[test]
    fn insert_takes_a_map() {
        let parameters = [AttributeValue::from(7)];
        let text = "INSERT INTO \"t\" VALUE {'p': 'x', 'n': ?, 'l': [1, 'a']}";
        let Statement::Insert(insert) = parsed(text, &parameters) else { panic!("an INSERT") };
        assert_eq!(
            item_to_json(&insert.item),
            json!({"p": {"S": "x"}, "n": {"N": "7"}, "l": {"L": [{"N": "1"}, {"S": "a"}]}})
        );
    }

    #[test]
    fn update_sets_and_removes() {
        check_update(
            "UPDATE t SET n = n + 1, s = 'y' WHERE p = 'x'",
            json!({"n": {"N": "2"}, "s": {"S": "y"}}),
        );
        check_update(
            "UPDATE t SET n = 3 - n SET new_one = {'a': [1]} WHERE p = 'x'",
            json!({
                "n": {"N": "2"}, "new_one": {"M": {"a": {"L": [{"N": "1"}]}}},
            }),
        );
        check_update(
            "UPDATE t SET l = list_append(l, [2]) REMOVE s WHERE p = 'x'",
            json!({
                "l": {"L": [{"N": "1"}, {"N": "2"}]},
            }),
        );
        check_update(
            "UPDATE t SET ss = set_add(ss, <<'b'>>) WHERE p = 'x'",
            json!({"ss": {"SS": ["a", "b"]}}),
        );
        check_update("UPDATE t SET ss = set_delete(ss, <<'a'>>) WHERE p = 'x'", json!({}));
    }

    #[test]
    fn returning_is_read() {
        for (words, expected) in [
            ("ALL OLD", Returning::AllOld),
            ("ALL NEW", Returning::AllNew),
            ("MODIFIED OLD", Returning::ModifiedOld),
            ("modified new", Returning::ModifiedNew),
        ] {
            let text = format!("UPDATE t SET a = 1 WHERE p = 'x' RETURNING {words} *");
            let Statement::Update(update) = parsed(&text, &[]) else { panic!("an UPDATE") };
            assert_eq!(update.returning, Some(expected));
        }
        let deleted = parsed("DELETE FROM t WHERE p = 'x' RETURNING ALL OLD *", &[]);
        assert!(matches!(deleted, Statement::Delete(delete) if delete.returns_old));
        let exists = parsed("EXISTS(SELECT * FROM t WHERE p = 'x' AND a IS MISSING)", &[]);
        assert!(matches!(exists, Statement::Exists(_)));
    }

    #[test]
    fn what_is_malformed_says_where() {
        let malformed = "Statement wasn't well formed, can't be processed: ";
        for (text, expected) in [
            ("", "Unexpected end of statement at 1:1:0"),
            ("SELECTT * FROM t", "Unexpected term at 1:1:7"),
            ("SELECT *\nFROMM t", "Unexpected term at 2:1:5"),
            ("SELECT * FROM t WHERE", "Unexpected end of statement at 1:22:0"),
            ("UPDATE t WHERE p = 1", "Unexpected term at 1:10:5"),
            ("DELETE FROM t WHERE p = 'x' RETURNING *", "Unexpected term at 1:39:1"),
            ("SELECT * FROM t t2", "Unexpected term at 1:17:2"),
        ] {
            check_error(text, &format!("{malformed}{expected}"));
        }
        check_error(
            "INSERT INTO t VALUE {'p': 'x'} RETURNING ALL OLD *",
            "RETURNING is not supported in INSERT",
        );
        check_error(
            "DELETE FROM t WHERE p = 'x' RETURNING MODIFIED OLD *",
            "Invalid returning clause: RETURNING MODIFIED OLD *. Only RETURNING ALL OLD * is \
             allowed in DELETE statements.",
        );
        check_error("SELECT COUNT(*) FROM t", "Unexpected path component at 1:8:5");
        check_error(
            "SELECT * FROM t WHERE a = ?",
            "Number of parameters in request and statement don't match.",
        );
        let error = Statement::parse("SELECT * FROM t", &[AttributeValue::Null]).unwrap_err();
        assert_eq!(error.message, "Number of parameters in request and statement don't match.");
        check_error(
            "UPDATE t SET a = 1, a.b = 2 WHERE p = 1",
            "Two document paths overlap with each other; must remove or rewrite one of these \
             paths; path one: [a], path two: [a, b]",
        );
    }

    #[test]
    fn hostile_input_gets_an_error_and_no_more() {
        for text in [
            "(".repeat(1_000_000),
            "😀".repeat(8_000),
            format!("UPDATE t SET a = {}", "list_append(".repeat(600)),
            format!("SELECT * FROM t WHERE {}", "(".repeat(8_000)),
            format!("INSERT INTO t VALUE {}", "[".repeat(8_000)),
            "'".to_owned(),
            "SELECT a[99999999999999999999] FROM t".to_owned(),
            format!("SELECT a{} FROM t", ".b".repeat(100)),
        ] {
            assert!(Statement::parse(&text, &[]).is_err());
        }
    }
}
