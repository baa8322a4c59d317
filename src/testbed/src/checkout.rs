//! The folders the tasks work in: this checkout, the machine's cache of built parts, and the state
//! of the cluster that runs. It knows names, it creates nothing.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

#[derive(Clone, Debug)]
pub struct Checkout {
    /// The repository's root folder.
    pub root: PathBuf,
    /// Built parts, keyed by version and recipe; shared by every checkout on this machine.
    pub cache: PathBuf,
}

impl Checkout {
    /// Finds the checkout this binary was built from, and the cache folder of the user.
    pub fn locate() -> Result<Self> {
        let manifest = env::var_os("CARGO_MANIFEST_DIR")
            .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
        let root = manifest
            .ancestors()
            .nth(2)
            .context("this package has left src/testbed, so the repository cannot be found")?
            .canonicalize()
            .context("finding the repository's root folder")?;
        let base = env::var_os("XDG_CACHE_HOME")
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
            .or_else(|| env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache")))
            .context("neither XDG_CACHE_HOME nor HOME says where to keep built parts; set one")?;
        Ok(Self { root, cache: base.join("datamigration") })
    }

    /// The recipes of the test bed's parts.
    pub fn testbed(&self) -> PathBuf {
        self.root.join("src/testbed/recipes")
    }

    /// State of the local cluster. One per machine, not per checkout: it outlives a deleted clone,
    /// and a second checkout can see that the first one's cluster is up.
    pub fn state(&self) -> PathBuf {
        self.cache.join("cluster")
    }

    /// The chart that installs the operator.
    pub fn chart(&self) -> PathBuf {
        self.root.join("charts/datamigration")
    }

    /// The folder cargo builds into.
    pub fn target(&self) -> PathBuf {
        env::var_os("CARGO_TARGET_DIR").map_or_else(|| self.root.join("target"), PathBuf::from)
    }

    /// A path as it reads best in a message: relative to the checkout when it lies inside it.
    pub fn shown<'a>(&self, path: &'a Path) -> std::path::Display<'a> {
        path.strip_prefix(&self.root).unwrap_or(path).display()
    }
}
