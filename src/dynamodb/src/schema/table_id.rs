//! What tells a table from another one of its name.

/// Returns the id of a table in DescribeTable's description of it. DynamoDB Local has none (3.1.0):
/// there the moment of its creation, to the millisecond, tells a table from another one of its
/// name.
pub fn table_id(table: &serde_json::Value) -> Option<String> {
    let id = table.get("TableId").and_then(serde_json::Value::as_str).map(str::to_owned);
    let created = table.get("CreationDateTime").filter(|created| created.is_number());
    id.or_else(|| created.map(|created| format!("created-{created}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_an_id_or_else_the_moment_of_its_creation() {
        let id = |table: &str| table_id(&serde_json::from_str(table).unwrap());
        let both = r#"{"TableId": "5f4c", "CreationDateTime": 1795867043.632}"#;
        assert_eq!(id(both).as_deref(), Some("5f4c"));
        let local = r#"{"CreationDateTime": 1795867043.632}"#;
        assert_eq!(id(local).as_deref(), Some("created-1795867043.632"));
        assert_eq!(id(r#"{"CreationDateTime": 1.795867043632E9}"#), id(local));
        assert_eq!(id("{}"), None);
    }
}
