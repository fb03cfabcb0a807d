//! Energy of the processor, as Linux's power capping interface counts it (RAPL).

use std::fs;
use std::path::{Path, PathBuf};

/// Where Linux shows it.
pub const POWERCAP: &str = "/sys/class/powercap";

/// The counters of the processor's packages.
pub struct EnergyMeter {
    packages: Vec<Package>,
}

struct Package {
    counter: PathBuf,
    /// Microjoules after which the counter begins anew.
    range: u64,
}

impl EnergyMeter {
    /// # Errors
    /// Why energy cannot be told.
    pub fn find(powercap: &Path) -> Result<Self, String> {
        let entries = fs::read_dir(powercap).map_err(|error| {
            format!("this machine shows no energy counters: {}: {error}", powercap.display())
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
            return Err(format!("this machine shows no energy counters: {place} has no package"));
        }
        Ok(Self { packages })
    }

    /// The counters as they are now.
    pub fn read(&self) -> Result<Vec<u64>, String> {
        self.packages.iter().map(|package| number(&package.counter)).collect()
    }

    /// Joules from one reading to a later one, less than the counters' range apart.
    pub fn joules(&self, before: &[u64], after: &[u64]) -> f64 {
        let readings = before.iter().zip(after).zip(&self.packages);
        let microjoules = readings.map(|((&before, &after), package)| {
            if after >= before { after - before } else { after + package.range - before }
        });
        microjoules.sum::<u64>() as f64 / 1e6
    }
}

impl Package {
    fn open(folder: &Path) -> Result<Self, String> {
        let counter = folder.join("energy_uj");
        number(&counter)?;
        Ok(Self { counter, range: number(&folder.join("max_energy_range_uj"))? })
    }
}

/// Whether a folder is of a whole package, such as `intel-rapl:0`, and not of a part of one, such as
/// `intel-rapl:0:1`, nor the same one again by another way, such as `intel-rapl-mmio:0`.
fn is_package(folder: &Path) -> bool {
    let name = fs::read_to_string(folder.join("name")).unwrap_or_default();
    let folder = folder.file_name().unwrap_or_default().to_string_lossy();
    let is_rapl = folder.strip_prefix("intel-rapl:").is_some_and(|rest| !rest.contains(':'));
    is_rapl && name.trim().starts_with("package")
}

fn number(path: &Path) -> Result<u64, String> {
    let text = fs::read_to_string(path)
        .map_err(|error| format!("energy cannot be read: {}: {error}", path.display()))?;
    text.trim().parse().map_err(|_| format!("{} holds no number", path.display()))
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
    fn packages_are_summed_and_counters_begin_anew() {
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
    fn it_says_why_there_is_none() {
        let root = tempfile::tempdir().unwrap();
        let why = |path: &Path| EnergyMeter::find(path).err().unwrap();
        assert!(why(&root.path().join("none")).contains("no energy counters"));
        assert!(why(root.path()).contains("no package"));
        write(&root.path().join("intel-rapl:0"), &[("name", "package-0\n")]);
        assert!(why(root.path()).contains("energy_uj"));
        let broken = [("energy_uj", "many\n"), ("max_energy_range_uj", "1\n")];
        write(&root.path().join("intel-rapl:0"), &broken);
        assert!(why(root.path()).contains("holds no number"));
    }
}
