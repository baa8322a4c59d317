//! Writes the custom resource definitions as YAML files into the folder given as argument.

use std::path::Path;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args().nth(1).ok_or("usage: crdgen FOLDER")?;
    for definition in dm_api::definitions() {
        let plural = definition["spec"]["names"]["plural"].as_str().ok_or("it has no plural")?;
        let head = dm_api::definitions::HEAD;
        let yaml = serde_saphyr::to_string(&definition)?;
        std::fs::write(Path::new(&folder).join(format!("{plural}.yaml")), format!("{head}{yaml}"))?;
    }
    Ok(())
}
