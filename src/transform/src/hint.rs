//! What authors write who know another language, and how a transform says it. Pure text; the parser
//! decides where a hint applies.

/// Longest expression or path that a hint repeats: longer ones hide the advice.
const REPEATED_CHARS_MAX: usize = 60;

/// What to write instead of letters or `_` directly after a number, as in `1_000` or `0x10`.
pub(crate) const AFTER_NUMBER: &str = "a number has digits, a point and an exponent only: 1000, \
     0.5 or 1e6; a name that begins with a digit is in double quotes";

/// What to do about a function that resembles none.
pub(crate) const ALL_FUNCTIONS: &str =
    "docs/reference/transforms.md, section Expressions, lists all functions";

/// Symbols of other languages, the longer ones first, and how a transform says the same.
const SYMBOLS: [(&str, &str); 14] = [
    ("**", "there is no power operator; a * a is the square of a"),
    (";", "a field has one expression; write each in a separate field"),
    ("!=", "unequal is written <>"),
    ("==", "equal is written ="),
    ("&&", "write AND"),
    ("||", "write OR between conditions; concat(a, b) joins strings"),
    ("!", "write NOT before a condition, and <> for unequal"),
    ("%", "there is no remainder operator; a - b * floor(a / b) computes it"),
    ("?", "a choice is written if(condition, a, b)"),
    ("{", "a map is written map('name', value, …)"),
    ("`", "a string is written in single quotes, an unusual name in double quotes"),
    ("‘", "a string is written in straight single quotes: 'text'"),
    ("’", "a string is written in straight single quotes: 'text'"),
    ("“", "a string is written in straight single quotes: 'text'"),
];

/// Functions of other languages by their names in lower case, and those that do the same here.
const FUNCTIONS: [(&str, &str); 27] = [
    ("coalesce", "if_not_exists"),
    ("ifnull", "if_not_exists"),
    ("nvl", "if_not_exists"),
    ("get", "if_not_exists"),
    ("exists", "attribute_exists"),
    ("not_exists", "attribute_not_exists"),
    ("len", "size"),
    ("length", "size"),
    ("count", "size"),
    ("str", "string"),
    ("text", "string"),
    ("to_string", "string"),
    ("int", "number"),
    ("float", "number"),
    ("to_number", "number"),
    ("cast", "convert"),
    ("strip", "trim"),
    ("join", "concat"),
    ("append", "list_append"),
    ("push", "list_append"),
    ("add", "union"),
    ("lpad", "pad_left"),
    ("zfill", "pad_left"),
    ("today", "now"),
    ("sha256", "hash"),
    ("regex", "matches"),
    ("startswith", "begins_with"),
];

/// Returns how a transform says what the text begins with in another language.
pub(crate) fn symbol(rest: &str) -> Option<&'static str> {
    SYMBOLS.iter().find(|(symbol, _)| rest.starts_with(symbol)).map(|(_, hint)| *hint)
}

/// Returns what to write instead of a word of another language after a value.
pub(crate) fn word(word: &str) -> Option<&'static str> {
    Some(match word.to_ascii_uppercase().as_str() {
        "IS" => {
            "attribute_exists(path) is true where the attribute is there, and a = null where it is \
             null"
        }
        "LIKE" | "ILIKE" | "RLIKE" => {
            "begins_with(a, 'x'), contains(a, 'x') or matches(a, 'regex') compare strings"
        }
        "NOT" => "NOT stands before the whole comparison: NOT a IN (1, 2)",
        "WHEN" | "THEN" | "ELSE" | "IF" => "a choice is written if(condition, a, b)",
        "MOD" => "there is no remainder operator; a - b * floor(a / b) computes it",
        _ => return None,
    })
}

/// Returns the advice for the name of a function that there is not.
pub(crate) fn function(name: &str, similar: Option<&str>) -> Option<String> {
    let known = name.to_ascii_lowercase();
    let meant = FUNCTIONS.iter().find(|(other, _)| *other == known).map(|(_, meant)| *meant);
    match meant {
        Some("convert") => Some("the action convert changes a type".into()),
        Some(meant) => Some(format!("{meant} does this")),
        None => similar.map(|similar| format!("did you mean {similar}?")),
    }
}

/// Returns what made of a name a truth value: kubectl reads YAML 1.1.
pub(crate) fn truth_word(text: &str) -> Option<String> {
    let words = match text {
        "false" => "n, no or off",
        "true" => "y, yes or on",
        _ => return None,
    };
    Some(format!(
        "if the manifest has {words} here, write it in quotes, because YAML reads it as {text}; an \
         attribute {text} is written '\"{text}\"'"
    ))
}

/// Returns how a path is written whose names have characters that need quotes, if that is its
/// mistake.
pub(crate) fn quoted_path(text: &str) -> Option<String> {
    let unusual = |name: &str| {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
        !name.chars().all(plain) || name.starts_with(|c: char| c.is_ascii_digit())
    };
    let names: Vec<&str> = text.split('.').collect();
    let broken = |name: &&str| name.is_empty() || name.contains(['"', '\'', '[', ']']);
    let helps = names.iter().any(|name| unusual(name)) && !names.iter().any(broken);
    if !helps || text.chars().count() > REPEATED_CHARS_MAX {
        return None;
    }
    let quoted = |name: &&str| {
        if unusual(name) { format!("\"{name}\"") } else { (*name).to_owned() }
    };
    let path = names.iter().map(quoted).collect::<Vec<_>>().join(".");
    Some(format!(
        "a name with characters other than letters, digits and _ is in double quotes, and in YAML \
         the whole in single quotes: '{path}'"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_quoted_where_quotes_help() {
        let path = |text: &str| {
            quoted_path(text).map(|hint| hint.rsplit(": ").next().unwrap_or_default().to_owned())
        };
        assert_eq!(path("first-name").as_deref(), Some("'\"first-name\"'"));
        assert_eq!(path("a.größe.b").as_deref(), Some("'a.\"größe\".b'"));
        assert_eq!(path("1st").as_deref(), Some("'\"1st\"'"));
        for text in ["a..b", "a[x]", "\"a", "in", &"ö".repeat(61)] {
            assert_eq!(path(text), None, "{text}");
        }
    }

    #[test]
    fn a_truth_value_may_have_been_another_word() {
        let hint = truth_word("false").unwrap();
        assert!(hint.starts_with("if the manifest has n, no or off here"), "{hint}");
        assert_eq!((truth_word("n"), truth_word("False")), (None, None));
    }

    #[test]
    fn every_function_that_a_hint_names_exists() {
        for (name, meant) in FUNCTIONS {
            assert!(crate::function::named(name).is_none(), "{name} is a function");
            assert!(meant == "convert" || crate::function::named(meant).is_some(), "{meant}");
        }
    }
}
