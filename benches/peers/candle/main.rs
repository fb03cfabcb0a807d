//! candle, one of the engines that `benches/peers/run.py` compares.
//!
//! `peer_candle FOLDER` speaks the protocol of worker.py; `RAYON_NUM_THREADS` sets the number of threads.

use std::fs;
use std::path::PathBuf;

use candle_core::{DType, Device, IndexOp, Tensor};
use candle_nn::{Linear, Module, VarBuilder, linear};
use candle_transformers::models::distilbert::{Config, DistilBertModel};
use peer_protocol::{Engine, Error, Run, serve};

fn main() -> Result<(), Error> {
    let folder = PathBuf::from(std::env::args().nth(1).ok_or("usage: peer_candle FOLDER")?);
    serve("0.9.2", || Classifier::load(folder))
}

/// Hugging Face's classification head on candle's encoder.
struct Classifier {
    encoder: DistilBertModel,
    pre_classifier: Linear,
    classifier: Linear,
}

impl Classifier {
    fn load(folder: PathBuf) -> Result<Self, Error> {
        let config: Config = serde_json::from_slice(&fs::read(folder.join("config.json"))?)?;
        let weights = [folder.join("model.safetensors")];
        // SAFETY: the file is not modified while this program runs.
        let weights =
            unsafe { VarBuilder::from_mmaped_safetensors(&weights, DType::F32, &Device::Cpu)? };
        let labels = weights.pp("classifier").get_unchecked("bias")?.dim(0)?;
        Ok(Self {
            encoder: DistilBertModel::load(weights.clone(), &config)?,
            pre_classifier: linear(config.dim, config.dim, weights.pp("pre_classifier"))?,
            classifier: linear(config.dim, labels, weights.pp("classifier"))?,
        })
    }

    fn logits(&self, ids: &Tensor, masked: &Tensor) -> candle_core::Result<Vec<f32>> {
        let first = self.encoder.forward(ids, masked)?.i((.., 0))?;
        let pooled = self.pre_classifier.forward(&first)?.relu()?;
        self.classifier.forward(&pooled)?.flatten_all()?.to_vec1()
    }
}

impl Engine for Classifier {
    fn prepare<'a>(&'a mut self, rows: &[Vec<u32>]) -> Result<Run<'a>, Error> {
        let longest = rows.iter().map(Vec::len).max().unwrap_or(0);
        let (mut ids, mut masked) = (Vec::new(), Vec::new());
        for row in rows {
            let padding = longest - row.len();
            ids.extend(row.iter().copied().chain(std::iter::repeat_n(0, padding)));
            // candle's mask is 1 where a token is masked.
            masked.extend((0..longest).map(|at| u8::from(at >= row.len())));
        }
        let ids = Tensor::from_vec(ids, (rows.len(), longest), &Device::Cpu)?;
        let masked = Tensor::from_vec(masked, (rows.len(), 1, 1, longest), &Device::Cpu)?;
        Ok(Box::new(move || Ok(self.logits(&ids, &masked)?)))
    }
}
