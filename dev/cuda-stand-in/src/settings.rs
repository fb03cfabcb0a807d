//! Settings of a test, in environment variables.

use std::env;
use std::str::FromStr;
use std::sync::LazyLock;

pub static SETTINGS: LazyLock<Settings> = LazyLock::new(Settings::read);

pub struct Settings {
    /// `STAND_IN_DEVICES`: number of devices.
    pub devices: i32,
    /// `STAND_IN_CAPABILITY`: compute capability of the devices, such as `8.0`.
    pub capability: (i32, i32),
    /// `STAND_IN_MEMORY`: bytes of memory of each device.
    pub memory: usize,
    /// `STAND_IN_DRIVER_VERSION`: newest CUDA version that the driver supports, such as 12000 for 12.0.
    pub driver_version: i32,
}

impl Settings {
    fn read() -> Self {
        let capability = value("STAND_IN_CAPABILITY", "8.0".to_owned());
        let numbers = capability
            .split_once('.')
            .and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?)));
        Self {
            devices: value("STAND_IN_DEVICES", 1),
            capability: numbers.expect("STAND_IN_CAPABILITY must be two numbers with a dot"),
            memory: value("STAND_IN_MEMORY", 8 << 30),
            driver_version: value("STAND_IN_DRIVER_VERSION", 12000),
        }
    }

    /// Returns the newest version of the PTX language that the driver supports.
    pub fn ptx_version(&self) -> (i32, i32) {
        let (major, minor) = (self.driver_version / 1000, self.driver_version % 1000 / 10);
        match (major, minor) {
            (12, 6..) => (8, minor - 1),
            (11.., _) => (major - 4, minor),
            _ => (6, 5),
        }
    }
}

fn value<T: FromStr>(name: &str, default: T) -> T {
    let Ok(text) = env::var(name) else { return default };
    text.parse().unwrap_or_else(|_| panic!("invalid {name}: {text:?}"))
}
