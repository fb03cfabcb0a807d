//! Processor energy, from Linux's power capping interface (RAPL).

use std::fs;
use std::path::{Path, PathBuf};

/// Folder of the interface.
pub const POWERCAP: &str = "/sys/class/powercap";

/// Energy counters of the processor's packages.
pub struct EnergyMeter {
    packages: Vec<Package>,
}

struct Package {
    counter: PathBuf,
    /// Microjoules at which the counter wraps around.
    range: u64,
}

impl EnergyMeter {
    /// Finds the counters.
    ///
    /// # Errors
    /// Returns the reason if there are none or they cannot be read.
    pub fn find(powercap: &Path) -> Result<Self, String> {
        let entries = fs::read_dir(powercap).map_err(|error| {
            format!("this machine has no readable energy counters: {}: {error}", powercap.display())
        })?;
        let mut folders: Vec<PathBuf> = entries
            .flatten()
            .map(|entry| entry.path())
            .filter(|folder| is_package(folder))
            .collect();
        folders.sort();
        let packages = folders.iter().map(|folder| Package::open(folder));
        let packages = packages.collect::<Result<Vec<_>, _>>()?;
        if packages.is_empty() {
            let place = powercap.display();
            return Err(format!(
                "this machine has no readable energy counters: {place} contains no package"
            ));
        }
        Ok(Self { packages })
    }

    /// Reads the counters, in microjoules.
    pub fn read(&self) -> Result<Vec<u64>, String> {
        self.packages.iter().map(|package| number(&package.counter)).collect()
    }

    /// Returns the joules between two readings, during which a counter wraps around at most once.
    pub fn joules(&self, before: &[u64], after: &[u64]) -> f64 {
        let readings = before.iter().zip(after).zip(&self.packages);
        let microjoules = readings.map(|((&before, &after), package)| {
            if after >= before { after - before } else { after + package.range - before }
        });
        microjoules.sum::<u64>() as f64 / 1e6
    }
}

impl Package {
    /// Opens the counter of a package.
    fn open(folder: &Path) -> Result<Self, String> {
        let counter = folder.join("energy_uj");
        number(&counter)?;
        Ok(Self { counter, range: number(&folder.join("max_energy_range_uj"))? })
    }
}

/// Returns `true` for the folder of a whole package, such as `intel-rapl:0`; `false` for a part, such as
/// `intel-rapl:0:1`, and for the duplicate `intel-rapl-mmio:0`.
fn is_package(folder: &Path) -> bool {
    let name = fs::read_to_string(folder.join("name")).unwrap_or_default();
    let folder = folder.file_name().unwrap_or_default().to_string_lossy();
    let is_rapl = folder.strip_prefix("intel-rapl:").is_some_and(|rest| !rest.contains(':'));
    is_rapl && name.trim().starts_with("package")
}

/// Reads a file that contains a number.
fn number(path: &Path) -> Result<u64, String> {
    let text = fs::read_to_string(path)
        .map_err(|error| format!("cannot read energy counter {}: {error}", path.display()))?;
    text.trim().parse().map_err(|_| format!("{} does not contain a number", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(folder: &Path, files: &[(&str, &str)]) {
        fs::create_dir_all(folder).unwrap();
        for (name, content) in files {
            fs::write(folder.join(name), content).unwrap();
        }
    }

    #[test]
    fn sums_packages_and_handles_wraparound() {
        let root = tempfile::tempdir().unwrap();
        let package = |name: &str, counter: &str| {
            let range = ("max_energy_range_uj", "1000000\n");
            write(
                &root.path().join(name),
                &[("name", "package-0\n"), ("energy_uj", counter), range],
            );
        };
        package("intel-rapl:0", "900000\n");
        package("intel-rapl:1", "100\n");
        package("intel-rapl-mmio:0", "5\n");
        write(&root.path().join("intel-rapl:0:0"), &[("name", "core\n"), ("energy_uj", "1\n")]);
        write(&root.path().join("intel-rapl:2"), &[("name", "psys\n"), ("energy_uj", "1\n")]);
        let meter = EnergyMeter::find(root.path()).unwrap();
        let before = meter.read().unwrap();
        assert_eq!(before, [900_000, 100]);
        package("intel-rapl:0", "400000\n");
        package("intel-rapl:1", "1000100\n");
        assert_eq!(meter.joules(&before, &meter.read().unwrap()), 1.5);
    }

    #[test]
    fn reports_why_energy_is_unavailable() {
        let root = tempfile::tempdir().unwrap();
        let reason = |path: &Path| EnergyMeter::find(path).err().unwrap();
        assert!(reason(&root.path().join("none")).contains("no readable energy counters"));
        assert!(reason(root.path()).contains("no package"));
        write(&root.path().join("intel-rapl:0"), &[("name", "package-0\n")]);
        assert!(reason(root.path()).contains("energy_uj"));
        let broken = [("energy_uj", "many\n"), ("max_energy_range_uj", "1\n")];
        write(&root.path().join("intel-rapl:0"), &broken);
        assert!(reason(root.path()).contains("does not contain a number"));
    }
}
