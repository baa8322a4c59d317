//! What the parser takes, what it rejects, and with which message.

use super::*;

fn check(text: &str, column: usize, message: &str) {
    let mistake = expression(text, &Shared::of(&Files::default())).unwrap_err();
    let error = mistake.within("set.x", text);
    assert_eq!(error.column, Some(column), "{text}: {error}");
    assert!(error.message.starts_with(message), "{text}: {}", error.message);
}

#[test]
fn every_form_is_understood() {
    for text in [
        "a",
        "a.b[3].\"c-d\"",
        "12 * if_not_exists(horsepower, displacement / 2) + weight / 2",
        "-(a - -1)",
        "a = 1 AND NOT (b < 2 OR c >= 3) and d <> 'x'",
        "a BETWEEN 1 AND 2 AND b IN (1, 'x', c)",
        "if(a > 1, 'big', 'small')",
        "split(name, ' ')[0]",
        "(map('a', 1)).a",
        "attribute_exists(a.b) OR attribute_not_exists(c) OR attribute_type(d, 'N')",
        "begins_with(a, 'x') AND contains(b, 1)",
        "size(a) > 3",
        "split(a, '-')[0]",
        "split(a, '[.]')",
        "epoch(a, zone)",
        "true",
        "\"true\"",
        "year",
    ] {
        assert!(expression(text, &Shared::of(&Files::default())).is_ok(), "{text}");
    }
}

#[test]
fn a_condition_depends_on_the_item_or_on_the_time() {
    for text in [
        "now() < 1767225600",
        "lookup('x.csv', a, 'v') = 'b'",
        "a = b",
        "if_not_exists(a, 1) = 1",
        "'x' IN (a, 'b')",
        "contains('a b c', kind)",
        "if_not_exists(a, 1) = 'x'",
        "json(a) = '1'",
        "parse_json(a) = 1",
        "split(a, ' ')[0] = 1",
    ] {
        let files = Files::of([("x.csv", b"k,v\n".as_slice())]);
        let parsed = condition(text, &Shared::of(&files));
        assert!(parsed.is_ok(), "{text}: {parsed:?}");
    }
    let none = "this condition reads no attribute";
    check("a = 1 OR 'kind' = 'order'", 10, none);
    check("if('a' = 'b', 1, 2)", 4, none);
    check("NOT begins_with('a', 'b')", 17, none);
    check("a + 1 = 'x'", 1, "a number is compared with a string, which never match");
    check("b IN (1) AND now() IN ('x')", 14, "a number is compared with a string");
    check("concat(a, 'x')[0]", 15, "a string has no elements with a number; a list has");
    check("split(a, ' ').x", 14, "a list has no fields; a map has");
}

#[test]
fn mistakes_are_named_with_their_column() {
    check("", 1, "there is no expression");
    check("a +", 4, "expected a value, found the end");
    check("a b", 3, "expected an operator or the end, found b");
    check("a + (b", 7, "expected ), found the end");
    check("rond_to(a, 5)", 1, "there is no function rond_to; did you mean round_to?");
    check(
        "frobnicate(a)",
        1,
        "there is no function frobnicate; docs/reference/transforms.md, section Expressions, lists \
         all functions",
    );
    check("round_to(a)", 1, "round_to takes 2 arguments, found 1");
    check("concat()", 1, "concat takes at least 1 argument, found 0");
    check("a AND b = 1", 1, "expected a condition");
    check("a = 1 AND b", 11, "expected a condition");
    check("NOT a", 5, "expected a condition");
    check("(a = 1) + 1", 1, "expected a value, found a condition");
    check("1 + (a = 1)", 5, "expected a value, found a condition");
    check("a[b]", 3, "expected the number of a list's element");
    check("a.1", 3, "expected the name of an attribute, found 1");
    check("in", 1, "expected a value, found in");
    check("if(a, 1, 2)", 4, "expected a condition");
    check("matches(a, b)", 12, "the pattern of matches is written out as a string");
    check("matches(a, '(')", 12, "this is not a regular expression:");
    check("1e200", 1, "a number has at most 38 digits");
    check("é", 1, "the character é has no meaning here");
    check("a = 'é' !", 9, "write NOT before a condition");
    check("a BETWEEN 1 OR 2", 13, "expected AND and the upper bound");
    check("lookup('x.csv', a, 'b')", 8, "there is no file x.csv");
    check("attribute_type(a, 'X')", 19, "X is not a type");
    check("concat(a, 5)", 11, "concat needs a string (string(a) makes one), not a number");
    check("upper(size(x))", 7, "upper needs a string, not a number");
    check("weight + '5'", 10, "+ needs a number (concat joins strings), not a string");
    check("-lower(a)", 2, "- needs a number, not a string");
    check("round_to(x, 0)", 13, "round_to needs a step other than 0");
    check("x / 0", 5, "a division by zero has no result");
    check("replace(a, '', 'x')", 12, "the text that replace needs is empty");
    check("pad_left(a, 5, '')", 16, "the text that pad_left needs is empty");
    check("substring(a, -1)", 14, "substring counts from 0 in whole numbers");
    check("uuid5('foo', a)", 7, "the namespace of uuid5 is dns");
    check("epoch(day, 'Europe/Madrid')", 12, "a zone is Z or an offset");
    check("number('abc') <> 1", 8, "the string is not a number");
    check("union(a, 'x')", 10, "union needs a set, not a string");
    check("split(email, '.')", 14, ". has a meaning in regular expressions; to split at this");
    check("split(k, '|')", 10, "| has a meaning in regular expressions");
    check("split(k, '^')", 10, "^ has a meaning in regular expressions; to split at this");
    check("if_not_exists(1, 2)", 15, "expected the name of an attribute");
}

#[test]
fn hostile_input_gets_a_mistake_and_no_more() {
    for text in ["(", "-", "NOT ", "abs(", "a+", "[", "a.", "\"x ", "'x "] {
        for count in [1, 100, 2_000, 100_000] {
            assert!(
                expression(&text.repeat(count), &Shared::of(&Files::default())).is_err(),
                "{text}"
            );
        }
    }
    let long = format!("a{}", "+1".repeat(2_000));
    assert!(expression(&long, &Shared::of(&Files::default())).is_err());
}

#[test]
fn operators_bind_as_everywhere() {
    let same = |left: &str, right: &str| {
        let shown =
            |text| format!("{:?}", expression(text, &Shared::of(&Files::default())).unwrap());
        assert_eq!(shown(left), shown(right), "{left}");
    };
    same("a + b * c", "a + (b * c)");
    same("a - b - c", "(a - b) - c");
    same("a / b * c", "(a / b) * c");
    same("-a * b", "(-a) * b");
    same("a = 1 OR b = 2 AND c = 3", "a = 1 OR (b = 2 AND c = 3)");
    same("NOT a = 1 AND b = 2", "(NOT a = 1) AND b = 2");
    same("a + 1 > b", "(a + 1) > b");
}
