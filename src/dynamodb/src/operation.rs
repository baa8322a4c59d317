//! DynamoDB's operations and what each may do. What is not in this table is refused.
//!
//! The list is the service model's of November 2026 (62 operations). It says nothing about how an
//! operation is answered, only what kind it is.

/// What an operation does to data or to tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    DataRead,
    DataWrite,
    /// Reads descriptions of tables, backups and the like.
    MetadataRead,
    /// Creates, changes or deletes tables, backups and the like.
    ControlPlaneWrite,
    /// Writes items on the server's side, where they can be neither simulated nor journaled.
    AlwaysDenied,
}

macro_rules! operations {
    ($($class:ident: $($name:ident)+;)+) => {
        /// One operation of the service.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[allow(missing_docs)] // Their names are the service's own.
        pub enum Operation { $($($name,)+)+ }

        impl Operation {
            /// Every operation of the service.
            pub const ALL: &[Operation] = &[$($(Operation::$name,)+)+];

            /// The operation of this name, exactly as the service spells it.
            pub fn named(name: &str) -> Option<Operation> {
                match name {
                    $($(stringify!($name) => Some(Operation::$name),)+)+
                    _ => None,
                }
            }

            /// The service's name of it.
            pub fn name(self) -> &'static str {
                match self { $($(Operation::$name => stringify!($name),)+)+ }
            }

            pub fn class(self) -> Class {
                match self { $($(Operation::$name)|+ => Class::$class,)+ }
            }
        }
    };
}

operations! {
    DataRead: GetItem BatchGetItem TransactGetItems Query Scan SearchVectors;
    DataWrite: PutItem UpdateItem DeleteItem BatchWriteItem TransactWriteItems ExecuteStatement
        BatchExecuteStatement ExecuteTransaction;
    MetadataRead: DescribeBackup DescribeBulkOperation DescribeContinuousBackups
        DescribeContributorInsights DescribeEndpoints DescribeExport DescribeGlobalTable
        DescribeGlobalTableSettings DescribeImport DescribeKinesisStreamingDestination
        DescribeLimits DescribeTable DescribeTableReplicaAutoScaling DescribeTimeToLive
        GetResourcePolicy ListBackups ListBulkOperations ListContributorInsights ListExports
        ListGlobalTables ListImports ListTables ListTagsOfResource;
    ControlPlaneWrite: CancelBulkOperation CreateBackup CreateGlobalTable CreateTable DeleteBackup
        DeleteResourcePolicy DeleteTable DisableKinesisStreamingDestination
        EnableKinesisStreamingDestination ExportTableToPointInTime PutResourcePolicy
        RestoreTableFromBackup RestoreTableToPointInTime TagResource UntagResource
        UpdateContinuousBackups UpdateContributorInsights UpdateGlobalTable
        UpdateGlobalTableSettings UpdateKinesisStreamingDestination UpdateTable
        UpdateTableReplicaAutoScaling UpdateTimeToLive;
    AlwaysDenied: ImportTable StartBulkPutItems;
}

impl Operation {
    /// Whether it makes a table that was not there.
    pub fn creates_table(self) -> bool {
        matches!(
            self,
            Self::CreateTable | Self::RestoreTableFromBackup | Self::RestoreTableToPointInTime
        )
    }
}

/// An operation that cannot write. Only such ones fit through a read-only handle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadOperation(Operation);

impl ReadOperation {
    /// GetItem, by far the commonest.
    pub const GET_ITEM: Self = Self(Operation::GetItem);
    pub const BATCH_GET_ITEM: Self = Self(Operation::BatchGetItem);
    pub const TRANSACT_GET_ITEMS: Self = Self(Operation::TransactGetItems);
    pub const QUERY: Self = Self(Operation::Query);
    pub const SCAN: Self = Self(Operation::Scan);
    pub const DESCRIBE_TABLE: Self = Self(Operation::DescribeTable);
    pub const LIST_TABLES: Self = Self(Operation::ListTables);
    pub const LIST_TAGS: Self = Self(Operation::ListTagsOfResource);
    pub const TIME_TO_LIVE: Self = Self(Operation::DescribeTimeToLive);
    pub const CONTINUOUS_BACKUPS: Self = Self(Operation::DescribeContinuousBackups);

    /// The operation as a reading one, if it is.
    pub fn of(operation: Operation) -> Option<Self> {
        match operation.class() {
            Class::DataRead | Class::MetadataRead => Some(Self(operation)),
            Class::DataWrite | Class::ControlPlaneWrite | Class::AlwaysDenied => None,
        }
    }

    /// The operation itself.
    pub fn operation(self) -> Operation {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_holds_the_services_62_operations_in_their_classes() {
        let count = |class| Operation::ALL.iter().filter(|o| o.class() == class).count();
        assert_eq!(Operation::ALL.len(), 62);
        assert_eq!(count(Class::DataRead), 6);
        assert_eq!(count(Class::DataWrite), 8);
        assert_eq!(count(Class::MetadataRead), 23);
        assert_eq!(count(Class::ControlPlaneWrite), 23);
        assert_eq!(count(Class::AlwaysDenied), 2);
    }

    #[test]
    fn names_are_found_exactly_or_not_at_all() {
        for operation in Operation::ALL {
            assert_eq!(Operation::named(operation.name()), Some(*operation));
        }
        for wrong in ["putitem", "PutItem ", "", "PutItems"] {
            assert_eq!(Operation::named(wrong), None);
        }
    }

    #[test]
    fn no_writing_operation_is_a_read_operation() {
        for operation in Operation::ALL {
            let reads = matches!(operation.class(), Class::DataRead | Class::MetadataRead);
            assert_eq!(ReadOperation::of(*operation).is_some(), reads);
        }
    }
}
