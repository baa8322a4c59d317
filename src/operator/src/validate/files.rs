//! The files of a program, out of the ConfigMap that has them. Pure.

use dm_api::condition::Reason;
use dm_api::migration::FilesConfigMap;
use dm_api::script;

use crate::limits;
use crate::runnable::{Files, FilesFound, Problem};
use crate::validate::problem::{invalid, problem};

/// The files of a ConfigMap under their paths.
pub fn collect_files(
    field: &str,
    source: &FilesConfigMap,
    found: &FilesFound,
) -> Result<Files, Problem> {
    let FilesFound::Found(config_map) = found else {
        return Err(problem(
            Reason::ConfigMapNotFound,
            format!(
                "{field}.name: there is no ConfigMap {} in this namespace. Create it (kustomize's \
                 configMapGenerator makes it from files)",
                source.name
            ),
        ));
    };
    let text = config_map.data.iter().flatten().map(|(key, text)| (key, text.as_bytes()));
    let binary = config_map.binary_data.iter().flatten().map(|(key, bytes)| (key, &*bytes.0));
    let all = text.chain(binary).map(|(key, bytes)| (key.clone(), bytes.to_vec())).collect();
    let files = script::lay_out(field, source, &all).map_err(|problem| invalid(&problem))?;
    let size: usize = files.iter().map(|(path, bytes)| path.len() + bytes.len()).sum();
    if size > limits::FILES_BYTES_MAX {
        return Err(problem(
            Reason::InvalidSpec,
            format!(
                "{field}: the files have {size} bytes, more than the {} that can be \
                 copied for a run. Put large data into the image",
                limits::FILES_BYTES_MAX
            ),
        ));
    }
    Ok(files)
}
