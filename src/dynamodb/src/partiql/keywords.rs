//! Words that are names only in double quotes: those of `PartiQL`, as DynamoDB Local's parser has
//! them.

/// Whether a word is one, in whatever case.
pub fn is_keyword(word: &str) -> bool {
    KEYWORDS.binary_search(&word.to_ascii_lowercase().as_str()).is_ok()
}

#[rustfmt::skip]
const KEYWORDS: [&str; 230] = [
    "absolute", "action", "add", "all", "allocate", "alter", "and", "any", "are", "as", "asc",
    "at", "authorization", "avg", "bag", "begin", "between", "bit", "bit_length", "blob", "bool",
    "boolean", "by", "cascade", "cascaded", "case", "cast", "catalog", "char", "char_length",
    "character_length", "check", "clob", "close", "coalesce", "collate", "column", "commit",
    "conflict", "connect", "connection", "constraint", "constraints", "continue", "convert",
    "corresponding", "count", "create", "cross", "current", "current_date", "current_time",
    "current_timestamp", "current_user", "cursor", "date", "date_add", "date_diff", "deallocate",
    "dec", "decimal", "declare", "default", "deferrable", "deferred", "delete", "desc", "describe",
    "descriptor", "diagnostics", "disconnect", "distinct", "do", "domain", "double", "drop",
    "else", "end", "escape", "except", "exec", "execute", "exists", "external", "extract", "false",
    "fetch", "first", "float", "for", "foreign", "found", "from", "full", "get", "global", "go",
    "goto", "grant", "group", "having", "identity", "in", "index", "inner", "input", "insensitive",
    "insert", "int", "integer", "interval", "into", "is", "join", "key", "language", "last",
    "left", "let", "level", "like", "limit", "list", "local", "lower", "match", "max", "min",
    "missing", "modified", "module", "names", "national", "natural", "nchar", "new", "next", "no",
    "not", "not_between", "not_like", "nothing", "null", "nullif", "numeric", "octet_length", "of",
    "old", "on", "only", "open", "option", "or", "order", "outer", "output", "overlaps", "pad",
    "partial", "pivot", "position", "prepare", "preserve", "primary", "prior", "privileges",
    "public", "read", "real", "references", "relative", "remove", "restrict", "returning",
    "revoke", "right", "rollback", "rows", "schema", "scroll", "section", "select", "session",
    "session_user", "set", "sexp", "size", "smallint", "some", "space", "sql", "sqlcode",
    "sqlerror", "sqlstate", "string", "struct", "sum", "symbol", "system_user", "table", "then",
    "time", "timestamp", "to", "transaction", "translation", "trim", "true", "tuple", "union",
    "unique", "unknown", "unpivot", "update", "upper", "usage", "user", "using", "value", "values",
    "varchar", "varying", "view", "when", "whenever", "where", "with", "work", "write", "zone",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_found_in_any_case() {
        assert!(KEYWORDS.is_sorted());
        for word in ["date", "LIST", "Timestamp", "user", "value", "where", "zone"] {
            assert!(is_keyword(word), "{word}");
        }
        for word in ["name", "id", "status", "type", "ttl", "year", "dates", ""] {
            assert!(!is_keyword(word), "{word}");
        }
    }
}
