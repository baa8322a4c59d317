//! Tests: dynamodb.
