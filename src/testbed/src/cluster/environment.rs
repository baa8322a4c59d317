//! What tests need to know about the cluster that is up: written by `up`, printed by `env`.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Map, Value};

use super::layout::{DYNAMODB_PORT, NODE_ADDRESS, State};
use crate::images::Image;
use crate::images::programs::ProgramImages;

/// Environment variables, in the order in which they are printed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Environment {
    pub variables: Vec<(String, String)>,
}

impl Environment {
    /// The variables of the local cluster.
    pub fn local(state: &State, helm: &Path, tests: &ProgramImages, agent: Option<&Image>) -> Self {
        Self::of(
            &state.kubeconfig(),
            &format!("http://{NODE_ADDRESS}:{DYNAMODB_PORT}"),
            helm,
            tests,
            agent,
        )
    }

    /// The variables of any cluster whose pods reach DynamoDB Local under the address given.
    pub fn of(
        kubeconfig: &Path,
        dynamodb_in_cluster: &str,
        helm: &Path,
        tests: &ProgramImages,
        agent: Option<&Image>,
    ) -> Self {
        let mut variables = vec![
            ("KUBECONFIG", kubeconfig.display().to_string()),
            ("DYNAMODB_ENDPOINT", format!("http://127.0.0.1:{DYNAMODB_PORT}")),
            ("DYNAMODB_ENDPOINT_IN_CLUSTER", dynamodb_in_cluster.to_owned()),
            ("DM_IMAGE_PYTHON", tests.python.reference.clone()),
            ("DM_IMAGE_NODE", tests.node.reference.clone()),
            ("DM_IMAGE_PROGRAM", tests.program.reference.clone()),
            ("HELM", helm.display().to_string()),
        ];
        if let Some(agent) = agent {
            variables.push(("DM_IMAGE_AGENT", agent.reference.clone()));
        }
        let variables =
            variables.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        Self { variables }
    }

    /// Keeps the variables with the cluster's state.
    pub fn write(&self, state: &State) -> Result<()> {
        let object: Map<String, Value> = self
            .variables
            .iter()
            .map(|(name, value)| (name.clone(), Value::String(value.clone())))
            .collect();
        let path = state.environment();
        fs::write(&path, Value::Object(object).to_string())
            .with_context(|| format!("writing {}", path.display()))
    }

    /// Reads what `up` wrote.
    pub fn read(state: &State) -> Result<Self> {
        let text = fs::read_to_string(state.environment())
            .context("no cluster is up; start one with `cargo xtask cluster up`")?;
        let object: Map<String, Value> =
            serde_json::from_str(&text).context("reading the cluster's environment")?;
        let variables = object
            .into_iter()
            .map(|(name, value)| (name, value.as_str().unwrap_or_default().to_owned()))
            .collect();
        Ok(Self { variables })
    }

    /// One `export` line per variable, for a shell.
    pub fn exports(&self) -> String {
        self.variables.iter().fold(String::new(), |mut lines, (name, value)| {
            let _ = writeln!(lines, "export {name}='{}'", value.replace('\'', r"'\''"));
            lines
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_quoted_for_a_shell() {
        let environment =
            Environment { variables: vec![("A".to_owned(), "it's $HOME".to_owned())] };
        assert_eq!(environment.exports(), "export A='it'\\''s $HOME'\n");
    }
}
