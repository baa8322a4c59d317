//! Where an archive keeps what each part of a run has left. Status names one path for all parts,
//! with `*` in place of the number.

use std::collections::BTreeMap;

use dm_engine::archive::Listed;

/// Stands for the number of a part in a path.
const EACH: &str = "part-*";

/// Returns the folder to list for a path, which may be that of all parts.
pub fn folder(path: &str) -> &str {
    let of_all = path.split_once(&format!("/{EACH}/")).map(|(folder, _)| folder);
    of_all.unwrap_or_else(|| path.rsplit_once('/').map_or("", |(folder, _)| folder))
}

/// Returns the paths that a path stands for, by part: itself, or that of each part that is there. A
/// part that had several attempts has the newest one.
pub fn paths(listed: &[Listed], path: &str) -> BTreeMap<u32, String> {
    if !is_of_all(path) {
        return BTreeMap::from([(0, path.to_owned())]);
    }
    let mut newest: BTreeMap<u32, &Listed> = BTreeMap::new();
    for object in listed.iter().filter(|object| of_all(&object.path) == of_all(path)) {
        let Some(part) = object.path.split('/').find_map(number) else { continue };
        let order = |object: &Listed| (object.written_at_s, object.path.len(), object.path.clone());
        if newest.get(&part).is_none_or(|known| order(known) < order(object)) {
            newest.insert(part, object);
        }
    }
    newest.into_iter().map(|(part, object)| (part, object.path.clone())).collect()
}

/// Whether a path is that of all parts.
pub fn is_of_all(path: &str) -> bool {
    path.split('/').any(|piece| piece == EACH)
}

/// Returns the path of all parts for that of one, without the number of the attempt; of a run that
/// is not split the path unchanged.
pub fn of_all(path: &str) -> String {
    let is_split = path.split('/').any(|piece| piece == EACH || number(piece).is_some());
    let pieces = path.split('/').filter(|piece| !is_split || !piece.starts_with("attempt-"));
    let pieces = pieces.map(|piece| if number(piece).is_some() { EACH } else { piece });
    pieces.collect::<Vec<_>>().join("/")
}

/// The number of a part, by the name of its folder.
fn number(piece: &str) -> Option<u32> {
    let number = piece.strip_prefix("part-")?;
    number.parse().ok().filter(|_| number.len() == 3)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(path: &str, written_at_s: i64) -> Listed {
        Listed { path: path.to_owned(), bytes: 1, written_at_s }
    }

    #[test]
    fn a_path_of_all_parts_stands_for_those_that_are_there() {
        let all = "runs/m/000002/part-*/report.json";
        let objects = [
            listed("runs/m/000002/part-001/report.json", 5),
            listed("runs/m/000002/part-000/report.json", 5),
            listed("runs/m/000002/part-001/attempt-2/report.json", 9),
            listed("runs/m/000002/part-000/program.log.zst", 5),
            listed("runs/m/000002/part-000/dry-run-u/report.json", 9),
            listed("runs/m/000002/split.json", 1),
        ];
        let expected = BTreeMap::from([
            (0, "runs/m/000002/part-000/report.json".to_owned()),
            (1, "runs/m/000002/part-001/attempt-2/report.json".to_owned()),
        ]);
        assert_eq!(paths(&objects, all), expected);
        // Whichever part's path status has.
        assert_eq!(paths(&objects, "runs/m/000002/part-*/attempt-2/report.json"), expected);
        assert_eq!((of_all(&expected[&1]).as_str(), folder(all)), (all, "runs/m/000002"));
    }

    #[test]
    fn a_path_of_a_run_that_is_not_split_stands_for_itself() {
        for whole in ["runs/m/000002/dry-run-u/report.json", "runs/m/000002/attempt-2/report.json"]
        {
            assert_eq!(paths(&[], whole), BTreeMap::from([(0, whole.to_owned())]));
            assert_eq!(of_all(whole), whole);
        }
        assert_eq!(folder("runs/m/000002/report.json"), "runs/m/000002");
        assert_eq!(folder("report.json"), "");
    }
}
