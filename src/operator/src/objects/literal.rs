//! Text that reaches a container of ours unchanged. The kubelet expands `$(NAME)` in `command`,
//! `args` and `env` with the container's variables, which include its credentials
//! (pkg/kubelet/kubelet_pods.go, `makeEnvironmentVariables`; third_party/forked/golang/expansion).
//! Every string of such a container is therefore escaped here, whoever wrote it. Pure.

use k8s_openapi::api::core::v1::{Container, EnvVar};

/// Escapes a text, so that the kubelet passes on exactly this text.
pub fn escaped(text: &str) -> String {
    text.replace('$', "$$")
}

/// Returns the text that a container sees whose variables are all unknown: the reverse of
/// [`escaped`].
pub fn plain(text: &str) -> String {
    text.replace("$$", "$")
}

/// Escapes all strings of a container that the kubelet would expand.
pub fn keep(container: &mut Container) {
    let lists = container.command.iter_mut().chain(&mut container.args).flatten();
    let values = container.env.iter_mut().flatten().filter_map(|variable| variable.value.as_mut());
    for text in lists.chain(values) {
        *text = escaped(text);
    }
}

/// Escapes variables that were taken from a Job, which an older operator may have left unescaped.
pub fn keep_again(variables: &mut [EnvVar]) {
    for text in variables.iter_mut().filter_map(|variable| variable.value.as_mut()) {
        *text = escaped(&plain(text));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_comes_back() {
        for text in ["", "$", "$$", "$(HOME)", "$$(HOME)", "a$", "$()", "€$(€)$", "\\$(A)"] {
            assert_eq!(plain(&escaped(text)), text);
        }
        assert_eq!(escaped("$(AWS_SECRET_ACCESS_KEY)"), "$$(AWS_SECRET_ACCESS_KEY)");
        assert_eq!(plain("$(HOME)"), "$(HOME)", "of an operator that did not escape");
    }
}
