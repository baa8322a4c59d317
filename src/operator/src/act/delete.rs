//! Deletes one object, and never another of its name.

use kube::api::{DeleteParams, Preconditions, PropagationPolicy};
use kube::{Api, Resource, ResourceExt as _};
use serde::de::DeserializeOwned;

use crate::act::error::ActError;
use crate::identified::Unidentified;

/// Deletes just this object, not another of its name.
pub async fn delete<K>(api: &Api<K>, object: &K) -> Result<(), ActError>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + std::fmt::Debug,
{
    if object.meta().deletion_timestamp.is_some() {
        return Ok(());
    }
    let uid = object.uid().ok_or_else(|| Unidentified::of(object))?;
    let params = DeleteParams {
        propagation_policy: Some(PropagationPolicy::Background),
        preconditions: Some(Preconditions { uid: Some(uid), resource_version: None }),
        ..DeleteParams::default()
    };
    match api.delete(&object.name_any(), &params).await {
        Ok(_) => Ok(()),
        // Gone, or another object by now.
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(()),
        Err(source) => Err(ActError::Transient { what: "deleting a run's object", source }),
    }
}
