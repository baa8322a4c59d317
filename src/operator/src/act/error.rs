//! Why an action could not be carried out.

use crate::identified::Unidentified;

/// Why an action could not be carried out.
#[derive(Debug, thiserror::Error)]
pub enum ActError {
    /// The API server rejected an object. It will reject it again until something is changed.
    #[error("the API server rejected {object}: {message}")]
    Refused { object: String, message: String },
    /// An object of that name belongs to somebody else.
    #[error("{object} exists and belongs to another owner")]
    NameTaken { object: String },
    /// A Job of a run's name is not what the operator creates.
    #[error("Job {job} of run {run} is not what the operator creates")]
    NotAsCreated { job: String, run: u32 },
    /// The migration no longer exists; the watch still shows it.
    #[error("the migration no longer exists")]
    Vanished,
    /// The machine gives no random bytes.
    #[error("making a control token")]
    Random(#[from] getrandom::Error),
    /// An object was read without its identity.
    #[error(transparent)]
    Unidentified(#[from] Unidentified),
    /// Anything else: it is tried again.
    #[error("while {what}")]
    Transient {
        /// What we were doing.
        what: &'static str,
        #[source]
        source: kube::Error,
    },
}

/// Makes the error of what was being done.
pub fn transient(what: &'static str) -> impl Fn(kube::Error) -> ActError {
    move |source| ActError::Transient { what, source }
}
