//! [`Output`]: the tensors of an answer.

use distilbert::Prediction;
use serde::Serialize;
use utoipa::ToSchema;

use super::binary;
use crate::failure::Failure;
use crate::fields::{Fields, bad};
use crate::parameters::Parameters;

/// An output that a request can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    Label,
    Index,
    Scores,
    Logits,
}

/// A tensor with its values, which are in `data` or follow the JSON as binary data.
#[derive(Serialize, ToSchema)]
pub struct Tensor<'a> {
    name: &'static str,
    datatype: &'static str,
    shape: Vec<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    parameters: Option<BinarySize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<Value>>, nullable = false)]
    data: Option<Data<'a>>,
}

/// Size of a binary tensor.
#[derive(Serialize, ToSchema)]
pub struct BinarySize {
    /// Number of bytes that follow the JSON.
    binary_data_size: usize,
}

/// Values of a tensor, row by row.
#[derive(Serialize)]
#[serde(untagged)]
pub enum Data<'a> {
    /// Values of a BYTES tensor.
    Bytes(Vec<&'a str>),
    /// Values of an INT64 tensor.
    Integers(Vec<usize>),
    /// Values of an FP32 tensor.
    Floats(Vec<f32>),
}

impl Output {
    pub const ALL: [Self; 4] = [Self::Label, Self::Index, Self::Scores, Self::Logits];

    /// Outputs of a request that names none.
    const DEFAULT: [Self; 3] = [Self::Label, Self::Index, Self::Scores];

    pub fn name(self) -> &'static str {
        match self {
            Self::Label => "label",
            Self::Index => "index",
            Self::Scores => "scores",
            Self::Logits => "logits",
        }
    }

    pub fn datatype(self) -> &'static str {
        match self {
            Self::Label => "BYTES",
            Self::Index => "INT64",
            Self::Scores | Self::Logits => "FP32",
        }
    }

    /// Returns `true` for an output with a value for each label.
    pub fn is_matrix(self) -> bool {
        matches!(self, Self::Scores | Self::Logits)
    }

    /// Returns the output of some predictions: with `top_k`, a ranking; without, one label and the scores in label
    /// order.
    pub fn tensor<'a>(self, all: &'a [Prediction], parameters: &Parameters) -> Tensor<'a> {
        let order = |prediction: &Prediction| -> Vec<usize> {
            match (parameters.top_k(), self.is_matrix()) {
                (Some(_), _) => parameters.order(&parameters.scores(prediction)),
                (None, true) => (0..prediction.labels().len()).collect(),
                (None, false) => vec![prediction.index()],
            }
        };
        let orders: Vec<(&Prediction, Vec<usize>)> =
            all.iter().map(|prediction| (prediction, order(prediction))).collect();
        let columns = orders.first().map_or(0, |(_, order)| order.len());
        let shape = match (parameters.top_k(), self.is_matrix()) {
            (None, false) => vec![all.len()],
            _ => vec![all.len(), columns],
        };
        let cells = orders
            .iter()
            .flat_map(|(prediction, order)| order.iter().map(move |&index| (*prediction, index)));
        let data = match self {
            Self::Label => Data::Bytes(cells.map(|(one, at)| one.labels()[at].as_str()).collect()),
            Self::Index => Data::Integers(cells.map(|(_, at)| at).collect()),
            Self::Logits => Data::Floats(cells.map(|(one, at)| one.logits()[at]).collect()),
            Self::Scores => Data::Floats(
                orders
                    .iter()
                    .flat_map(|(prediction, order)| {
                        let scores = parameters.scores(prediction);
                        order.iter().map(|&index| scores[index]).collect::<Vec<_>>()
                    })
                    .collect(),
            ),
        };
        let (name, datatype) = (self.name(), self.datatype());
        Tensor { name, datatype, shape, parameters: None, data: Some(data) }
    }
}

impl Tensor<'_> {
    /// Moves the values to the binary data that follow the JSON.
    pub fn into_binary(mut self, tail: &mut Vec<u8>) -> Self {
        let start = tail.len();
        match self.data.take() {
            Some(Data::Bytes(values)) => {
                values.iter().for_each(|value| binary::write_string(value, tail));
            }
            Some(Data::Integers(values)) => {
                tail.extend(values.iter().flat_map(|&value| (value as i64).to_le_bytes()));
            }
            Some(Data::Floats(values)) => {
                tail.extend(values.iter().flat_map(|value| value.to_le_bytes()));
            }
            None => {}
        }
        let size = BinarySize { binary_data_size: tail.len() - start };
        Self { parameters: Some(size), ..self }
    }
}

/// Reads the requested outputs, each with `true` if it is wanted as binary data.
pub fn requested(fields: &mut Fields, is_binary: bool) -> Result<Vec<(Output, bool)>, Failure> {
    let Some(outputs) = fields.objects("outputs")?.filter(|outputs| !outputs.is_empty()) else {
        return Ok(Output::DEFAULT.map(|output| (output, is_binary)).to_vec());
    };
    let read = |mut output: Fields| {
        let field = output.name("name");
        let name = output.string("name")?.unwrap_or_default();
        let own = output.object("parameters")?.flag("binary_data")?;
        let known = Output::ALL.into_iter().find(|known| known.name() == name);
        let known = known.ok_or_else(|| {
            let names = Output::ALL.map(Output::name).join(", ");
            bad(format!("{field}: expected one of {names}, found `{name}`"))
        })?;
        Ok((known, own.unwrap_or(is_binary)))
    };
    outputs.into_iter().map(read).collect()
}
