//! `kernels/embeddings.cu`: sum of word and position embeddings, normalized.

use std::sync::LazyLock;

use half::f16;

use super::layer_norm::{DIMS, EPS, THREADS, normalized};
use super::{Argument, Device, arguments, assert_half_close, floats, module, random};
use ptx_machine::Module;

static MODULE: LazyLock<Module> = LazyLock::new(|| module("embeddings"));

const WORDS: usize = 11;
const POSITIONS: usize = 5;
const IDS: [u32; 4] = [10, 0, 3, 3];
const PLACES: [u32; 4] = [0, 4, 2, 1];

#[test]
fn f16_tables_match_float64() {
    for dim in DIMS {
        let (words, positions) = (random(1, WORDS * dim, 1.0), random(2, POSITIONS * dim, 1.0));
        let [weight, bias] = [3, 4].map(|seed| floats(&random(seed, dim, 1.0)));
        let mut device = Device::new(&MODULE);
        let [ids, places] = [IDS, PLACES].map(|values| device.upload(&values));
        let [word, position] = [&words, &positions].map(|table| device.upload(table));
        let [w, b] = [&weight, &bias].map(|values| device.upload(values));
        let states = device.room::<f16>(IDS.len() * dim);
        device.launch(
            "embeddings_f16",
            [IDS.len() as u32, 1, 1],
            THREADS,
            arguments![ids, places, word, position, w, b, states, dim as u32, EPS],
        );
        let sum = |(&id, &place): (&u32, &u32)| {
            let word = &words[id as usize * dim..][..dim];
            let position = &positions[place as usize * dim..][..dim];
            word.iter().zip(position).map(|(a, b)| a.to_f64() + b.to_f64()).collect::<Vec<_>>()
        };
        let sums: Vec<f64> = IDS.iter().zip(&PLACES).flat_map(sum).collect();
        let found = device.download::<f16>(states, sums.len());
        for (found, expected) in found.into_iter().zip(normalized(&sums, &weight, &bias)) {
            assert_half_close(found, expected, 1e-5);
        }
    }
}

#[test]
fn int8_tables_match_float64() {
    for dim in DIMS {
        let bytes = |seed, len| -> Vec<i8> {
            random(seed, len, 127.0).iter().map(|x| x.to_f32() as i8).collect()
        };
        let (words, positions) = (bytes(1, WORDS * dim), bytes(2, POSITIONS * dim));
        let scales = |seed, len| -> Vec<f32> {
            floats(&random(seed, len, 0.01)).iter().map(|x| 0.005 + x.abs()).collect()
        };
        let (word_scales, position_scales) = (scales(3, WORDS), scales(4, POSITIONS));
        let [weight, bias] = [5, 6].map(|seed| floats(&random(seed, dim, 1.0)));
        let mut device = Device::new(&MODULE);
        let [ids, places] = [IDS, PLACES].map(|values| device.upload(&values));
        let [word, position] = [&words, &positions].map(|table| device.upload(table));
        let [ws, ps] = [&word_scales, &position_scales].map(|values| device.upload(values));
        let [w, b] = [&weight, &bias].map(|values| device.upload(values));
        let states = device.room::<f16>(IDS.len() * dim);
        let quantized = device.room::<u8>(IDS.len() * dim);
        let row_scales = device.room::<f32>(IDS.len() * 2);
        device.launch(
            "embeddings_int8",
            [IDS.len() as u32, 1, 1],
            THREADS,
            arguments![
                ids, places, word, ws, position, ps, w, b, states, quantized, row_scales,
                dim as u32, EPS,
            ],
        );
        let sum = |(&id, &place): (&u32, &u32)| {
            let (id, place) = (id as usize, place as usize);
            let value =
                move |row: &[i8], scale: f32, i: usize| f64::from(row[i]) * f64::from(scale);
            let [word, position] = [&words[id * dim..], &positions[place * dim..]];
            let value =
                |i| value(word, word_scales[id], i) + value(position, position_scales[place], i);
            (0..dim).map(value).collect::<Vec<f64>>()
        };
        let sums: Vec<f64> = IDS.iter().zip(&PLACES).flat_map(sum).collect();
        let expected = normalized(&sums, &weight, &bias);
        let found = device.download::<f16>(states, sums.len());
        for (found, &expected) in found.into_iter().zip(&expected) {
            assert_half_close(found, expected, 1e-4);
        }
        let (bytes, scales) =
            (device.download::<u8>(quantized, sums.len()), device.download::<f32>(row_scales, 8));
        for (index, &expected) in expected.iter().enumerate() {
            let [scale, zero_point] = [0, 1].map(|i| f64::from(scales[index / dim * 2 + i]));
            let back = (f64::from(bytes[index]) - zero_point) * scale;
            assert!((back - expected).abs() <= 0.51 * scale + 1e-4, "{back}, not {expected}");
        }
    }
}
