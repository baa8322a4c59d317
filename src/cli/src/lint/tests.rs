//! Folders with one mistake each, and the line that names it.

use super::*;

const MANIFEST: &str = "apiVersion: datamigration.dev/v1alpha1\nkind: DataMigration\n\
                        metadata: {name: m}\n\
    spec:\n  target: {name: t}\n  script:\n    configMap: {name: m}\n    image: i@sha256:0\n";

const GENERATOR: &str = "configMapGenerator:\n- name: m\n  files:\n  - main.py\n";

const SEED: &str = r#"{"tables": {"cars": {"key": {"id": "S"}}}}"#;

/// A migration without a mistake, with some files in other forms, or without them.
fn found(changed: &[(&str, Option<&str>)]) -> Vec<String> {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("m");
    let mut files = std::collections::BTreeMap::from([
        ("base/migration.yaml", Some(MANIFEST)),
        ("base/kustomization.yaml", Some(GENERATOR)),
        ("base/main.py", Some("print('Done')\n")),
        (SEED_FILE, Some(SEED)),
    ]);
    files.extend(changed.iter().copied());
    for (name, text) in files {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        if let Some(text) = text {
            std::fs::write(path, text).unwrap();
        }
    }
    let shown = folder.display().to_string();
    findings(&folder).iter().map(|finding| finding.to_string().replace(&shown, "m")).collect()
}

fn check(changed: &[(&str, Option<&str>)], expected: &str) {
    let found = found(changed);
    assert!(found.len() == 1 && found[0].starts_with(expected), "{expected}\n{found:#?}");
}

#[test]
fn findings_are_words_a_table_and_data() {
    let finding = Finding::warning(Path::new("m/main.py"), 3, "a | b");
    let answer = Answer { errors: 0, warnings: 1, findings: vec![finding] };
    assert_eq!(answer.words(Words::Terminal), "m/main.py:3: warning: a | b\n");
    assert!(answer.words(Words::Markdown).contains("m/main.py:3 | warning | a \\| b |"));
    let data = serde_json::to_value(&answer).unwrap();
    assert_eq!(data["findings"][0]["severity"], "warning");
    assert_eq!((&data["warnings"], &data["findings"][0]["line"]), (&1.into(), &3.into()));
}

#[test]
fn a_good_folder_has_no_findings() {
    assert_eq!(found(&[]), Vec::<String>::new());
}

#[test]
fn an_image_is_pinned_in_the_kustomization_as_well() {
    let manifest = MANIFEST.replace("i@sha256:0", "registry:5000/i:1");
    let with = |images: &str| {
        let generator = format!("{GENERATOR}images:\n- {{name: {images}}}\n");
        let manifest = ("base/migration.yaml", Some(manifest.as_str()));
        found(&[manifest, ("base/kustomization.yaml", Some(&generator))]).len()
    };
    assert_eq!(with("'registry:5000/i', digest: 'sha256:0'"), 0);
    assert_eq!(with("'registry:5000/i', newTag: '2'"), 1);
    assert_eq!(with("registry, digest: 'sha256:0'"), 1);
}

#[test]
fn a_manifest_that_is_named_itself_has_the_seed_of_its_folder() {
    let root = tempfile::tempdir().unwrap();
    let manifest = root.path().join("m/base/migration.yaml");
    std::fs::create_dir_all(manifest.parent().unwrap()).unwrap();
    let transform = "transform: {table: other, set: {a: \"1\"}}\n";
    let (before, _) = MANIFEST.split_once("script:").unwrap();
    std::fs::write(&manifest, format!("{before}{transform}")).unwrap();
    std::fs::write(root.path().join("m/seed.json"), SEED).unwrap();
    let found = findings(&manifest);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].message.contains("has no table other"), "{found:?}");
}

#[test]
fn the_files_of_a_transform_are_checked_as_the_cluster_does() {
    let transform = "transform: {table: cars, set: {a: \"1\"}, configMap: {name: m}}\n";
    let (before, _) = MANIFEST.split_once("script:").unwrap();
    let manifest = format!("{before}{transform}");
    let with = |name: &str, text: &str| {
        let generator = GENERATOR.replace("main.py", name);
        let path = format!("base/{name}");
        found(&[
            ("base/migration.yaml", Some(&manifest)),
            ("base/kustomization.yaml", Some(&generator)),
            (&path, Some(text)),
        ])
    };
    assert_eq!(with("a.csv", "k,v\n"), Vec::<String>::new());
    let large = with("a.csv", &"x".repeat(CONFIG_MAP_BYTES_MAX));
    assert!(large.len() == 1 && large[0].contains("a ConfigMap holds"), "{large:?}");
    let reserved = with("transform.json", "{}");
    assert!(reserved.len() == 1 && reserved[0].contains("is the operator's"), "{reserved:?}");
}

#[test]
fn mistakes_in_the_manifest_have_their_line() {
    let with = |from: &str, to: &str| MANIFEST.replace(from, to);
    let manifest = |text: &str, expected: &str| {
        check(&[("base/migration.yaml", Some(text))], &format!("m/base/migration.yaml:{expected}"));
    };
    manifest(&with("image: i@sha256:0", "image: i:1"), "8: warning: image i:1 has no digest");
    manifest(
        &with("metadata: {name: m}", "metadata: {name: other}"),
        "3: warning: metadata.name is o",
    );
    manifest(&with("  script:", "  skript:"), "6: error: spec.skript: there is no such field; did");
    manifest(
        &with("{name: m}\n    image", "{name: m}\n    file: x.py\n    image"),
        "6: error: spec.script.file",
    );
    check(&[("base/migration.yaml", None)], "m:1: error: ");
}

#[test]
fn mistakes_in_transforms_have_their_line() {
    let head = "apiVersion: datamigration.dev/v1alpha1\nkind: DataMigration\nmetadata: {name: m}\n\
        spec:\n  target: {name: t}\n  transform:\n    table: cars\n";
    let transform = |text: &str, expected: &str| {
        let manifest = format!("{head}{text}");
        let expected = format!("m/base/migration.yaml:{expected}");
        check(&[("base/migration.yaml", Some(&manifest))], &expected);
    };
    transform(
        "    delete: true\n",
        "8: warning: spec.transform.delete: without filter, every item of cars is deleted",
    );
    transform(
        "    fliter: a = 1\n    delete: true\n",
        "8: error: spec.transform.fliter: there is no such field; did you mean filter?",
    );
    transform("    set:\n      a: b +\n", "9: error: spec.transform.set.a, column 4: expected");
    transform(
        "    set:\n      id: b\n",
        "9: error: spec.transform.set.id: id is part of the key of cars; use rekey",
    );
    transform("    set: {n: \"1\"}\n", "8: error: kubectl reads the bare word n as a truth value");
    assert_eq!(
        found(&[(
            "base/migration.yaml",
            Some(&format!("{head}    set: {{\"n\": \"1\"}}\n    convert: {{a: N}}\n"))
        )]),
        Vec::<String>::new()
    );
    let elsewhere = head.replace("table: cars", "table: other");
    check(
        &[("base/migration.yaml", Some(&format!("{elsewhere}    remove: [a]\n")))],
        "m/base/migration.yaml:7: warning: spec.transform.table: seed.json has no table other",
    );
}

#[tokio::test]
async fn a_seed_that_the_database_rejects_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(SEED_FILE);
    assert_eq!(unloadable(&file).await, None);
    for (seed, expected) in [
        (SEED, None),
        (r#"{"tables": {"ca": {"key": {"id": "S"}}}}"#, Some("tables.ca: ")),
        (
            r#"{"tables": {"cars": {"key": {"id": "S"}, "items": [{"id": ""}]}}}"#,
            Some("tables.cars.items[0]: "),
        ),
    ] {
        std::fs::write(&file, seed).unwrap();
        let found = unloadable(&file).await.map(|finding| finding.to_string());
        match expected {
            Some(expected) => assert!(found.as_ref().unwrap().contains(expected), "{found:?}"),
            None => assert_eq!(found, None),
        }
    }
}

#[test]
fn mistakes_in_files_have_their_line() {
    check(&[("base/main.py", None)], "m/base/kustomization.yaml:3: error: reading m/base/main.py");
    check(&[(SEED_FILE, None)], "m/seed.json:1: warning: there is no seed");
    check(&[(SEED_FILE, Some("{\n\"table\": 1}"))], "m/seed.json:2: error: ");
    let large = "#".repeat(CONFIG_MAP_BYTES_MAX);
    check(&[("base/main.py", Some(&large))], "m/base/migration.yaml:7: error: the files have");
    let unknown = GENERATOR.replace("main.py", "main.xyz");
    check(
        &[("base/kustomization.yaml", Some(&unknown)), ("base/main.xyz", Some(""))],
        "m/base/main.xyz:1: error: ",
    );
}

#[test]
fn mistakes_in_programs_have_their_line() {
    let python = |text: &str, expected: &str| {
        check(&[("base/main.py", Some(text))], &format!("m/base/main.py:{expected}"));
    };
    python(
        "import os\nos.environ['AWS_ENDPOINT_URL'] = 'x'\n",
        "2: error: AWS_ENDPOINT_URL bypasses",
    );
    python("c = client('dynamodb', endpoint_url=u)\n", "1: error: endpoint_url bypasses");
    python(
        "try:\n  f()\nexcept Exception as e:\n  print(e)\nf()\n",
        "3: warning: the failure is caught",
    );
    python("try:\n  f()\nexcept: pass\n", "3: warning: the failure is caught");
    for ends_well in ["return", "sys.exit(0)"] {
        let text = format!("try:\n  f()\nexcept Exception as e:\n  print(e)\n  {ends_well}\nf()\n");
        python(&text, "3: warning: the failure is caught");
    }
    for right in [
        "try:\n  f()\nexcept Exception:\n  raise\n",
        "try:\n  f()\nexcept Exception:\n  sys.exit(1)\n",
        "try:\n  f()\nexcept ValueError:\n  pass\n",
        "# endpoint_url\n",
    ] {
        assert_eq!(found(&[("base/main.py", Some(right))]), Vec::<String>::new(), "{right}");
    }
    let shell = |text: &str, expected: &str| {
        let generator = GENERATOR.replace("main.py", "main.sh");
        let files =
            [("base/kustomization.yaml", Some(generator.as_str())), ("base/main.sh", Some(text))];
        check(&files, &format!("m/base/main.sh:{expected}"));
    };
    shell("#!/bin/sh\nf\n", "1: warning: without `set -e`");
    shell("#!/bin/sh\nset -eu\nf || true\n", "3: warning: the failure is ignored");
    shell("#!/bin/sh -e\naws dynamodb --endpoint-url x\n", "2: error: --endpoint-url bypasses");
}

/// A JavaScript program, and what is found in it.
fn in_javascript(text: &str) -> Vec<String> {
    let generator = GENERATOR.replace("main.py", "main.mjs");
    found(&[("base/kustomization.yaml", Some(generator.as_str())), ("base/main.mjs", Some(text))])
}

#[test]
fn a_failure_that_javascript_only_prints_is_a_finding() {
    let swallowed = |text: &str| {
        in_javascript(text).iter().filter(|found| found.contains("failure is caught")).count()
    };
    for text in [
        "main().catch(console.error);\n",
        "main().catch(e => { console.error(e) })\n",
        "try {\n  f();\n} catch (e) {\n  console.log(e);\n}\n",
        "try {\n  f();\n} catch {}\n",
    ] {
        assert_eq!(swallowed(text), 1, "{text}");
    }
    for text in [
        "main().catch(e => { console.error(e); process.exit(1) })\n",
        "try {\n  f();\n} catch (e) {\n  console.log(e);\n  throw e;\n}\n",
        "try {\n  f();\n} catch (e) {\n  if (e.name === 'X') return false;\n  throw e;\n}\n",
    ] {
        assert_eq!(swallowed(text), 0, "{text}");
    }
}

#[test]
fn a_program_that_uses_the_words_of_clients_for_other_things_is_right() {
    for right in [
        "print(item[\"endpoint_url\"])\n",
        "endpoint_url = item['endpoint_url']\n",
        "c = client('dynamodb')\nc.update_item(UpdateExpression=\"SET endpoint_url = :u\")\n",
        "def f():\n  \"\"\"Use client('dynamodb', endpoint_url=u).\n\n  endpoint_url=x\n  \"\"\"\n",
        "c = client('dynamodb', endpoint_url=os.environ.get('AWS_ENDPOINT_URL_DYNAMODB'))\n",
        "if os.environ['AWS_ENDPOINT_URL'] == 'x':\n  f()\n",
        "os.environ.setdefault('AWS_ENDPOINT_URL', 'x')\n",
        "query_endpoint_url = 'http://a'\n",
    ] {
        assert_eq!(found(&[("base/main.py", Some(right))]), Vec::<String>::new(), "{right}");
    }
    for right in [
        "const c = new DynamoDBClient({});\nput({ Item: { id, endpoint: url } });\n",
        "const { endpoint: old } = item;\n",
        "/* endpoint: 'http://a'\n * AWS_ENDPOINT_URL\n */\nf();\n",
        "new DynamoDB({ endpoint: process.env.AWS_ENDPOINT_URL_DYNAMODB });\n",
        "const { AWS_ENDPOINT_URL_DYNAMODB } = process.env;\n",
    ] {
        let generator = in_javascript(right);
        let of_code: Vec<_> = generator.iter().filter(|found| found.contains("guard")).collect();
        assert_eq!(of_code, Vec::<&String>::new(), "{right}");
    }
}

#[test]
fn what_a_client_is_given_is_an_error_and_what_it_may_be_given_a_warning() {
    let python = |text: &str, expected: &str| {
        check(&[("base/main.py", Some(text))], &format!("m/base/main.py:{expected}"));
    };
    python("c = client(\n  'dynamodb',\n  endpoint_url=u,\n)\n", "3: error: endpoint_url bypasses");
    python("s = Session(aws_access_key_id='x')\n", "1: error: aws_access_key_id bypasses");
    python("where = dict(endpoint_url=u)\n", "1: warning: endpoint_url may bypass");
    python("where = {'endpoint_url': 'http://a'}\n", "1: warning: endpoint_url may bypass");
    python("del os.environ['AWS_ENDPOINT_URL']\n", "1: error: AWS_ENDPOINT_URL bypasses");
    python("run(env={'AWS_ENDPOINT_URL': u})\n", "1: warning: AWS_ENDPOINT_URL may bypass");
    python("add_argument('--endpoint-url')\n", "1: warning: --endpoint-url may bypass");
    python(
        "u = os.environ['AWS_ENDPOINT_URL_DYNAMODB']\nc = client('dynamodb', endpoint_url=u)\n",
        "2: warning: endpoint_url may bypass",
    );
    for (text, expected) in [
        ("process.env.AWS_ENDPOINT_URL = 'x';\n", "1: error: AWS_ENDPOINT_URL bypasses"),
        ("new DynamoDBClient({\n  endpoint: u,\n});\n", "2: error: endpoint bypasses"),
        ("const c = { endpoint: 'http://a' };\n", "1: warning: endpoint may bypass"),
    ] {
        let found = in_javascript(text);
        let expected = format!("m/base/main.mjs:{expected}");
        assert!(found.iter().any(|found| found.starts_with(&expected)), "{text}{found:#?}");
    }
    let generator = GENERATOR.replace("main.py", "main.sh");
    for (line, expected) in [
        ("aws dynamodb scan \\\n  --endpoint-url x\n", Some("4: error: --endpoint-url bypasses")),
        ("echo 'usage: --endpoint-url'\n", Some("3: warning: --endpoint-url may bypass")),
        ("export AWS_ENDPOINT_URL=x\n", Some("3: error: AWS_ENDPOINT_URL bypasses")),
        ("aws dynamodb scan --endpoint-url \"$AWS_ENDPOINT_URL\"\n", None),
        ("[ \"$AWS_ENDPOINT_URL\" = x ] && exit 1\n", None),
    ] {
        let text = format!("#!/bin/sh\nset -eu\n{line}");
        let found = found(&[
            ("base/kustomization.yaml", Some(generator.as_str())),
            ("base/main.sh", Some(&text)),
        ]);
        let expected = expected.map(|expected| format!("m/base/main.sh:{expected}"));
        let is_right = match &expected {
            Some(expected) => found.len() == 1 && found[0].starts_with(expected),
            None => found.is_empty(),
        };
        assert!(is_right, "{line}{found:#?}");
    }
}
