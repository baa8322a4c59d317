//! Code that leads a client past the guard, as far as its text shows it. An error is what a client
//! is certainly given; a warning is what may be meant for another purpose, such as an attribute of
//! an item.

use super::language::Language;

/// The variables that name the guard begin with this.
const VARIABLE: &str = "AWS_ENDPOINT_URL";

/// Text of a line that reads a variable of the environment.
const READS: [&str; 3] = ["environ", "getenv", "process.env"];

/// Words in front of a variable that remove it.
const REMOVALS: [&str; 3] = ["unset", "del", "delete"];

/// Lines of a call in front of an argument: formatters write each argument on a separate line.
const CALL_LINES_MAX: usize = 20;

const WITHOUT_ENDPOINT: &str = "create the client without an endpoint";

const WITHOUT_CREDENTIALS: &str = "create the client without credentials";

/// Something that leads past the guard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Past {
    /// What it is, and what to do.
    pub message: String,
    /// Whether a client is certainly given it.
    pub is_certain: bool,
}

/// A file of a program.
#[derive(Clone, Copy, Debug)]
pub struct Code<'a> {
    language: Language,
    lines: &'a [&'a str],
    /// Whether it reads the guard's address, which it may pass to a client.
    reads_guard: bool,
}

/// What a line does with a variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Use {
    Changes,
    Reads,
    Names,
}

impl Past {
    fn certainly(named: &str, instead: &str) -> Self {
        let message = format!("{named} bypasses the guard, and the program then fails: {instead}");
        Self { message, is_certain: true }
    }

    fn perhaps(named: &str, instead: &str) -> Self {
        let message = format!(
            "{named} may bypass the guard, and the program then fails: if a client is given it, \
             {instead}"
        );
        Self { message, is_certain: false }
    }
}

impl<'a> Code<'a> {
    /// Lines of a file, and which of them are no code.
    pub fn new(language: Language, lines: &'a [&'a str], is_prose: &[bool]) -> Self {
        let code = lines.iter().zip(is_prose).filter(|(_, is_prose)| !**is_prose);
        let mut uses = code.filter_map(|(line, _)| line.split_once(VARIABLE));
        let reads_guard = uses.any(|(before, after)| use_of(before, after) == Use::Reads);
        Self { language, lines, reads_guard }
    }

    /// What on a line leads past the guard.
    pub fn past_guard(&self, at: usize) -> Option<Past> {
        let line = self.lines[at];
        if let Some((before, after)) = line.split_once(VARIABLE) {
            let instead = "the environment names the guard already";
            return match use_of(before, after) {
                Use::Changes => Some(Past::certainly(VARIABLE, instead)),
                Use::Reads => None,
                Use::Names => Some(Past::perhaps(VARIABLE, instead)),
            };
        }
        let arguments: &[(&str, &str)] = match self.language {
            Language::Python => {
                &[("endpoint_url", WITHOUT_ENDPOINT), ("aws_access_key_id", WITHOUT_CREDENTIALS)]
            }
            Language::JavaScript => &[("endpoint", WITHOUT_ENDPOINT)],
            Language::Shell => &[],
        };
        let argument = arguments.iter().find_map(|(named, instead)| {
            let is_certain = self.argument(at, named)?;
            let past = if is_certain { Past::certainly } else { Past::perhaps };
            Some(past(named, instead))
        });
        argument.or_else(|| self.command_line(at))
    }

    /// Whether the line has a named argument of a client, if it has one that looks like it.
    fn argument(&self, at: usize, named: &str) -> Option<bool> {
        let line = self.lines[at];
        let is_name = |char: char| char.is_alphanumeric() || "_-.$".contains(char);
        line.match_indices(named).find_map(|(begin, _)| {
            let (before, after) = (&line[..begin], &line[begin + named.len()..]);
            if before.ends_with(is_name) || after.starts_with(is_name) {
                return None;
            }
            let is_quoted = before.ends_with(['"', '\'']);
            if !is_quoted && is_in_text(before) {
                return None;
            }
            let value = after.trim_start_matches(['"', '\'']).trim_start();
            let is_named = match self.language {
                Language::Python if !is_quoted => is_set(value),
                _ => value.starts_with(':'),
            };
            if !is_named {
                return None;
            }
            if self.is_in_client_call(at, before) {
                return Some(!self.reads_guard);
            }
            let is_keyword = self.language == Language::Python && after.starts_with('=');
            (is_keyword || value.contains("http")).then_some(false)
        })
    }

    /// Whether the call that makes a client is still open behind this text of a line.
    fn is_in_client_call(&self, at: usize, before: &str) -> bool {
        let calls: &[&str] = match self.language {
            Language::Python => &["client(", "resource(", "Session("],
            Language::JavaScript => &["Client(", "DynamoDB(", "config.update("],
            Language::Shell => &[],
        };
        let mut text = self.lines[at.saturating_sub(CALL_LINES_MAX)..at].join("\n");
        text.push('\n');
        text.push_str(before);
        calls.iter().any(|call| {
            text.match_indices(call).any(|(begin, _)| is_open(&text[begin + call.len()..]))
        })
    }

    /// The AWS CLI's own way to give an endpoint or credentials.
    fn command_line(&self, at: usize) -> Option<Past> {
        let words = [
            ("--endpoint-url", "call the AWS CLI without an endpoint"),
            ("aws_access_key_id", "call the AWS CLI without credentials"),
        ];
        let is_shell = self.language == Language::Shell;
        let words = if is_shell { &words[..] } else { &words[..1] };
        let (named, instead) = words.iter().find(|(named, _)| self.lines[at].contains(named))?;
        let continued = self.lines[..at].iter().rev().take_while(|line| line.ends_with('\\'));
        let mut command = continued.chain([&self.lines[at]]);
        let calls_aws = command.any(|line| line.split_whitespace().any(|word| word == "aws"));
        let past = if is_shell && calls_aws { Past::certainly } else { Past::perhaps };
        Some(past(named, instead))
    }
}

/// What a line does with the variable between these two parts of it.
fn use_of(before: &str, after: &str) -> Use {
    let is_name = |char: char| char.is_ascii_uppercase() || char.is_ascii_digit() || char == '_';
    let behind = after.trim_start_matches(is_name).trim_start_matches(['"', '\'', '`', ']']);
    let is_expanded = before.ends_with('$') || before.ends_with("${");
    let is_removed = before.split_whitespace().any(|word| REMOVALS.contains(&word));
    if is_removed || before.contains(".pop(") {
        Use::Changes
    } else if is_expanded {
        Use::Reads
    } else if is_set(behind.trim_start()) {
        Use::Changes
    } else if READS.iter().any(|read| before.contains(read) || after.contains(read)) {
        Use::Reads
    } else {
        Use::Names
    }
}

/// Whether what follows a name sets it.
fn is_set(behind: &str) -> bool {
    behind.strip_prefix('=').is_some_and(|value| !value.starts_with(['=', '>']))
}

/// Whether a text of another purpose, such as an expression, is open at the end of this one.
fn is_in_text(before: &str) -> bool {
    let mut open = None;
    for char in before.chars() {
        match open {
            Some(quote) if char == quote => open = None,
            None if "\"'`".contains(char) => open = Some(char),
            Some(_) | None => {}
        }
    }
    open.is_some()
}

/// Whether a parenthesis that was opened before this text is still open behind it.
fn is_open(text: &str) -> bool {
    let mut open = 1_usize;
    for char in text.chars() {
        match char {
            '(' => open += 1,
            ')' => open -= 1,
            _ => {}
        }
        if open == 0 {
            return false;
        }
    }
    true
}
