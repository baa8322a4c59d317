//! Cases as `cases/*.txt` has them. It reads them, and runs nothing.

use serde_json::{Value, json};

#[derive(Debug, Default, Clone)]
pub struct Case {
    pub name: String,
    pub table: String,
    pub seeds: Vec<Value>,
    pub steps: Vec<Step>,
}

/// One step of a case.
#[derive(Debug, Clone)]
pub struct Step {
    pub operation: String,
    pub body: Value,
    pub pages: bool,
    pub expected: Option<Expected>,
    pub departs: bool,
}

impl Step {
    pub fn writes(&self) -> bool {
        ["Put", "Update", "Delete", "BatchWrite", "TransactWrite"]
            .iter()
            .any(|prefix| self.operation.starts_with(prefix))
    }

    /// Statements are always answered by the guard's dry run, reading ones too.
    pub fn is_statement(&self) -> bool {
        self.operation.contains("Execute")
    }

    pub fn is_ordered(&self) -> bool {
        match self.operation.as_str() {
            "Scan" => false,
            "ExecuteStatement" => {
                self.body["Statement"].as_str().is_some_and(|text| text.contains("ORDER BY"))
            }
            _ => true,
        }
    }
}

#[derive(Debug, Clone)]
pub enum Expected {
    Answer(Value),
    Error(String, Option<String>),
}

/// Parameters, if there are any, and a statement behind them.
fn statement(text: &str) -> Value {
    let mut body = json!({});
    let mut at = 0;
    if text.starts_with('{') {
        let mut stream = serde_json::Deserializer::from_str(text).into_iter();
        body = stream.next().unwrap().unwrap_or_else(|error| panic!("{error} in {text}"));
        at = stream.byte_offset();
    }
    body["Statement"] = text[at..].trim().into();
    body
}

/// Reads a file of cases.
pub fn parse(text: &str) -> Vec<Case> {
    let mut lines: Vec<String> = Vec::new();
    for line in text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#')) {
        match lines.last_mut() {
            Some(last) if line.starts_with(' ') => last.push_str(line),
            _ => lines.push(line.to_owned()),
        }
    }
    let mut cases: Vec<Case> = Vec::new();
    let mut departs = false;
    for line in &lines {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        let json = |text: &str| {
            serde_json::from_str::<Value>(text).unwrap_or_else(|error| panic!("{error} in {line}"))
        };
        if word == "==" {
            cases.push(Case { name: rest.into(), table: "hash".into(), ..Case::default() });
            continue;
        }
        let case = cases.last_mut().expect("a case before its lines");
        match word {
            "table" => rest.trim().clone_into(&mut case.table),
            "seed" => case.seeds.push(json(rest)),
            "departs:" => departs = true,
            "active" => case.steps.push(Step {
                operation: "active".into(),
                body: json!({"TableName": rest.trim()}),
                pages: false,
                expected: None,
                departs: false,
            }),
            ">" | "pages" | "sql" | "pages-sql" => {
                let sql = word.ends_with("sql");
                let (operation, body) = match rest.split_once(' ') {
                    _ if sql => ("ExecuteStatement", statement(rest)),
                    Some((operation, body)) => (operation, json(body)),
                    None => (rest, json!({})),
                };
                case.steps.push(Step {
                    operation: operation.into(),
                    body,
                    pages: word.starts_with("pages"),
                    expected: None,
                    departs: std::mem::take(&mut departs),
                });
            }
            "=" => case.steps.last_mut().unwrap().expected = Some(Expected::Answer(json(rest))),
            "!" => {
                let (name, message) = match rest.split_once(": ") {
                    Some((name, message)) => (name, Some(message.to_owned())),
                    None => (rest, None),
                };
                let expected = Expected::Error(name.trim().into(), message);
                case.steps.last_mut().unwrap().expected = Some(expected);
            }
            other => panic!("{other:?} is no line of a case: {line}"),
        }
    }
    cases
}
