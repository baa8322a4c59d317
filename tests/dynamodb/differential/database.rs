//! Which database the random programs run against, and so which of its departures from AWS
//! (tests/README.md) they avoid.

/// The database behind `DYNAMODB_ENDPOINT`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Database {
    Local,
    Dynoxide,
}

impl Database {
    /// As `DYNOXIDE` tells, the variable by which `cargo xtask dynamodb` learns to start one.
    pub fn under_test() -> Self {
        if std::env::var_os("DYNOXIDE").is_some() { Self::Dynoxide } else { Self::Local }
    }

    /// Whether it is dynoxide.
    pub fn is_dynoxide(self) -> bool {
        match self {
            Self::Local => false,
            Self::Dynoxide => true,
        }
    }
}
