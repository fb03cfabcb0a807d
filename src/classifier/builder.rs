//! [`ClassifierBuilder`]: configures and loads a classifier.

use std::sync::Arc;
use std::time::Duration;

use rayon::ThreadPool;

use super::{Classifier, ModelInfo};
use crate::InstructionSet;
use crate::backend::Forward;
use crate::cpu::{self, Threads};
use crate::device::Device;
use crate::error::{CheckpointError, Error, Result};
#[cfg(feature = "text")]
use crate::input::tokenizer::Tokenizer;
#[cfg(feature = "text")]
use crate::input::truncation::Truncation;
use crate::model::checkpoint::Checkpoint;
use crate::model::config::Config;
use crate::model::files::ModelFiles;
use crate::precision::Precision;

/// Builder for a [`Classifier`], created by [`Classifier::builder`].
///
/// ```
/// use distilbert::{Classifier, Device, Precision};
///
/// let classifier = Classifier::builder("models/emotion")
///     .device(Device::Cpu)
///     .precision(Precision::Int8)
///     .threads(1)
///     .build()?;
/// assert_eq!(classifier.info().precision, Precision::Int8);
/// # Ok::<(), distilbert::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct ClassifierBuilder {
    files: ModelFiles,
    device: Device,
    precision: Option<Precision>,
    threads: Option<usize>,
    spin: Option<Duration>,
    pool: Option<Arc<ThreadPool>>,
    instruction_set: Option<InstructionSet>,
    #[cfg(feature = "text")]
    truncation: Truncation,
}

impl ClassifierBuilder {
    pub(super) fn new(files: ModelFiles) -> Self {
        Self {
            files,
            device: Device::default(),
            precision: None,
            threads: None,
            spin: None,
            pool: None,
            instruction_set: None,
            #[cfg(feature = "text")]
            truncation: Truncation::default(),
        }
    }

    /// Sets the device that runs the model; by default [`Device::Cpu`].
    ///
    /// ```
    /// use distilbert::{Classifier, Device};
    ///
    /// let classifier = Classifier::builder("models/emotion").device(Device::Auto).build()?;
    /// println!("computes on {}", classifier.info().device);
    /// # Ok::<(), distilbert::Error>(())
    /// ```
    pub fn device(mut self, device: Device) -> Self {
        self.device = device;
        self
    }

    /// Sets the number format of the weights and of the matrix products.
    ///
    /// The default is [`Precision::Int8`] for a checkpoint written by [`quantize`](crate::quantize); otherwise
    /// [`Precision::F32`] on the CPU and [`Precision::F16`] on a GPU. [`Precision::Auto`] chooses bf16 where
    /// the CPU has it.
    ///
    /// ```
    /// use distilbert::{Classifier, Margin, Precision};
    ///
    /// let cascade = Precision::Cascade { margin: Margin::DEFAULT };
    /// let classifier = Classifier::builder("models/emotion").precision(cascade).build()?;
    /// # #[cfg(feature = "text")]
    /// # {
    /// let found = ["So sad.", "I can't believe it!"].map(|text| classifier.classify(text));
    /// for prediction in found {
    ///     let prediction = prediction?;
    ///     println!("{} in {}", prediction.label(), prediction.precision());
    /// }
    /// # }
    /// # Ok::<(), distilbert::Error>(())
    /// ```
    pub fn precision(mut self, precision: Precision) -> Self {
        self.precision = Some(precision);
        self
    }

    /// Sets the number of threads that share the work of one call, including the caller's; by default the number of
    /// physical cores. 0 means 1.
    ///
    /// With one thread, concurrent calls run in parallel, each on its caller's thread, which suits a service with many
    /// callers. With more, concurrent calls take turns, which gives each one the lowest latency. A GPU ignores this
    /// setting and runs up to four calls concurrently.
    ///
    /// With 1 and no [`thread_pool`](Self::thread_pool), [`build`](Self::build) nevertheless uses all physical cores to
    /// load the model on the CPU.
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = Some(threads.max(1));
        self
    }

    /// Sets the time for which the classifier's threads wait for the next call, without sleeping, after a call has ended;
    /// by default 80 µs.
    ///
    /// A call that comes within this time finds the threads awake; waking a thread can take several hundred
    /// microseconds. While they wait, they keep their cores busy, but leave them to any other thread that has work.
    /// Zero saves the energy that this takes. Threads never wait like this if there are more of them than cores that the process may
    /// use, nor do those of a [`thread_pool`](Self::thread_pool).
    ///
    /// ```
    /// use std::time::Duration;
    /// use distilbert::Classifier;
    ///
    /// let classifier =
    ///     Classifier::builder("models/emotion").threads(2).spin(Duration::ZERO).build()?;
    /// # Ok::<(), distilbert::Error>(())
    /// ```
    pub fn spin(mut self, time: Duration) -> Self {
        self.spin = Some(time);
        self
    }

    /// Shares the work of each call among the threads of an existing pool instead of starting the classifier's own
    /// threads; [`threads`](Self::threads) then has no effect.
    ///
    /// The caller's thread waits for the pool, unless it is itself a thread of this pool or of another one: then it
    /// leads the call and takes no other jobs in the meantime. A pool of one thread is not used: calls then compute on
    /// their callers' threads.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use distilbert::Classifier;
    ///
    /// let pool = Arc::new(rayon::ThreadPoolBuilder::new().num_threads(2).build()?);
    /// let classifier = Classifier::builder("models/emotion").thread_pool(pool).build()?;
    /// assert_eq!(classifier.info().threads, 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn thread_pool(mut self, pool: Arc<ThreadPool>) -> Self {
        self.pool = Some(pool);
        self
    }

    /// Sets the instruction set used on the CPU; by default the one named by the environment variable
    /// `DISTILBERT_ISA`, or else the best one that the CPU supports.
    pub fn instruction_set(mut self, set: InstructionSet) -> Self {
        self.instruction_set = Some(set);
        self
    }

    /// Sets how texts longer than the model's limit are handled; by default [`Truncation::Auto`].
    ///
    /// [`ClassifyOptions::truncation`](crate::ClassifyOptions::truncation) overrides it for one call.
    #[cfg(feature = "text")]
    pub fn truncation(mut self, truncation: Truncation) -> Self {
        self.truncation = truncation;
        self
    }

    /// Loads the model.
    ///
    /// # Errors
    /// - [`Error::Io`] if a file cannot be read or there is no weight file
    /// - [`Error::Config`] if `config.json` is invalid or contradicts the weights, or if `tokenizer_config.json` or
    ///   the index of shards is invalid
    /// - [`Error::Checkpoint`] if the folder does not exist, or its weights are incomplete, damaged, in an unsupported
    ///   format, or out of the precision's range
    /// - [`InputError::Tokenizer`](crate::InputError::Tokenizer) if the tokenizer's files are missing or damaged
    /// - [`Error::Precision`] for a cascade if the checkpoint is stored as int8 or the model is a regression model
    /// - [`Error::Device`] if the CPU lacks the instruction set or cannot compute in the precision, threads cannot be
    ///   started, or the GPU cannot run the
    ///   model
    pub fn build(self) -> Result<Classifier> {
        let files = &self.files;
        if let ModelFiles::Folder(path) = files
            && !path.is_dir()
        {
            return Err(CheckpointError::NoModel { path: path.clone() }.into());
        }
        let set = InstructionSet::choose(self.instruction_set)?;
        let config = Config::from_files(files)?;
        let checkpoint = Checkpoint::open(files)?;
        #[cfg(feature = "text")]
        let tokenizer = match files.is_without_tokenizer() {
            true => None,
            false => Some(Tokenizer::from_files(files)?),
        };
        let loaded = match self.device {
            Device::Cpu => self.load_on_cpu(config, &checkpoint, set)?,
            Device::Cuda(ordinal) => self.load_on_gpu(config, &checkpoint, ordinal)?,
            Device::Auto => match self.load_on_gpu(config.clone(), &checkpoint, 0) {
                Err(Error::Device(error)) if error.is_gpu_error() => {
                    self.load_on_cpu(config, &checkpoint, set)?
                }
                loaded => loaded?,
            },
        };
        let Loaded { engine, device, precision, threads } = loaded;
        let info = ModelInfo {
            folder: files.folder(),
            dtypes: checkpoint.dtypes(),
            parameters: checkpoint.parameters(),
            checkpoint_bytes: checkpoint.bytes(),
            device,
            instruction_set: set,
            precision,
            threads,
        };
        Ok(Classifier {
            labels: engine.config().id2label.as_slice().into(),
            engine,
            info,
            #[cfg(feature = "text")]
            tokenizer,
            #[cfg(feature = "text")]
            truncation: self.truncation,
        })
    }

    fn load_on_cpu(
        &self,
        config: Config,
        checkpoint: &Checkpoint,
        set: InstructionSet,
    ) -> Result<Loaded> {
        let auto = if set.supports(Precision::Bf16) { Precision::Bf16 } else { Precision::F32 };
        let precision = self.precision_or(Precision::F32, auto, checkpoint);
        let threads = match &self.pool {
            Some(pool) => Threads::from_pool(pool.clone()),
            None => {
                let count = self.threads.unwrap_or_else(Threads::default_count);
                Threads::spinning(count, self.spin.unwrap_or(Threads::SPIN))?
            }
        };
        let count = threads.count();
        let engine = cpu::load(config, checkpoint, set, precision, threads)?;
        Ok(Loaded { engine, device: Device::Cpu, precision, threads: count })
    }

    #[cfg(feature = "cuda")]
    fn load_on_gpu(
        &self,
        config: Config,
        checkpoint: &Checkpoint,
        ordinal: usize,
    ) -> Result<Loaded> {
        let precision = self.precision_or(Precision::F16, Precision::F16, checkpoint);
        let engine = crate::cuda::load(config, checkpoint, ordinal, precision)?;
        Ok(Loaded { engine, device: Device::Cuda(ordinal), precision, threads: 1 })
    }

    #[cfg(not(feature = "cuda"))]
    fn load_on_gpu(&self, _: Config, _: &Checkpoint, _: usize) -> Result<Loaded> {
        Err(crate::error::DeviceError::CudaNotBuilt.into())
    }

    /// Returns the precision that was set, or else int8 for an int8 checkpoint, or else the device's default; for
    /// [`Precision::Auto`], the device's choice.
    fn precision_or(
        &self,
        default: Precision,
        auto: Precision,
        checkpoint: &Checkpoint,
    ) -> Precision {
        match self.precision {
            None | Some(Precision::Auto) if checkpoint.is_int8() => Precision::Int8,
            None => default,
            Some(Precision::Auto) => auto,
            Some(precision) => precision,
        }
    }
}

/// A loaded engine and the settings that were chosen for it.
struct Loaded {
    engine: Box<dyn Forward>,
    device: Device,
    precision: Precision,
    threads: usize,
}
