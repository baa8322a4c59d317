//! The image that a dry run's pod ran, and the same one for the apply: a tag may move between the
//! two. Pure.

/// Returns the image as the apply's Job names it: by the digest that was tried, where the registry
/// of the spec's own image has it under one. `None` where it does not: an image that was loaded
/// onto the node, or one that the spec pins itself, or one that is never pulled, for which the node
/// may know its tag only.
pub fn pinned(image: &str, pull_policy: Option<&str>, tried: Option<&str>) -> Option<String> {
    if image.contains('@') || pull_policy == Some("Never") {
        return None;
    }
    let (name, digest) = parts(tried?);
    let repository = without_tag(image);
    let same = name.is_some_and(|name| full(name) == full(repository));
    digest.filter(|_| same).map(|digest| format!("{repository}@{digest}"))
}

/// Whether a pod runs another image than the one that was tried. What cannot be compared (a
/// registry's digest with a node's own id) is not said to differ.
pub fn differs(tried: &str, runs: &str) -> bool {
    let ((tried_name, tried), (name, runs)) = (parts(tried), parts(runs));
    let comparable = tried_name.is_some() == name.is_some();
    comparable && tried.zip(runs).is_some_and(|(tried, runs)| tried != runs)
}

/// Name and digest in an image id of the kubelet: `docker.io/library/python@sha256:…`, with a
/// scheme where the runtime is an old one; or only `sha256:…`, the node's own id.
fn parts(id: &str) -> (Option<&str>, Option<&str>) {
    let id = id.rsplit_once("://").map_or(id, |(_, id)| id);
    let (name, digest) = match id.rsplit_once('@') {
        Some((name, digest)) => (Some(name), digest),
        None => (None, id),
    };
    let hex = digest.strip_prefix("sha256:").unwrap_or_default();
    let is_digest = hex.len() == 64 && hex.bytes().all(|c| c.is_ascii_hexdigit());
    (name, is_digest.then_some(digest))
}

/// A reference's repository. The port of a registry is no tag.
fn without_tag(image: &str) -> &str {
    match image.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => repository,
        Some(_) | None => image,
    }
}

/// The repository with what is left out of it (distribution/reference, `normalize.go`).
fn full(repository: &str) -> String {
    let is_host = |part: &str| part.contains(['.', ':']) || part == "localhost";
    match repository.split_once('/') {
        Some((host, rest)) if is_host(host) => {
            let host = if host == "index.docker.io" { "docker.io" } else { host };
            let library = host == "docker.io" && !rest.contains('/');
            if library { format!("{host}/library/{rest}") } else { format!("{host}/{rest}") }
        }
        Some(_) => format!("docker.io/{repository}"),
        None => format!("docker.io/library/{repository}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    const B: &str = "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

    fn check(image: &str, id: &str, expected: Option<&str>) {
        let expected = expected.map(|repository| format!("{repository}@{A}"));
        assert_eq!(pinned(image, None, Some(&id.replace('A', A))), expected, "{image} {id}");
    }

    #[test]
    fn an_image_of_a_registry_is_pinned_to_what_was_tried() {
        check("python:3.12", "docker.io/library/python@A", Some("python"));
        check("python", "docker-pullable://docker.io/library/python@A", Some("python"));
        check("team/cars:1", "docker.io/team/cars@A", Some("team/cars"));
        check("docker.io/python:3", "docker.io/library/python@A", Some("docker.io/python"));
        check("r.example:5000/cars:1", "r.example:5000/cars@A", Some("r.example:5000/cars"));
        check("r.example:5000/cars", "r.example:5000/cars@A", Some("r.example:5000/cars"));
        check("localhost/cars:1", "localhost/cars@A", Some("localhost/cars"));
    }

    #[test]
    fn what_cannot_be_pulled_by_its_digest_keeps_its_tag() {
        check("cars:1", "A", None);
        check("cars:1", "docker.io/library/import-2026-11-28@A", None);
        check("cars:1", "docker.io/library/cars@sha256:12", None);
        check("cars:1", "", None);
        check("cars:1", "x", None);
        check(&format!("cars@{B}"), "docker.io/library/cars@A", None);
        let id = format!("docker.io/library/cars@{A}");
        assert_eq!(pinned("cars:1", Some("Never"), Some(&id)), None);
        assert_eq!(pinned("cars:1", Some("Always"), Some(&id)), Some(format!("cars@{A}")));
        assert_eq!(pinned("cars:1", None, None), None);
    }

    #[test]
    fn another_digest_of_the_same_kind_is_another_image() {
        let named = |digest: &str| format!("docker.io/library/cars@{digest}");
        assert!(differs(A, B) && differs(&named(A), &named(B)));
        assert!(differs(&named(A), &format!("docker.io/library/import-2@{B}")));
        for (tried, runs) in [
            (A.to_owned(), A.to_owned()),
            (named(A), format!("docker-pullable://other@{A}")),
            (named(A), B.to_owned()),
            (A.to_owned(), named(B)),
            ("x".to_owned(), "y".to_owned()),
            (String::new(), A.to_owned()),
        ] {
            assert!(!differs(&tried, &runs), "{tried} {runs}");
        }
    }
}
