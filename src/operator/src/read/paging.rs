//! Lists in pages: however large objects are, few of them are in memory at once.

use kube::api::ListParams;
use kube::{Api, Error};
use serde::de::DeserializeOwned;

use crate::limits;

/// Reads a list page by page, and keeps of each object what `keep` makes of it. Pages have
/// `PAGE_OBJECTS_MAX` objects, unless `params` has another limit.
pub async fn list<K, T>(
    api: &Api<K>,
    params: &ListParams,
    mut keep: impl FnMut(K) -> Option<T>,
) -> Result<Vec<T>, Error>
where
    K: Clone + DeserializeOwned + std::fmt::Debug,
{
    let mut kept = Vec::new();
    let mut params = params.clone();
    params.limit.get_or_insert(limits::PAGE_OBJECTS_MAX);
    loop {
        let page = api.list(&params).await?;
        kept.extend(page.items.into_iter().filter_map(&mut keep));
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params = params.continue_token(&token),
            None => return Ok(kept),
        }
    }
}

/// Reads a list page by page, whole.
pub async fn all<K>(api: &Api<K>, params: &ListParams) -> Result<Vec<K>, Error>
where
    K: Clone + DeserializeOwned + std::fmt::Debug,
{
    list(api, params, Some).await
}
