//! Models generated from a seed, by the rule that `tests/reference/weights.py` defines.

use std::collections::BTreeMap;
use std::path::Path;

use half::{bf16, f16};
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use serde_json::{Value, json};

pub const GOLDEN_GAMMA: u64 = 0x9E37_79B9_7F4A_7C15;

/// Applies the finalizer of splitmix64.
pub fn finalize(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

fn fnv1a64(text: &str) -> u64 {
    text.bytes().fold(0xCBF2_9CE4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01B3)
    })
}

fn offset_and_scale(name: &str, shape: &[usize]) -> (f64, f64) {
    let root = (shape[shape.len() - 1] as f64).sqrt();
    if name.ends_with(".bias") {
        (0.0, 0.1)
    } else if name.ends_with("LayerNorm.weight") || name.ends_with("_layer_norm.weight") {
        (1.0, 0.25)
    } else if name.ends_with("_embeddings.weight") {
        (0.0, 1.0)
    } else if name.ends_with("q_lin.weight") || name.ends_with("k_lin.weight") {
        (0.0, 2.5 / root)
    } else if name == "classifier.weight" {
        (0.0, 6.0 / root)
    } else {
        (0.0, 2.0 / root)
    }
}

pub fn values(seed: u64, name: &str, shape: &[usize]) -> Vec<f32> {
    let (offset, scale) = offset_and_scale(name, shape);
    let mut state = seed ^ fnv1a64(name);
    let next = || {
        state = state.wrapping_add(GOLDEN_GAMMA);
        let u = (finalize(state) >> 40) as f64 / f64::from(1 << 23) - 1.0;
        (offset + scale * u) as f32
    };
    std::iter::repeat_with(next).take(shape.iter().product()).collect()
}

/// Tensor as stored in a file.
#[derive(Clone)]
pub struct Tensor {
    pub dtype: Dtype,
    pub shape: Vec<usize>,
    pub bytes: Vec<u8>,
}

impl Tensor {
    /// Reads all tensors of a model folder.
    pub fn read_all(folder: &Path) -> BTreeMap<String, Self> {
        let bytes = std::fs::read(folder.join("model.safetensors")).unwrap();
        let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        let tensor = |(name, view): (String, TensorView)| {
            let tensor = Self {
                dtype: view.dtype(),
                shape: view.shape().to_vec(),
                bytes: view.data().to_vec(),
            };
            (name, tensor)
        };
        file.tensors().into_iter().map(tensor).collect()
    }

    pub fn new(dtype: Dtype, shape: &[usize], values: &[f32]) -> Self {
        let bytes = match dtype {
            Dtype::F32 => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
            Dtype::F16 => {
                values.iter().flat_map(|&value| f16::from_f32(value).to_le_bytes()).collect()
            }
            Dtype::BF16 => {
                values.iter().flat_map(|&value| bf16::from_f32(value).to_le_bytes()).collect()
            }
            other => panic!("unexpected type of weights: {other:?}"),
        };
        Self { dtype, shape: shape.to_owned(), bytes }
    }

    pub fn values(&self) -> Vec<f32> {
        match self.dtype {
            Dtype::F32 => {
                self.bytes.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect()
            }
            Dtype::F16 => {
                let halves = self.bytes.as_chunks().0.iter();
                halves.map(|&bytes| f16::from_le_bytes(bytes).to_f32()).collect()
            }
            Dtype::BF16 => {
                let halves = self.bytes.as_chunks().0.iter();
                halves.map(|&bytes| bf16::from_le_bytes(bytes).to_f32()).collect()
            }
            other => panic!("unexpected type of weights: {other:?}"),
        }
    }
}

/// Content of a model folder, which tests may modify before they write it.
#[derive(Clone)]
pub struct GeneratedModel {
    pub config: Value,
    pub tensors: BTreeMap<String, Tensor>,
}

impl GeneratedModel {
    /// Generates the model of a golden case from its `config` and `seed`.
    pub fn of_case(case: &Value) -> Self {
        let model = Self::new(case["config"].clone(), case["seed"].as_u64().unwrap());
        let checksum = format!("{:016x}", model.checksum());
        assert_eq!(checksum, case["weights_checksum"], "the generator differs from Python's");
        model
    }

    pub fn new(config: Value, seed: u64) -> Self {
        let size = |field: &str| config[field].as_u64().unwrap() as usize;
        let (dim, hidden) = (size("dim"), size("hidden_dim"));
        let labels = config["id2label"].as_object().map_or(2, |labels| labels.len());
        let mut shapes =
            vec![("embeddings.word_embeddings.weight".to_owned(), vec![size("vocab_size"), dim])];
        if config["sinusoidal_pos_embds"] != true {
            let name = "embeddings.position_embeddings.weight".to_owned();
            shapes.push((name, vec![size("max_position_embeddings"), dim]));
        }
        let mut pair = |name: String, weight: Vec<usize>| {
            shapes.push((format!("{name}.bias"), vec![weight[0]]));
            shapes.push((format!("{name}.weight"), weight));
        };
        pair("embeddings.LayerNorm".to_owned(), vec![dim]);
        for layer in 0..size("n_layers") {
            let name = |part: &str| format!("transformer.layer.{layer}.{part}");
            let (width, hidden) = layer_shape(&config, layer, (dim, hidden));
            for projection in ["q_lin", "k_lin", "v_lin"] {
                pair(name(&format!("attention.{projection}")), vec![width, dim]);
            }
            pair(name("attention.out_lin"), vec![dim, width]);
            pair(name("sa_layer_norm"), vec![dim]);
            pair(name("ffn.lin1"), vec![hidden, dim]);
            pair(name("ffn.lin2"), vec![dim, hidden]);
            pair(name("output_layer_norm"), vec![dim]);
        }
        pair("pre_classifier".to_owned(), vec![dim, dim]);
        pair("classifier".to_owned(), vec![labels, dim]);
        let tensor = |(name, shape): (String, Vec<usize>)| {
            let tensor = Tensor::new(Dtype::F32, &shape, &values(seed, &name, &shape));
            (name, tensor)
        };
        Self { tensors: shapes.into_iter().map(tensor).collect(), config }
    }

    /// Generates a small model whose layers have different heads and widths: 3 layers of up to 4 heads of size 16.
    pub fn pruned() -> Self {
        let mut config = Self::small().config;
        for (field, value) in [
            ("dim", json!(64)),
            ("hidden_dim", json!(70)),
            ("n_layers", json!(3)),
            ("pruned_heads", json!({"0": [1], "1": [0, 3], "2": [0, 1, 2]})),
            ("hidden_dims", json!([33, 70, 32])),
        ] {
            config[field] = value;
        }
        Self::new(config, 6)
    }

    /// Generates a small model for tests that need any model: 2 layers, 4 heads, 7 labels.
    pub fn small() -> Self {
        let labels: serde_json::Map<String, Value> =
            (0..7).map(|id| (id.to_string(), json!(format!("label {id}")))).collect();
        let config = json!({
            "model_type": "distilbert", "dim": 32, "hidden_dim": 48, "n_layers": 2, "n_heads": 4,
            "vocab_size": 120, "max_position_embeddings": 40, "sinusoidal_pos_embds": false,
            "activation": "gelu", "id2label": labels,
        });
        Self::new(config, 5)
    }

    /// Returns the wrapping sum of the bit patterns of all values.
    fn checksum(&self) -> u64 {
        let values = self.tensors.values().flat_map(Tensor::values);
        values.fold(0, |sum, value| sum.wrapping_add(u64::from(value.to_bits())))
    }

    /// Converts every tensor to another type, rounding its values.
    pub fn stored_as(mut self, dtype: Dtype) -> Self {
        for tensor in self.tensors.values_mut() {
            *tensor = Tensor::new(dtype, &tensor.shape, &tensor.values());
        }
        self
    }

    /// Adds the prefix `distilbert.` to the encoder's tensors, as in a classification checkpoint.
    pub fn prefixed(mut self) -> Self {
        let prefixed = |(name, tensor): (String, Tensor)| match name.contains("classifier") {
            true => (name, tensor),
            false => (format!("distilbert.{name}"), tensor),
        };
        self.tensors = self.tensors.into_iter().map(prefixed).collect();
        self
    }

    pub fn tensor(&mut self, name: &str) -> &mut Tensor {
        self.tensors.get_mut(name).unwrap_or_else(|| panic!("no tensor {name}"))
    }

    /// Writes the folder with one weight file.
    pub fn write(&self, folder: &Path) {
        self.write_config(folder);
        write_tensors(&folder.join("model.safetensors"), self.tensors.iter());
    }

    /// Writes the folder with its weights sharded over three files.
    pub fn write_sharded(&self, folder: &Path) {
        self.write_config(folder);
        let mut weight_map = serde_json::Map::new();
        for shard in 0..3 {
            let file = format!("model-0000{}-of-00003.safetensors", shard + 1);
            let tensors = || self.tensors.iter().skip(shard).step_by(3);
            write_tensors(&folder.join(&file), tensors());
            weight_map.extend(tensors().map(|(name, _)| (name.clone(), json!(file))));
        }
        let index = json!({"metadata": {}, "weight_map": weight_map});
        std::fs::write(folder.join("model.safetensors.index.json"), index.to_string()).unwrap();
    }

    /// Writes everything but the weights. The vocabulary has one word per id.
    pub fn write_config(&self, folder: &Path) {
        std::fs::write(folder.join("config.json"), self.config.to_string()).unwrap();
        let size = self.config["vocab_size"].as_u64().unwrap_or(0);
        let special = ["[PAD]", "[CLS]", "[SEP]", "[UNK]"];
        let words = (special.len() as u64..size).map(|id| format!("w{id}"));
        let lines: Vec<String> = special.into_iter().map(str::to_owned).chain(words).collect();
        std::fs::write(folder.join("vocab.txt"), lines.join("\n")).unwrap();
    }
}

/// Returns the width of a layer's heads together, and that of its feed-forward network, given those of whole layers.
fn layer_shape(config: &Value, layer: usize, (dim, hidden): (usize, usize)) -> (usize, usize) {
    let pruned = config["pruned_heads"][layer.to_string()].as_array().map_or(0, Vec::len);
    let width = match config["n_heads"].as_u64() {
        Some(heads) => dim - pruned * dim / heads as usize,
        None => dim,
    };
    (width, config["hidden_dims"][layer].as_u64().map_or(hidden, |hidden| hidden as usize))
}

/// Returns models by name: one of even sizes, one of odd sizes, and one whose second layer is deeper than the blocks in
/// which products are summed.
pub fn golden_models() -> [(&'static str, GeneratedModel); 3] {
    let sized = |sizes: &[(&str, usize)], seed| {
        let mut config = GeneratedModel::small().config;
        sizes.iter().for_each(|&(field, size)| config[field] = size.into());
        GeneratedModel::new(config, seed)
    };
    [
        ("even", GeneratedModel::small()),
        ("odd", sized(&[("dim", 36), ("n_heads", 3), ("hidden_dim", 53)], 11)),
        ("deep", sized(&[("dim", 40), ("hidden_dim", 1030), ("n_layers", 1)], 12)),
    ]
}

fn write_tensors<'a>(path: &Path, tensors: impl Iterator<Item = (&'a String, &'a Tensor)>) {
    let views = tensors.map(|(name, tensor)| {
        (name, TensorView::new(tensor.dtype, tensor.shape.clone(), &tensor.bytes).unwrap())
    });
    safetensors::serialize_to_file(views, None, path).unwrap();
}
