//! The layers around one DynamoDB operation.
