//! `kernels/quantize.cu`: quantization of rows to the CPU's integers.

use std::sync::LazyLock;

use half::f16;

use super::{Argument, Device, arguments, floats, module, quantized, random};
use ptx_machine::Module;

static MODULE: LazyLock<Module> = LazyLock::new(|| module("quantize"));

#[test]
fn quantized_rows_match_cpu() {
    let constant = |value: f32| vec![f16::from_f32(value); 264];
    let rows = [8, 64, 264, 768, 3072, 4096]
        .map(|dim| random(dim as u64, dim, 3.0))
        .into_iter()
        .chain([constant(0.0), constant(3.0), constant(-3.0), constant(6e-8), constant(6e4)]);
    for row in rows {
        let mut device = Device::new(&MODULE);
        let values = device.upload(&row);
        let bytes = device.room::<u8>(row.len());
        let scales = device.room::<f32>(2);
        let arguments = arguments![values, bytes, scales, row.len() as u32];
        device.launch("quantize", [1, 1, 1], 128, arguments);
        let (expected_scales, expected) = quantized(&floats(&row));
        assert_eq!(device.download::<f32>(scales, 2), expected_scales);
        assert_eq!(device.download::<u8>(bytes, row.len()), expected);
    }
}
