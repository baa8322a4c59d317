//! How requests name a table: by its name, or by its ARN.

/// A table named by its ARN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableArn<'a> {
    pub arn: &'a str,
    /// The table's name in it.
    pub name: &'a str,
    /// Whether nothing stands below the table (no index, backup, stream).
    pub is_table: bool,
}

impl<'a> TableArn<'a> {
    /// Reads `arn:PARTITION:dynamodb:REGION:ACCOUNT:table/NAME[/…]`.
    pub fn parse(text: &'a str) -> Option<Self> {
        let mut parts = text.splitn(6, ':');
        let is_arn = parts.next() == Some("arn");
        let service = parts.nth(1)?;
        let resource = parts.nth(2)?;
        let below = resource.strip_prefix("table/")?;
        let (name, is_table) = match below.split_once('/') {
            Some((name, _)) => (name, false),
            None => (below, true),
        };
        (is_arn && service == "dynamodb").then_some(Self { arn: text, name, is_table })
    }
}

/// The table's name in a name or an ARN.
pub fn plain_name(text: &str) -> &str {
    TableArn::parse(text).map_or(text, |arn| arn.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arn_is_split_into_its_table() {
        let arn = TableArn::parse("arn:aws-cn:dynamodb:cn-north-1:123:table/cars").unwrap();
        assert_eq!((arn.name, arn.is_table), ("cars", true));
        let arn = TableArn::parse("arn:aws:dynamodb:eu-west-1:1:table/cars/index/x").unwrap();
        assert_eq!((arn.name, arn.is_table), ("cars", false));
        for other in ["cars", "arn:aws:s3:::x", "arn:aws:dynamodb:r:1:backup/x", "", "arn:::::"] {
            assert_eq!(TableArn::parse(other), None, "{other}");
        }
        assert_eq!(plain_name("arn:aws:dynamodb:r:1:table/t"), "t");
        assert_eq!(plain_name("t"), "t");
    }
}
